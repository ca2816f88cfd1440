"""How the server takes the masks off a sum, and how it finds who dealt or revealed wrongly.

For each survivor it reconstructs the seed of the survivor's own mask. For each member that was
lost it reconstructs the secret of its escrow, and from that the seeds that it shared with the
survivors. Every share and secret is held against its dealer's signed commitment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from protocol import sealing, shamir
from protocol.errors import AbortCode, AbortError, MalformedMessageError
from protocol.masks import Words, apply_masks
from protocol.share_messages import Shares
from protocol.unmask_messages import RevealedShare, Unmask


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmasking:
    """What the server knows of one round's shares.

    Attributes:
        roster_hash: The round and its keys.
        cohort: All regions; share i belongs to the i-th, counted from 1.
        threshold: Shares that give a secret.
        members: Who masked with whom, ascending.
        survivors: Whose vectors are in the sum, ascending.
        shares: What each member dealt.
    """

    roster_hash: bytes
    cohort: tuple[bytes, ...]
    threshold: int
    members: tuple[bytes, ...]
    survivors: tuple[bytes, ...]
    shares: Mapping[bytes, Shares] = field(repr=False)

    @property
    def lost(self) -> tuple[bytes, ...]:
        """The members whose vectors are not in the sum, ascending."""
        return tuple(uid for uid in self.members if uid not in self.survivors)

    def check_answer(self, unmask: Unmask) -> None:
        """Check that a survivor revealed the shares that it was dealt, and of nobody else.

        Raises:
            AbortError: ``bad_share``, with the uid of the survivor.
        """
        for kind, revealed, dealers in (
            (sealing.SELF, unmask.self_shares, self.survivors),
            (sealing.ESCROW, unmask.escrow_shares, self.lost),
        ):
            dealt = tuple(share.dealer for share in revealed)
            if dealt != dealers or not all(
                self._is_dealt(kind, share, holder=unmask.uid) for share in revealed
            ):
                raise AbortError(
                    AbortCode.BAD_SHARE,
                    f"expected from {unmask.uid.hex()} the shares that it was dealt, of each "
                    "survivor's own mask and each lost region's escrow; got others",
                    uid=unmask.uid,
                )

    def remove(self, words: Words, answers: Sequence[Unmask]) -> None:
        """Take all masks off the sum, in place.

        Args:
            words: The sum of the survivors' masked vectors.
            answers: At least ``threshold`` of them, of distinct survivors, each checked.

        Raises:
            AbortError: ``wrong_dealing`` or ``bad_escrow``, with the uid of the dealer whose
                signed commitments its own shares contradict. ``words`` is unchanged then.
        """
        used = {self.cohort.index(one.uid) + 1: one for one in answers[: self.threshold]}
        basis = shamir.basis(tuple(used))
        subtract, add = list[bytes](), list[bytes]()
        for position, dealer in enumerate(self.survivors):
            revealed = {holder: one.self_shares[position] for holder, one in used.items()}
            secret = self._secret(sealing.SELF, dealer, revealed, basis)
            seed = sealing.self_seed(secret, roster_hash=self.roster_hash, dealer=dealer)
            subtract.append(seed)
        for position, dealer in enumerate(self.lost):
            revealed = {holder: one.escrow_shares[position] for holder, one in used.items()}
            secret = self._secret(sealing.ESCROW, dealer, revealed, basis)
            for survivor, seed in self._seeds(dealer, secret).items():
                (subtract if survivor < dealer else add).append(seed)
        apply_masks(words, add=add, subtract=subtract)

    def _is_dealt(self, kind: str, share: RevealedShare, *, holder: bytes) -> bool:
        try:
            shamir.from_bytes(share.share)
        except MalformedMessageError:
            return False  # the dealer committed to it, and the holder should not have accepted it
        shares = self.shares[share.dealer]
        found = sealing.commit_share(kind, share, roster_hash=self.roster_hash, holder=holder)
        if holder == share.dealer:
            return found == shares.self_share
        dealing = shares.dealing_to(holder)
        expected = dealing.self_share if kind == sealing.SELF else dealing.escrow_share
        return found == expected

    def _secret(
        self,
        kind: str,
        dealer: bytes,
        revealed: Mapping[int, RevealedShare],
        basis: Mapping[int, int],
    ) -> bytes:
        values = {holder: shamir.from_bytes(share.share) for holder, share in revealed.items()}
        secret = shamir.to_bytes(shamir.combine(values, basis))
        shares = self.shares[dealer]
        expected = shares.self_secret if kind == sealing.SELF else shares.escrow_secret
        found = sealing.commit_secret(
            kind, roster_hash=self.roster_hash, dealer=dealer, secret=secret
        )
        if found != expected:
            raise _wrong(dealer, "shares that are not those of its secret")
        return secret

    def _seeds(self, dealer: bytes, secret: bytes) -> Mapping[bytes, bytes]:
        """Return the seeds that a lost region shared with the survivors, as these committed."""
        shares = self.shares[dealer]
        opened = sealing.open_escrow(
            secret, shares.escrow, roster_hash=self.roster_hash, dealer=dealer
        )
        seeds = dict(zip(shares.recipients, opened, strict=True))
        for survivor in self.survivors:
            found = sealing.commit_seed(
                roster_hash=self.roster_hash, one=dealer, other=survivor, seed=seeds[survivor]
            )
            if found != self.shares[survivor].dealing_to(dealer).seed:
                raise _wrong(dealer, "an escrow with another seed than the survivor's")
        return {survivor: seeds[survivor] for survivor in self.survivors}


def _wrong(dealer: bytes, what: str) -> AbortError:
    return AbortError(
        AbortCode.WRONG_DEALING,
        f"{dealer.hex()} dealt {what}; its signed messages prove it: the round is void, and the "
        "regions should agree on a registry without it",
        uid=dealer,
    )
