from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import AbortCode, AbortError, MalformedMessageError
from protocol.governance import (
    Approval,
    RegistryChange,
    Rotation,
    accept_change,
    accept_changes,
    approvals_needed,
    sign_change,
)
from protocol.identity import SERVER_UID, RegionRecord, Registry
from tests.protocol.builders import NAMES, NOW, identity
from tests.protocol.governance_attacks import (
    ATTACKS,
    FIVE,
    NEEDED,
    NEXT,
    PINNED,
    UIDS,
    registry,
    rotated,
    signed,
    with_record,
)


def test_enough_regions_of_the_epoch_before_change_the_registry() -> None:
    """Two thirds, rounded up, sign: the new registry is accepted as it was signed."""
    change = signed(NEXT, *FIVE[:NEEDED])
    assert accept_change(change.to_bytes(), pinned=PINNED, now=NOW) == NEXT


def test_a_region_leaves_without_its_own_signature() -> None:
    """The others remove it, with their keys of the epoch before."""
    change = signed(registry(*FIVE[:4], epoch=2), *FIVE[:4])
    assert len(accept_change(change.to_bytes(), pinned=PINNED, now=NOW).regions) == 4


def test_a_region_takes_a_new_key_with_both_its_keys() -> None:
    """The old key approves and hands over; from then on the new key is the region's."""
    change = signed(rotated("avonlea"), *FIVE[:NEEDED], rotated=("avonlea",))
    accepted = accept_change(change.to_bytes(), pinned=PINNED, now=NOW)
    record = accepted.record(UIDS["avonlea"])
    assert record.identity_key == identity("avonlea/2").public_bytes()


def test_the_server_gets_a_new_key_from_the_regions() -> None:
    """They may do so even when its old key is past its date."""
    pinned = replace(PINNED, server_not_after=NOW - 1)
    other = replace(PINNED, epoch=2, server_key=identity("server/2").public_bytes())
    change = signed(other, *FIVE[:NEEDED], pinned=pinned)
    assert accept_change(change.to_bytes(), pinned=pinned, now=NOW) == other


@pytest.mark.parametrize(
    ("size", "quorum", "needed"),
    [(1, 1, 1), (2, 1, 2), (3, 1, 2), (4, 1, 3), (5, 1, 4), (6, 1, 4), (6, 5, 5), (8, 8, 8)],
)
def test_approvals_needed_are_the_quorum_or_two_thirds(size: int, quorum: int, needed: int) -> None:
    """A quorum may ask for more than two thirds, never for fewer."""
    assert approvals_needed(registry(*NAMES[:size], quorum=quorum)) == needed


@given(size=st.integers(1, 8), quorum=st.integers(1, 8), signers=st.integers(0, 8))
def test_a_change_is_accepted_if_and_only_if_enough_sign(
    size: int, quorum: int, signers: int
) -> None:
    """For any number of regions, any quorum and any number of signatures."""
    names = NAMES[:size]
    pinned = registry(*names, quorum=min(quorum, size))
    following = registry(*names, epoch=2)
    change = signed(following, *names[:signers], pinned=pinned).to_bytes()
    if min(signers, size) >= max(pinned.quorum, 2 * size / 3):
        assert accept_change(change, pinned=pinned, now=NOW) == following
    else:
        with pytest.raises(AbortError) as caught:
            accept_change(change, pinned=pinned, now=NOW)
        assert caught.value.code is AbortCode.BAD_THRESHOLD


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_change_that_the_regions_did_not_make_is_refused(attack: str) -> None:
    """Each with the code of the check that fails, and the region at fault where there is one."""
    make, code, culprit = ATTACKS[attack]
    with pytest.raises(AbortError) as caught:
        accept_change(make().to_bytes(), pinned=PINNED, now=NOW)
    assert caught.value.code is code
    if culprit is None:
        assert caught.value.uid is None
    elif culprit == "server":
        assert caught.value.uid == SERVER_UID
    elif culprit:
        assert caught.value.uid == UIDS[culprit]


def test_two_regions_with_one_key_are_no_registry() -> None:
    """Such a change cannot be made, and bytes that say so are not read."""
    stolen = identity("avonlea").public_bytes()
    with pytest.raises(MalformedMessageError, match="twice"):
        with_record(NEXT, "newcomer", identity_key=stolen)
    own = identity("newcomer").public_bytes()
    spelled = signed(NEXT, *FIVE).to_bytes().replace(own, stolen)
    with pytest.raises(MalformedMessageError, match="twice"):
        accept_change(spelled, pinned=PINNED, now=NOW)


def test_one_region_counts_once() -> None:
    """Its signature four times is no message."""
    (approval,) = signed(NEXT, "avonlea").approvals
    with pytest.raises(MalformedMessageError, match="ascending"):
        RegistryChange(PINNED.hash, NEXT, (approval,) * NEEDED)
    (rotation,) = signed(NEXT, rotated=("avonlea",)).rotations
    with pytest.raises(MalformedMessageError, match="ascending"):
        RegistryChange(PINNED.hash, NEXT, (), (rotation, rotation))


@pytest.mark.parametrize(
    ("signers", "code"), [(FIVE, None), (FIVE[:NEEDED], AbortCode.EXPIRED)], ids=["five", "four"]
)
def test_regions_past_their_date_do_not_count(
    signers: tuple[str, ...], code: AbortCode | None
) -> None:
    """The signature of one is read and checked, but four others are needed."""
    pinned = with_record(PINNED, "avonlea", not_after=NOW)
    change = signed(NEXT, *signers, pinned=pinned).to_bytes()
    if code is None:
        assert accept_change(change, pinned=pinned, now=NOW) == NEXT
    else:
        with pytest.raises(AbortError) as caught:
            accept_change(change, pinned=pinned, now=NOW)
        assert caught.value.code is code
    assert accept_change(change, pinned=pinned, now=NOW - 1) == NEXT


def test_a_key_past_its_date_hands_nothing_over() -> None:
    """Whoever finds an old key cannot take the region's place with it."""
    pinned = with_record(PINNED, "avonlea", not_after=NOW)
    following = rotated("avonlea", pinned)
    change = signed(following, *FIVE[1:], pinned=pinned, rotated=("avonlea",)).to_bytes()
    with pytest.raises(AbortError) as caught:
        accept_change(change, pinned=pinned, now=NOW)
    assert (caught.value.code, caught.value.uid) == (AbortCode.EXPIRED, UIDS["avonlea"])
    assert accept_change(change, pinned=pinned, now=NOW - 1) == following


def _chain() -> tuple[list[bytes], Registry]:
    """Return three changes: avonlea's key, a newcomer, one leaves; and the last registry."""
    first = rotated("avonlea")
    record = NEXT.record(UIDS["newcomer"])
    regions = sorted((*first.regions, record), key=lambda record: record.uid)
    second = replace(first, epoch=3, regions=tuple(regions))
    third = replace(second, epoch=4, regions=_without(second, "elster"))
    keys = {UIDS[name]: identity(name) for name in (*FIVE, "newcomer")}
    after = keys | {UIDS["avonlea"]: identity("avonlea/2")}
    of_five = {uid: key for uid, key in after.items() if uid != UIDS["newcomer"]}
    changes = (
        signed(first, *FIVE, rotated=("avonlea",)),
        sign_change(first, second, approvers=of_five),
        sign_change(second, third, approvers=after),
    )
    return [change.to_bytes() for change in changes], third


def _without(registry: Registry, name: str) -> tuple[RegionRecord, ...]:
    return tuple(record for record in registry.regions if record.name != name)


def test_a_chain_of_changes_leads_to_one_registry() -> None:
    """In order, each signed with the keys of the epoch before it; none is no change."""
    chain, last = _chain()
    assert accept_changes(chain, pinned=PINNED, now=NOW) == last
    assert accept_changes([], pinned=PINNED, now=NOW) == PINNED
    with pytest.raises(AbortError, match="registry_mismatch"):
        accept_changes(chain, pinned=last, now=NOW)


@given(order=st.lists(st.integers(0, 2), min_size=1, max_size=4))
def test_a_chain_with_a_link_missing_twice_or_moved_is_refused(order: list[int]) -> None:
    """Only the changes from the first on, in order, are a chain."""
    chain, _ = _chain()
    if order == list(range(len(order))):
        assert accept_changes((chain[i] for i in order), pinned=PINNED, now=NOW).epoch == 1 + len(
            order
        )
    else:
        with pytest.raises(AbortError, match="registry_mismatch"):
            accept_changes((chain[i] for i in order), pinned=PINNED, now=NOW)


def test_an_old_key_signs_no_later_change() -> None:
    """After its rotation the old key is nobody's."""
    first = rotated("avonlea")
    second = replace(first, epoch=3)
    change = signed(second, *FIVE, pinned=first).to_bytes()
    with pytest.raises(AbortError) as caught:
        accept_change(change, pinned=first, now=NOW)
    assert (caught.value.code, caught.value.uid) == (AbortCode.BAD_SIGNATURE, UIDS["avonlea"])


@given(
    signers=st.sets(st.sampled_from(FIVE)),
    handing_over=st.sets(st.sampled_from(FIVE)),
    epoch=st.integers(0, 2**32 - 1),
)
def test_any_change_survives_the_wire(
    signers: set[str], handing_over: set[str], epoch: int
) -> None:
    """What was written is read, with any signatures."""
    change = signed(replace(NEXT, epoch=epoch), *signers, rotated=tuple(handing_over))
    assert RegistryChange.from_bytes(change.to_bytes()) == change


@given(data=st.binary(max_size=80))
def test_garbage_is_malformed(data: bytes) -> None:
    """Any other bytes raise MalformedMessageError alone."""
    with pytest.raises(MalformedMessageError):
        RegistryChange.from_bytes(b"FSA1\x01\x04" + data)


CHANGE = signed(rotated("avonlea"), *FIVE, rotated=("avonlea",)).to_bytes()


@given(at=st.integers(0, len(CHANGE) - 1), bit=st.integers(0, 7))
def test_no_bit_of_an_accepted_change_can_be_flipped(at: int, bit: int) -> None:
    """Every byte is in the format, in the registry that was signed, or in a signature."""
    data = bytearray(CHANGE)
    data[at] ^= 1 << bit
    with pytest.raises((MalformedMessageError, AbortError)):
        accept_change(bytes(data), pinned=PINNED, now=NOW)


@given(end=st.integers(0, len(CHANGE) - 1), more=st.binary(min_size=1, max_size=8))
def test_a_change_cut_short_or_continued_is_malformed(end: int, more: bytes) -> None:
    """A message has one end."""
    for data in CHANGE[:end], CHANGE + more:
        with pytest.raises(MalformedMessageError):
            accept_change(data, pinned=PINNED, now=NOW)


def test_a_signature_of_another_size_is_refused() -> None:
    """Also where the value is made by hand."""
    uid, right = UIDS["avonlea"], bytes(64)
    for make in (
        lambda: Approval(uid, bytes(63)),
        lambda: Rotation(uid, bytes(63), right),
        lambda: Rotation(uid, right, bytes(65)),
        lambda: RegistryChange(bytes(31), NEXT),
    ):
        with pytest.raises(MalformedMessageError, match="bytes"):
            make()


def test_the_messages_say_what_to_do() -> None:
    """Expected, came, and the next step, for a person who collects signatures."""
    with pytest.raises(AbortError) as caught:
        accept_change(signed(NEXT, *FIVE[:2]).to_bytes(), pinned=PINNED, now=NOW)
    assert str(caught.value) == (
        "bad_threshold: expected approvals by at least 4 of the 5 regions of epoch 1, got 2, of "
        "which 0 by regions whose record is past its date; collect the missing ones"
    )
