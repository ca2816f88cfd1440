from __future__ import annotations

import copy
import pickle
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from itertools import combinations
from typing import Any

import pytest

from protocol import sealing, shamir
from protocol.config import Kem
from protocol.dealing import Dealt, deal, open_dealing
from protocol.errors import AbortCode, AbortError, MalformedMessageError
from protocol.identity import region_uid
from protocol.keys import Encapsulated, PairSecret, RoundKeys
from protocol.sealing import DealtShares
from protocol.share_messages import Dealing
from protocol.unmask_messages import RevealedShare
from tests.protocol.builders import NAMES, identity, randomness

REGIONS = tuple(sorted(NAMES[:5], key=region_uid))
COHORT = tuple(map(region_uid, REGIONS))
DEALER, HOLDER, OTHER = REGIONS[1], REGIONS[2], REGIONS[0]
ROSTER, THRESHOLD = b"\x07" * 32, 4


@cache
def pairs(name: str) -> Mapping[bytes, PairSecret]:
    """Return what a region shares with each other one."""
    keys = {one: RoundKeys(Kem.X25519, randomness(one)) for one in REGIONS}
    return {
        region_uid(peer): keys[name].pair_secret(
            me=region_uid(name),
            peer=region_uid(peer),
            peer_key=keys[peer].x25519_key(),
            roster_hash=ROSTER,
            kem=Encapsulated(),
        )
        for peer in REGIONS
        if peer != name
    }


def dealt(name: str = DEALER, known: Mapping[bytes, PairSecret] | None = None) -> Dealt:
    return deal(
        me=region_uid(name),
        identity=identity(name),
        cohort=COHORT,
        threshold=THRESHOLD,
        roster_hash=ROSTER,
        pairs=pairs(name) if known is None else known,
        randomness=randomness(f"{name}/deal"),
    )


def opened(dealing: Dealing, *, holder: str = HOLDER, dealer: str = DEALER, **changes: Any) -> Any:
    arguments: dict[str, Any] = {
        "me": region_uid(holder),
        "identity_key": identity(dealer).public_bytes(),
        "pair": pairs(holder)[region_uid(dealer)],
    }
    return open_dealing(dealing, **(arguments | changes))


def good() -> Dealing:
    return dealt().shares.dealing_to(region_uid(HOLDER))


def resealed(own: bytes | None = None, escrow: bytes | None = None) -> Dealing:
    """Return a dealing of other shares than it commits to, or of anything at all."""
    honest: DealtShares = opened(good())
    changed = DealtShares(
        replace(honest.own, share=own or honest.own.share),
        replace(honest.escrow, share=escrow or honest.escrow.share),
    )
    pair = pairs(DEALER)[region_uid(HOLDER)]
    key = pair.key_up if region_uid(DEALER) < region_uid(HOLDER) else pair.key_down
    box = sealing.seal_shares(key, changed, roster_hash=ROSTER, holder=region_uid(HOLDER))
    return replace(good(), box=box).signed_by(identity(DEALER))


def shares_of(kind: str, dealer: Dealt) -> Mapping[int, int]:
    """Return all the shares of one secret, by holder; of the second the dealer keeps none."""
    found = {}
    if kind == "own":
        found[COHORT.index(dealer.shares.uid) + 1] = shamir.from_bytes(dealer.own_share.share)
    for name in REGIONS:
        if region_uid(name) != dealer.shares.uid:
            shares = opened(dealer.shares.dealing_to(region_uid(name)), holder=name)
            found[COHORT.index(region_uid(name)) + 1] = shamir.from_bytes(
                getattr(shares, kind).share
            )
    return found


def test_every_holder_can_open_what_it_was_dealt() -> None:
    """Both directions of a pair, and every pair."""
    for dealer in REGIONS:
        for holder in REGIONS:
            if holder != dealer:
                dealing = dealt(dealer).shares.dealing_to(region_uid(holder))
                shares = opened(dealing, holder=holder, dealer=dealer)
                assert {shares.own.dealer, shares.escrow.dealer} == {region_uid(dealer)}


def test_any_threshold_of_holders_has_both_secrets() -> None:
    """The self mask's seed, and what opens the escrow; each as the dealer committed to it."""
    made = dealt()
    for kind, label, commitment in (
        ("own", sealing.SELF, made.shares.self_secret),
        ("escrow", sealing.ESCROW, made.shares.escrow_secret),
    ):
        shares = shares_of(kind, made)
        found = {
            shamir.to_bytes(shamir.combine(shares, shamir.basis(holders)))
            for holders in combinations(sorted(shares), THRESHOLD)
        }
        assert len(found) == 1
        (secret,) = found
        assert commitment == sealing.commit_secret(
            label, roster_hash=ROSTER, dealer=region_uid(DEALER), secret=secret
        )
        seed = sealing.self_seed(secret, roster_hash=ROSTER, dealer=region_uid(DEALER))
        assert (seed == made.self_seed) is (kind == "own")


def test_the_escrow_holds_the_pair_seeds() -> None:
    """In the order of the dealings, under the second secret."""
    made, shares = dealt(), shares_of("escrow", dealt())
    secret = shamir.to_bytes(shamir.combine(shares, shamir.basis(tuple(shares))))
    seeds = sealing.open_escrow(
        secret, made.shares.escrow, roster_hash=ROSTER, dealer=region_uid(DEALER)
    )
    assert seeds == tuple(pairs(DEALER)[uid].seed for uid in made.shares.recipients)


def test_both_of_a_pair_commit_to_one_seed() -> None:
    """That is how a wrong escrow is found."""
    one = dealt(DEALER).shares.dealing_to(region_uid(HOLDER))
    other = dealt(HOLDER).shares.dealing_to(region_uid(DEALER))
    assert one.seed == other.seed


def test_the_dealer_is_held_to_its_own_share() -> None:
    """It keeps a share of its own mask's secret, and the server has the commitment."""
    made = dealt()
    assert made.shares.self_share == sealing.commit_share(
        sealing.SELF, made.own_share, roster_hash=ROSTER, holder=region_uid(DEALER)
    )


def test_nothing_is_dealt_to_a_region_without_a_pair_secret() -> None:
    """Whoever failed in R1 gets no share, and the others keep their positions."""
    known = {uid: pair for uid, pair in pairs(DEALER).items() if uid != region_uid(OTHER)}
    made = dealt(known=known)
    assert made.shares.recipients == tuple(sorted(known))
    shares = opened(made.shares.dealing_to(region_uid(HOLDER)))
    assert shares.own.share == opened(good()).own.share


def test_no_share_or_salt_is_dealt_twice() -> None:
    """Every box, commitment and salt of a round is another one."""
    made = [one for name in REGIONS for one in dealt(name).shares.dealings]
    assert len({one.box for one in made}) == len(made) == 20
    assert len({one.self_share for one in made} | {one.escrow_share for one in made}) == 40


@pytest.mark.parametrize(
    ("dealing", "changes", "code"),
    [
        (replace(good(), signature=bytes(64)), {}, AbortCode.BAD_SIGNATURE),
        (good().signed_by(identity(OTHER)), {}, AbortCode.BAD_SIGNATURE),
        (replace(good(), roster_hash=b"\x08" * 32), {}, AbortCode.BAD_SIGNATURE),
        (
            replace(good(), roster_hash=b"\x08" * 32).signed_by(identity(DEALER)),
            {},
            AbortCode.BAD_BOX,
        ),
        (good(), {"me": region_uid(OTHER)}, AbortCode.BAD_BOX),
        (good(), {"pair": pairs(HOLDER)[region_uid(OTHER)]}, AbortCode.BAD_BOX),
        (replace(good(), box=bytes(144)).signed_by(identity(DEALER)), {}, AbortCode.BAD_BOX),
        (resealed(own=b"\x01" * 32), {}, AbortCode.BAD_SHARE),
        (resealed(escrow=b"\x01" * 32), {}, AbortCode.BAD_SHARE),
        (
            replace(
                good(), self_share=good().escrow_share, escrow_share=good().self_share
            ).signed_by(identity(DEALER)),
            {},
            AbortCode.BAD_SHARE,
        ),
        (
            replace(good(), seed=b"\x01" * 32).signed_by(identity(DEALER)),
            {},
            AbortCode.SEED_MISMATCH,
        ),
    ],
    ids=[
        "unsigned",
        "signed by another",
        "moved to another round",
        "of another round",
        "for another holder",
        "another pair's key",
        "an empty box",
        "another own share",
        "another escrow share",
        "kinds exchanged",
        "another seed",
    ],
)
def test_a_bad_dealing_names_its_dealer(
    dealing: Dealing, changes: dict[str, Any], code: AbortCode
) -> None:
    """Every share that leaves a box is the one that was committed to."""
    with pytest.raises(AbortError) as caught:
        opened(dealing, **({"identity_key": identity(DEALER).public_bytes()} | changes))
    assert (caught.value.code, caught.value.uid) == (code, region_uid(DEALER))


@pytest.mark.parametrize("kind", ["own", "escrow"])
def test_a_share_outside_the_field_is_malformed_though_committed_to(kind: str) -> None:
    """A second spelling of a share would survive until the sum is unmasked, and void it."""
    large = b"\xff" * 32
    dealing, honest = resealed(**{kind: large}), opened(good())
    label, name = ("self", "self_share") if kind == "own" else ("escrow", "escrow_share")
    share = replace(getattr(honest, kind), share=large)
    commitment = sealing.commit_share(label, share, roster_hash=ROSTER, holder=region_uid(HOLDER))
    changes: dict[str, Any] = {name: commitment}
    with pytest.raises(MalformedMessageError):
        opened(replace(dealing, **changes).signed_by(identity(DEALER)))


def test_what_was_dealt_stays_where_it_is() -> None:
    """Neither pickle nor copy nor ``repr`` shows a seed or a share."""
    made, shares = dealt(), opened(good())
    for leave in pickle.dumps, copy.copy, copy.deepcopy:
        for secret in made, shares:
            with pytest.raises(TypeError, match="secret"):
                leave(secret)
    shown = repr((made, shares, shares.own, RevealedShare(b"u" * 16, b"s" * 32, b"t" * 32)))
    for hidden in made.self_seed, made.own_share.share, shares.own.share, shares.escrow.share:
        assert hidden.hex() not in shown
        assert repr(hidden)[2:-1] not in shown
    assert "s" * 32 not in shown
