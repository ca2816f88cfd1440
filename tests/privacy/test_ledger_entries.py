from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privacy.canonical import dumps, loads
from privacy.errors import LedgerCorruptError, LedgerError, LedgerVersionError, UnknownEntryError
from privacy.guarantee import Bound, Unit
from privacy.ledger_entries import (
    MAX_BODY_BYTES,
    NO_HASH,
    Account,
    Approval,
    Context,
    Entry,
    Freeze,
    Genesis,
    Lift,
    Merge,
    Note,
    Payload,
    Release,
    Reserve,
    Reveal,
    Send,
    Sum,
)
from tests.privacy.test_canonical import TEXT, VALUES
from tests.privacy.test_events import MECHANISMS
from tests.privacy.test_guarantee import BOUNDS

DIGESTS = st.binary(min_size=32, max_size=32).map(bytes.hex)
NUMBERS = st.integers(0, 2**53 - 1)
COUNTS = st.integers(1, 2**53 - 1)
BOUND_LISTS: st.SearchStrategy[tuple[Bound, ...]] = st.lists(BOUNDS, max_size=3).map(tuple)
UIDS = st.lists(st.binary(min_size=16, max_size=16), min_size=1, max_size=5).map(
    lambda uids: b"".join(uids).hex()
)
PAYLOADS: st.SearchStrategy[Payload] = st.one_of(
    st.builds(Genesis, TEXT),
    st.builds(Account, TEXT, BOUND_LISTS),
    st.builds(Merge, TEXT, TEXT, TEXT),
    st.builds(Freeze, TEXT, TEXT, st.dictionaries(TEXT, VALUES, max_size=3), TEXT),
    st.builds(Lift, TEXT, BOUND_LISTS, TEXT, TEXT, DIGESTS.map(lambda half: half + half)),
    st.builds(
        Approval,
        DIGESTS,
        TEXT,
        st.sampled_from(Unit),
        st.none() | COUNTS,
        st.dictionaries(TEXT, MECHANISMS, max_size=3),
        BOUND_LISTS,
        TEXT,
    ),
    st.builds(Context, DIGESTS, NUMBERS, NUMBERS, DIGESTS),
    st.builds(Reserve, DIGESTS, NUMBERS, TEXT, COUNTS, COUNTS),
    st.builds(Release, DIGESTS, NUMBERS, TEXT, COUNTS, DIGESTS, NUMBERS),
    st.builds(Send, DIGESTS, NUMBERS, TEXT, DIGESTS, DIGESTS, NUMBERS, TEXT),
    st.builds(Reveal, DIGESTS, NUMBERS, DIGESTS, UIDS, DIGESTS),
    st.builds(Sum, DIGESTS, NUMBERS, DIGESTS, UIDS),
    st.builds(Note, TEXT, st.dictionaries(TEXT, VALUES, max_size=3)),
)
ENTRIES = st.builds(
    Entry,
    COUNTS,
    NUMBERS,
    DIGESTS,
    st.binary(min_size=16, max_size=16).map(bytes.hex),
    PAYLOADS,
)

# Written by hand from the module's docstring; a change here makes every ledger unreadable.
RESERVE_BODY = (
    '{"component":"train","draw":1,"kind":"reserve","plan":"'
    + "ab" * 32
    + '","previous":"'
    + "0" * 64
    + '","round":3,"salt":"'
    + "cd" * 16
    + '","seq":7,"steps":2,"time":1800000000}'
)


@given(entry=ENTRIES)
def test_an_entry_survives_the_round_trip(entry: Entry) -> None:
    """Every kind of entry is read as it was written."""
    assert Entry.from_bytes(entry.to_bytes()) == entry


@given(entry=ENTRIES)
def test_a_body_is_what_another_program_writes(entry: Entry) -> None:
    """RFC 8785's reference in Python gives the same bytes for the same value."""
    other = pytest.importorskip("rfc8785")
    body = entry.to_bytes()
    assert other.dumps(json.loads(body)) == body


@given(entry=ENTRIES, place=st.integers(0, 10**6), byte=st.integers(0, 255))
def test_a_changed_body_is_refused_or_another_entry(entry: Entry, place: int, byte: int) -> None:
    """A flipped byte gives a LedgerError or another valid entry, and never another exception."""
    body = bytearray(entry.to_bytes())
    body[place % len(body)] = byte
    with contextlib.suppress(LedgerError):
        assert Entry.from_bytes(bytes(body)).to_bytes() == body


@given(data=st.binary(max_size=64))
def test_garbage_raises_only_ledger_errors(data: bytes) -> None:
    """Whatever a file holds, it is an entry or a LedgerError."""
    with contextlib.suppress(LedgerError):
        Entry.from_bytes(data)


def test_the_bytes_of_an_entry_are_fixed() -> None:
    """The recorded body is written and read exactly."""
    payload = Reserve(plan="ab" * 32, round=3, component="train", draw=1, steps=2)
    entry = Entry(seq=7, time=1_800_000_000, previous=NO_HASH, salt="cd" * 16, payload=payload)
    assert entry.to_bytes() == RESERVE_BODY.encode()
    assert Entry.from_bytes(RESERVE_BODY.encode()) == entry


def changed(**members: Any) -> bytes:
    value = loads(RESERVE_BODY.encode())
    assert isinstance(value, dict)
    return dumps({**value, **members})


def test_an_unknown_kind_is_refused_and_says_what_to_do() -> None:
    """A kind of a later release stops this one."""
    with pytest.raises(UnknownEntryError, match="update stillroom"):
        Entry.from_bytes(changed(kind="refund"))


@pytest.mark.parametrize(
    "members",
    [{"extra": 1}, {"steps": 0}, {"steps": "2"}, {"draw": 0}, {"plan": "ab"}, {"seq": 0}],
)
def test_a_field_of_another_form_is_refused(members: dict[str, Any]) -> None:
    """Unknown, missing and misspelt fields are damage."""
    with pytest.raises(LedgerCorruptError):
        Entry.from_bytes(changed(**members))


def test_a_later_format_is_refused() -> None:
    """A ledger that a later release began is not read."""
    body = dumps(
        {
            "format": "stillroom-ledger/2",
            "kind": "genesis",
            "previous": NO_HASH,
            "region": "north",
            "salt": "cd" * 16,
            "seq": 1,
            "time": 0,
        }
    )
    with pytest.raises(LedgerVersionError):
        Entry.from_bytes(body)


def test_an_oversized_body_is_refused_before_it_is_parsed() -> None:
    """The limit stands before the parser."""
    with pytest.raises(LedgerCorruptError, match="at most"):
        Entry.from_bytes(b"[" * (MAX_BODY_BYTES + 1))


@pytest.mark.parametrize("events", [["train", "train"]])
def test_a_component_named_twice_is_refused(events: list[str]) -> None:
    """The second would hide the first one's maximum."""
    event = {"kind": "gaussian", "noise_multiplier": "1", "steps": 1}
    components = [{"name": name, "event": event} for name in events]
    with pytest.raises(LedgerCorruptError, match="twice"):
        Entry.from_bytes(_approval_body(components))


def test_a_component_is_one_mechanism() -> None:
    """A composed event has no single maximum of steps."""
    composed = {"kind": "composed", "events": []}
    with pytest.raises(LedgerCorruptError, match="composed"):
        Entry.from_bytes(_approval_body([{"name": "train", "event": composed}]))


def _approval_body(components: list[dict[str, Any]]) -> bytes:
    return dumps(
        {
            "approved_by": "a steward",
            "charges": [],
            "components": components,
            "kind": "plan",
            "lineage": "patients",
            "plan": "ab" * 32,
            "previous": NO_HASH,
            "salt": "cd" * 16,
            "seq": 1,
            "time": 0,
        }
    )
