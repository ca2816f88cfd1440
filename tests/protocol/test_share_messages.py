from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import MalformedMessageError
from protocol.share_messages import (
    BOX_BYTES,
    MAX_ITEM_BYTES,
    Accepted,
    Dealing,
    Encaps,
    Members,
    Parcel,
    Shares,
)
from protocol.wire import KEM_CIPHERTEXT_BYTES, MAX_REGIONS, Kind, Writer
from tests.protocol.samples import samples

SHARES = cast(Shares, samples()["shares"].value)  # the sample's type is what it is named
DEALING, UIDS = SHARES.dealings[0], SHARES.recipients
OTHERS = tuple(i.to_bytes(16, "big") for i in range(MAX_REGIONS + 1))
HASHES = st.binary(min_size=32, max_size=32)
UID_SETS = st.frozensets(st.binary(min_size=16, max_size=16), max_size=6).map(sorted).map(tuple)

TOO_MANY = tuple(replace(DEALING, uid=b"\xff" * 16, recipient=uid) for uid in OTHERS[1:])

# (message, a field out of its limits)
TABLE: list[tuple[str, dict[str, Any]]] = [
    ("encaps", {"roster_hash": b"r" * 31}),
    ("encaps", {"uid": b"u" * 15}),
    ("encaps", {"recipient": b""}),
    ("encaps", {"recipient": bytes(16)}),  # lower than the sender: it encapsulates, not we
    ("encaps", {"ciphertext": b"c"}),
    ("encaps", {"ciphertext": b"c" * (KEM_CIPHERTEXT_BYTES + 1)}),
    ("encaps", {"signature": b"s" * 63}),
    ("dealing", {"roster_hash": b""}),
    ("dealing", {"uid": b"u" * 17}),
    ("dealing", {"uid": DEALING.recipient}),
    ("dealing", {"recipient": b"u"}),
    ("dealing", {"recipient": DEALING.uid}),
    ("dealing", {"box": b"b" * (BOX_BYTES - 1)}),
    ("dealing", {"self_share": b"c" * 31}),
    ("dealing", {"escrow_share": b"c" * 33}),
    ("dealing", {"seed": b""}),
    ("dealing", {"signature": b""}),
    ("shares", {"roster_hash": b"r" * 33}),
    ("shares", {"roster_hash": b"r" * 32}),  # its dealings are of another one
    ("shares", {"roster_hash": b"r" * 31, "dealings": (), "escrow": bytes(16)}),
    ("shares", {"uid": b"\xff" * 16, "dealings": TOO_MANY, "escrow": bytes(32 * 128 + 16)}),
    ("shares", {"uid": b"u" * 16}),
    ("shares", {"self_secret": b"c" * 31}),
    ("shares", {"escrow_secret": b"c" * 33}),
    ("shares", {"self_share": b""}),
    ("shares", {"escrow": SHARES.escrow[:-1]}),
    ("shares", {"escrow": SHARES.escrow + bytes(32)}),
    ("shares", {"dealings": SHARES.dealings[::-1]}),
    ("shares", {"dealings": SHARES.dealings[:-1]}),  # an escrow of four seeds
    ("shares", {"dealings": (DEALING, *SHARES.dealings[:-1])}),
    ("shares", {"signature": b"s" * 65}),
    ("accepted", {"roster_hash": b"r"}),
    ("accepted", {"uid": b""}),
    ("accepted", {"uid": UIDS[0]}),
    ("accepted", {"peers": UIDS[::-1]}),
    ("accepted", {"peers": (UIDS[0], UIDS[0])}),
    ("accepted", {"peers": (b"u" * 15,)}),
    ("accepted", {"peers": OTHERS}),
    ("accepted", {"signature": b"s"}),
    ("members", {"roster_hash": b"r" * 31}),
    ("members", {"uids": UIDS[::-1]}),
    ("members", {"uids": OTHERS}),
    ("parcel", {"roster_hash": b"r" * 31}),
    ("parcel", {"uid": b"u" * 15}),
    ("parcel", {"items": (b"",) * (MAX_REGIONS + 1)}),
    ("parcel", {"items": (b"i" * (MAX_ITEM_BYTES + 1),)}),
]


@pytest.mark.parametrize(("name", "change"), TABLE)
def test_a_message_out_of_its_limits_is_refused(name: str, change: dict[str, Any]) -> None:
    """Lengths, order and counts hold for what is written as for what is read."""
    value: Any = samples()[name].value
    with pytest.raises(MalformedMessageError):
        replace(value, **change)


def test_a_dealing_has_the_size_it_says() -> None:
    """`Shares` reads them by it."""
    assert len(DEALING.to_bytes()) == Dealing.SIZE


def test_a_dealing_is_found_by_its_recipient() -> None:
    """And that of nobody is an error."""
    for dealing in SHARES.dealings:
        assert SHARES.dealing_to(dealing.recipient) == dealing
    with pytest.raises(ValueError, match="not in tuple"):
        SHARES.dealing_to(SHARES.uid)


@pytest.mark.parametrize("name", ["encaps", "encaps_hybrid", "dealing"])
def test_what_travels_in_a_parcel_fits_into_it(name: str) -> None:
    """The limit of an item is above the largest message that is one."""
    assert len(samples()[name].value.to_bytes()) <= MAX_ITEM_BYTES


def test_the_largest_parcel_and_shares_can_be_read() -> None:
    """127 dealings and 128 items."""
    dealings = TOO_MANY[: MAX_REGIONS - 1]
    shares = replace(
        SHARES,
        uid=b"\xff" * 16,
        escrow=bytes(32 * len(dealings) + 16),
        dealings=dealings,
    )
    assert Shares.from_bytes(shares.to_bytes()) == shares
    parcel = Parcel(b"r" * 32, b"u" * 16, (b"i" * MAX_ITEM_BYTES,) * MAX_REGIONS)
    assert Parcel.from_bytes(parcel.to_bytes()) == parcel


def test_a_region_too_many_is_refused_by_its_count() -> None:
    """128 dealings, or 129 items, are too many whatever follows."""
    writer = Writer(Kind.PARCEL).raw(b"r" * 32).raw(b"u" * 16).integer(MAX_REGIONS + 1, size=2)
    with pytest.raises(MalformedMessageError, match="at most 128"):
        Parcel.from_bytes(writer.raw(bytes(4 * (MAX_REGIONS + 1))).bytes())
    shares = Writer(Kind.SHARES).raw(bytes(32 + 16 + 3 * 32)).blob(bytes(16))
    with pytest.raises(MalformedMessageError, match="at most 127"):
        Shares.from_bytes(shares.integer(MAX_REGIONS, size=2).raw(bytes(9000)).bytes())


@given(
    roster_hash=HASHES,
    uids=st.tuples(*[st.binary(min_size=16, max_size=16)] * 2).filter(lambda two: two[0] < two[1]),
    ciphertext=st.sampled_from([b"", b"c" * KEM_CIPHERTEXT_BYTES]),
)
def test_any_ciphertext_survives_the_wire(
    roster_hash: bytes, uids: tuple[bytes, bytes], ciphertext: bytes
) -> None:
    """What was written is read."""
    low, high = uids
    message = Encaps(roster_hash=roster_hash, uid=low, recipient=high, ciphertext=ciphertext)
    assert Encaps.from_bytes(message.to_bytes()) == message


@given(roster_hash=HASHES, uids=UID_SETS, items=st.lists(st.binary(max_size=99), max_size=9))
def test_any_list_survives_the_wire(
    roster_hash: bytes, uids: tuple[bytes, ...], items: list[bytes]
) -> None:
    """Members, accepted peers and parcels of any size."""
    members = Members(roster_hash, uids)
    assert Members.from_bytes(members.to_bytes()) == members
    peers = tuple(uid for uid in uids if uid != b"u" * 16)
    accepted = Accepted(roster_hash=roster_hash, uid=b"u" * 16, peers=peers)
    assert Accepted.from_bytes(accepted.to_bytes()) == accepted
    parcel = Parcel(roster_hash, b"u" * 16, tuple(items))
    assert Parcel.from_bytes(parcel.to_bytes()) == parcel
