"""R2 in one place: a region deals shares of its two secrets, and holds those of its peers.

Each round a region draws two fresh secrets: one is the seed of a mask of its own, the other opens
an escrow with its pair seeds. The survivors later reveal shares of the first for each survivor and
of the second for each lost region, and never both of one region. So a lost region's own mask stays
on its vector for ever, and no long-lived key is ever shared (Bonawitz et al. 2017, section 6.1).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NoReturn

from protocol import sealing, shamir
from protocol.errors import AbortCode, AbortError
from protocol.identity import Identity
from protocol.keys import PairSecret
from protocol.sealing import DealtShares
from protocol.share_messages import Dealing, Shares
from protocol.unmask_messages import RevealedShare
from protocol.wire import SALT_BYTES


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Dealt:
    """What a region has after it dealt.

    Attributes:
        shares: The message that leaves.
        self_seed: The seed of its own mask, 32 bytes; secret until the survivors reveal it.
        own_share: Its own share of that seed.
    """

    shares: Shares
    self_seed: bytes = field(repr=False)
    own_share: RevealedShare = field(repr=False)

    def __reduce__(self) -> NoReturn:
        raise TypeError("Dealt holds secrets of one round: it cannot be copied or stored")


def deal(
    *,
    me: bytes,
    identity: Identity,
    cohort: tuple[bytes, ...],
    threshold: int,
    roster_hash: bytes,
    pairs: Mapping[bytes, PairSecret],
    randomness: Callable[[int], bytes],
) -> Dealt:
    """Draw a region's two secrets and deal shares of them to every peer it has a key with.

    Args:
        me: The dealer's uid.
        identity: Signs each dealing and the whole.
        cohort: All regions of the round; share i belongs to the i-th, counted from 1.
        threshold: Shares that give a secret.
        roster_hash: The round and its keys.
        pairs: The pair secret of each peer.
        randomness: Returns so many secret random bytes.
    """
    secrets = {kind: shamir.random_element(randomness) for kind in (sealing.SELF, sealing.ESCROW)}
    split = {
        kind: shamir.split(secret, threshold=threshold, count=len(cohort), randomness=randomness)
        for kind, secret in secrets.items()
    }

    def share_for(kind: str, holder: bytes) -> RevealedShare:
        share = split[kind][cohort.index(holder)]
        return RevealedShare(me, shamir.to_bytes(share), randomness(SALT_BYTES))

    def commit(kind: str) -> bytes:
        secret = shamir.to_bytes(secrets[kind])
        return sealing.commit_secret(kind, roster_hash=roster_hash, dealer=me, secret=secret)

    own = share_for(sealing.SELF, me)
    dealings = []
    for peer in sorted(pairs):
        dealt = DealtShares(share_for(sealing.SELF, peer), share_for(sealing.ESCROW, peer))
        dealings.append(_dealing(me, peer, pairs[peer], dealt, roster_hash).signed_by(identity))
    shares = Shares(
        roster_hash=roster_hash,
        uid=me,
        self_secret=commit(sealing.SELF),
        escrow_secret=commit(sealing.ESCROW),
        self_share=sealing.commit_share(sealing.SELF, own, roster_hash=roster_hash, holder=me),
        escrow=sealing.seal_escrow(
            shamir.to_bytes(secrets[sealing.ESCROW]),
            [pairs[peer].seed for peer in sorted(pairs)],
            roster_hash=roster_hash,
            dealer=me,
        ),
        dealings=tuple(dealings),
    )
    secret = shamir.to_bytes(secrets[sealing.SELF])
    seed = sealing.self_seed(secret, roster_hash=roster_hash, dealer=me)
    return Dealt(shares.signed_by(identity), seed, own)


def open_dealing(
    dealing: Dealing, *, me: bytes, identity_key: bytes, pair: PairSecret
) -> DealtShares:
    """Return the shares that a peer dealt to this region, every one checked.

    Args:
        dealing: As received, for this region and roster.
        me: This region's uid.
        identity_key: The dealer's, from the registry.
        pair: The secret shared with the dealer.

    Raises:
        AbortError: ``bad_signature``, ``bad_box``, ``bad_share`` or ``seed_mismatch``, with the
            dealer's uid: then this region shares no mask with it.
        MalformedMessageError: If a share is no element of the field.
    """
    dealing.verify(identity_key)
    scope, dealer = dealing.roster_hash, dealing.uid
    key = pair.key_up if dealer < me else pair.key_down
    dealt = sealing.open_shares(key, dealing.box, roster_hash=scope, dealer=dealer, holder=me)
    for kind, share, commitment in (
        (sealing.SELF, dealt.own, dealing.self_share),
        (sealing.ESCROW, dealt.escrow, dealing.escrow_share),
    ):
        shamir.from_bytes(share.share)
        if sealing.commit_share(kind, share, roster_hash=scope, holder=me) != commitment:
            raise AbortError(
                AbortCode.BAD_SHARE,
                f"{dealer.hex()} dealt a share that is not the one it committed to",
                uid=dealer,
            )
    seed = sealing.commit_seed(roster_hash=scope, one=me, other=dealer, seed=pair.seed)
    if seed != dealing.seed:
        raise AbortError(
            AbortCode.SEED_MISMATCH,
            f"{dealer.hex()} committed to another seed than the one it shares with this region",
            uid=dealer,
        )
    return dealt


def _dealing(
    me: bytes, peer: bytes, pair: PairSecret, dealt: DealtShares, roster_hash: bytes
) -> Dealing:
    key = pair.key_up if me < peer else pair.key_down
    return Dealing(
        roster_hash=roster_hash,
        uid=me,
        recipient=peer,
        box=sealing.seal_shares(key, dealt, roster_hash=roster_hash, holder=peer),
        self_share=sealing.commit_share(
            sealing.SELF, dealt.own, roster_hash=roster_hash, holder=peer
        ),
        escrow_share=sealing.commit_share(
            sealing.ESCROW, dealt.escrow, roster_hash=roster_hash, holder=peer
        ),
        seed=sealing.commit_seed(roster_hash=roster_hash, one=me, other=peer, seed=pair.seed),
    )
