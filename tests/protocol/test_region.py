from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

import numpy as np
import pytest

from protocol.errors import AbortCode, AbortError, OutOfOrderError
from protocol.identity import region_uid
from protocol.messages import Advertise, Masked, Roster
from protocol.region import RegionRound, State
from protocol.wire import KEM_KEY_BYTES
from tests.protocol.builders import Delta, Federation, identity, roster_of, with_advert

FEDERATION = Federation(4)
ME, PEER, COLLUDER, LAST = FEDERATION.names

Attack: TypeAlias = Callable[[Roster], bytes]


def advert_of(roster: Roster, name: str) -> Advertise:
    return roster.adverts[FEDERATION.names.index(name)]


def key_substitution(roster: Roster) -> bytes:
    """The server puts its own key in a peer's advert; it cannot sign for the peer."""
    return with_advert(roster, replace(advert_of(roster, PEER), x25519_key=b"\x05" * 32))


def signed_by_a_colluder(roster: Roster) -> bytes:
    advert = replace(advert_of(roster, PEER), x25519_key=b"\x05" * 32)
    return with_advert(roster, advert.signed_by(identity(COLLUDER)))


def own_key_replaced(roster: Roster) -> bytes:
    return with_advert(roster, replace(advert_of(roster, ME), x25519_key=b"\x05" * 32))


def own_advert_left_out(roster: Roster) -> bytes:
    others = tuple(advert for advert in roster.adverts if advert != advert_of(roster, ME))
    return Roster(roster.context, others).to_bytes()


def peer_left_out(roster: Roster) -> bytes:
    others = tuple(advert for advert in roster.adverts if advert != advert_of(roster, PEER))
    return Roster(roster.context, others).to_bytes()


def duplicate_keys(roster: Roster) -> bytes:
    """A colluder repeats a peer's key and signs it."""
    key = advert_of(roster, PEER).x25519_key
    advert = replace(advert_of(roster, COLLUDER), x25519_key=key)
    return with_advert(roster, advert.signed_by(identity(COLLUDER)))


def low_order_point(roster: Roster) -> bytes:
    advert = replace(advert_of(roster, COLLUDER), x25519_key=bytes(32))
    return with_advert(roster, advert.signed_by(identity(COLLUDER)))


def kem_key_without_a_use(roster: Roster) -> bytes:
    advert = replace(advert_of(roster, COLLUDER), kem_key=bytes(KEM_KEY_BYTES))
    return with_advert(roster, advert.signed_by(identity(COLLUDER)))


def sybil(roster: Roster) -> bytes:
    advert = replace(advert_of(roster, COLLUDER), uid=b"\x42" * 16, x25519_key=b"\x05" * 32)
    return with_advert(roster, advert.signed_by(identity(COLLUDER)))


def outside_the_cohort(roster: Roster) -> bytes:
    """A region of the registry, but not of the plan."""
    uid = region_uid("outsider")
    advert = replace(advert_of(roster, COLLUDER), uid=uid, x25519_key=b"\x05" * 32)
    return with_advert(roster, advert.signed_by(identity("outsider")))


def another_round(roster: Roster) -> bytes:
    context = b"\x0c" * 32
    adverts = tuple(replace(advert, context=context) for advert in roster.adverts)
    return Roster(context, adverts).to_bytes()


ATTACKS: list[tuple[Attack, AbortCode, str | None]] = [
    (key_substitution, AbortCode.BAD_SIGNATURE, PEER),
    (signed_by_a_colluder, AbortCode.BAD_SIGNATURE, PEER),
    (own_key_replaced, AbortCode.OWN_KEY_REPLACED, None),
    (own_advert_left_out, AbortCode.OWN_KEY_REPLACED, None),
    (peer_left_out, AbortCode.TOO_FEW_KEYS, None),
    (duplicate_keys, AbortCode.DUPLICATE_KEYS, None),
    (low_order_point, AbortCode.MALFORMED, COLLUDER),
    (kem_key_without_a_use, AbortCode.MALFORMED, COLLUDER),
    (sybil, AbortCode.UNKNOWN_REGION, None),
    (outside_the_cohort, AbortCode.UNKNOWN_REGION, None),
    (another_round, AbortCode.WRONG_CONTEXT, None),
]


@pytest.mark.parametrize(
    ("attack", "code", "blamed"), ATTACKS, ids=[attack.__name__ for attack, _, _ in ATTACKS]
)
def test_a_roster_that_was_tampered_with_is_refused(
    attack: Attack, code: AbortCode, blamed: str | None
) -> None:
    """The region names the check and, where one peer is at fault, the peer; no seed is left."""
    server, regions = FEDERATION.advertised()
    region = regions[ME]
    with pytest.raises(AbortError) as caught:
        region.on_roster(attack(roster_of(server)))
    assert caught.value.code is code
    if blamed is not None:
        assert caught.value.uid == FEDERATION.uids[FEDERATION.names.index(blamed)]
    assert region.state is State.ABORTED
    assert holds_no_secret(region)


def test_two_rosters_share_no_mask() -> None:
    """Regions that were shown different (validly signed) rosters get noise, not a sum."""
    server, regions = FEDERATION.advertised()
    roster = roster_of(server)
    other = replace(advert_of(roster, COLLUDER), x25519_key=b"\x05" * 32)
    split = with_advert(roster, other.signed_by(identity(COLLUDER)))
    regions[ME].on_roster(split)
    for name in (PEER, COLLUDER, LAST):
        regions[name].on_roster(roster.to_bytes())
    for name in FEDERATION.names:
        server.on_masked(*regions[name].mask(np.zeros(FEDERATION.encoding.dim)))
    assert np.count_nonzero(server.close().words) == FEDERATION.encoding.dim


@pytest.mark.parametrize(
    ("delta", "code"),
    [
        (np.zeros(4), AbortCode.BAD_LENGTH),
        (np.zeros(6), AbortCode.BAD_LENGTH),
        (np.full(5, np.nan), AbortCode.NONFINITE_INPUT),
        (np.full(5, np.inf), AbortCode.NONFINITE_INPUT),
    ],
)
def test_a_delta_that_cannot_be_sent_ends_the_round(delta: Delta, code: AbortCode) -> None:
    """Nothing is sent, and the seeds are gone."""
    _, regions = FEDERATION.keyed()
    with pytest.raises(AbortError) as caught:
        regions[ME].mask(delta)
    assert caught.value.code is code
    assert holds_no_secret(regions[ME])


def test_a_region_masks_one_vector() -> None:
    """A second call would show the difference of two deltas; it is an error for ever."""
    _, regions = FEDERATION.keyed()
    region = regions[ME]
    region.mask(np.zeros(5))
    assert region.state is State.DONE
    assert holds_no_secret(region)
    for _ in range(2):
        with pytest.raises(OutOfOrderError):
            region.mask(np.zeros(5))


@pytest.mark.parametrize("call", ["on_roster", "mask"])
def test_calls_in_the_wrong_order_end_the_round(call: str) -> None:
    """Nothing can be done before start, and after such a call nothing at all."""
    region = FEDERATION.region(ME)
    with pytest.raises(OutOfOrderError):
        region.mask(np.zeros(5)) if call == "mask" else region.on_roster(b"")
    assert region.state is State.ABORTED
    with pytest.raises(OutOfOrderError):
        region.start(FEDERATION.signed())


def test_abort_drops_the_keys() -> None:
    """A region can leave at any time."""
    _, regions = FEDERATION.keyed()
    regions[ME].abort()
    assert holds_no_secret(regions[ME])
    with pytest.raises(OutOfOrderError):
        regions[ME].mask(np.zeros(5))


def test_the_masked_message_says_what_was_sent() -> None:
    """Sender, peers, size, hashes, checkpoint; and what was clipped is not among it."""
    _, regions = FEDERATION.keyed()
    masked, chunks = regions[ME].mask(np.full(5, 2.0, np.float32), checkpoint=b"note")
    message = Masked.from_bytes(masked)
    message.verify(identity(ME).public_bytes())
    assert message.context == regions[ME].context
    assert message.uid == regions[ME].uid == FEDERATION.uids[0]
    assert message.base == FEDERATION.uids[1:]
    assert message.size_bytes == sum(map(len, chunks)) == 20
    assert message.checkpoint == b"note"
    assert regions[ME].saturated == 5


def test_a_region_shows_no_secret() -> None:
    """Neither ``repr`` nor pickle nor copy of a round in progress leaves the process."""
    _, regions = FEDERATION.keyed()
    region = regions[ME]
    for leave in pickle.dumps, copy.copy, copy.deepcopy:
        with pytest.raises(TypeError, match="secret"):
            leave(region)
    assert repr(region) == f"RegionRound(uid={region.uid.hex()}, state=KEYED)"


def holds_no_secret(region: RegionRound) -> bool:
    """Return whether neither the round's key nor a seed is left."""
    return region._keys is None and not region._seeds
