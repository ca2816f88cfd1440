from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest

from protocol.errors import AbortError, MalformedMessageError
from protocol.messages import Advertise, Checkpoint, Masked, Roster
from protocol.wire import CHUNK_BYTES, MAX_VECTOR_BYTES
from tests.protocol.builders import Federation, identity
from tests.protocol.samples import samples

FEDERATION = Federation(3)
UIDS = FEDERATION.uids
NOTES = tuple(Checkpoint(uid, b"note") for uid in UIDS)
ADVERTS = cast(Roster, samples()["roster"].value).adverts  # the sample's type is what it is named
DIGESTS = (b"d" * 32, b"e" * 32)

# (message, a field out of its limits)
TABLE: list[tuple[str, dict[str, Any]]] = [
    ("advertise", {"context": b"c" * 31}),
    ("advertise", {"uid": b"u" * 15}),
    ("advertise", {"x25519_key": b"k" * 33}),
    ("advertise", {"kem_key": b"k" * 32}),
    ("advertise", {"checkpoints": NOTES[::-1]}),
    ("advertise", {"checkpoints": (NOTES[0], NOTES[0])}),
    ("advertise", {"signature": b"s" * 63}),
    ("roster", {"context": b"c" * 31, "adverts": ()}),
    ("roster", {"context": b"c" * 32}),
    ("roster", {"adverts": ADVERTS[::-1]}),
    ("roster", {"adverts": (ADVERTS[0], ADVERTS[0])}),
    ("masked", {"context": b""}),
    ("masked", {"uid": b"u" * 17}),
    ("masked", {"base": UIDS[::-1]}),
    ("masked", {"base": (UIDS[0], UIDS[0])}),
    ("masked", {"size_bytes": 0, "chunk_hashes": ()}),
    ("masked", {"size_bytes": MAX_VECTOR_BYTES + 1}),
    ("masked", {"size_bytes": CHUNK_BYTES}),
    ("masked", {"size_bytes": 2 * CHUNK_BYTES + 1}),
    ("masked", {"chunk_hashes": DIGESTS[:1]}),
    ("masked", {"chunk_hashes": (b"d" * 31, b"e" * 33)}),
    ("masked", {"checkpoint": b"n" * 1025}),
    ("masked", {"signature": b""}),
    ("outcome", {"context": b"c"}),
    ("outcome", {"survivors": UIDS[::-1]}),
    ("outcome", {"size_bytes": 0}),
    ("outcome", {"size_bytes": MAX_VECTOR_BYTES + 1}),
    ("outcome", {"sum_sha256": b"s" * 31}),
    ("outcome", {"signature": b"s" * 65}),
    ("collect", {"context": b"c" * 31}),
    ("pending", {"context": b"c" * 33}),
    ("behind", {"plan_hash": b"p" * 31}),
    ("behind", {"uid": b"u" * 15}),
    ("behind", {"round_": 2**32}),
    ("behind", {"round_": -1}),
    ("refusal", {"context": b""}),
    ("refusal", {"uid": b"u"}),
]


@pytest.mark.parametrize(("name", "change"), TABLE)
def test_a_message_out_of_its_limits_is_refused(name: str, change: dict[str, Any]) -> None:
    """Lengths, order and counts hold for what is written as for what is read."""
    value: Any = samples()[name].value
    with pytest.raises(MalformedMessageError):
        replace(value, **change)


@pytest.mark.parametrize(
    ("uid", "note"), [(b"u" * 15, b"n"), (b"u" * 16, b""), (b"u" * 16, b"n" * 1025)]
)
def test_a_checkpoint_out_of_its_limits_is_refused(uid: bytes, note: bytes) -> None:
    """A checkpoint is somebody's, and short."""
    with pytest.raises(MalformedMessageError):
        Checkpoint(uid, note)


@pytest.mark.parametrize(
    "change",
    [{"context": b"c" * 32}, {"uid": UIDS[1]}, {"x25519_key": b"k" * 32}, {"checkpoints": NOTES}],
    ids=lambda change: next(iter(change)),
)
def test_the_signature_of_an_advert_covers_every_field(change: dict[str, Any]) -> None:
    """No field can be changed on the way."""
    advert = cast(Advertise, samples()["advertise"].value)
    key = identity(FEDERATION.names[0]).public_bytes()
    advert.verify(key)
    with pytest.raises(AbortError, match="bad_signature"):
        replace(advert, **change).verify(key)


@pytest.mark.parametrize(
    "change",
    [
        {"context": b"c" * 32},
        {"uid": UIDS[1]},
        {"base": UIDS[:1]},
        {"size_bytes": CHUNK_BYTES + 8},
        {"chunk_hashes": DIGESTS},
        {"checkpoint": b""},
    ],
    ids=lambda change: next(iter(change)),
)
def test_the_signature_of_a_vector_covers_every_field(change: dict[str, Any]) -> None:
    """No field can be changed on the way."""
    masked = cast(Masked, samples()["masked"].value)
    key = identity(FEDERATION.names[0]).public_bytes()
    masked.verify(key)
    with pytest.raises(AbortError, match="bad_signature"):
        replace(masked, **change).verify(key)


def test_the_hash_of_a_roster_covers_every_advert() -> None:
    """Another key, another signature or a missing advert is another roster."""
    roster = cast(Roster, samples()["roster"].value)
    first, *others = roster.adverts
    rosters = [
        roster,
        replace(roster, adverts=tuple(others)),
        replace(roster, adverts=(replace(first, x25519_key=b"k" * 32), *others)),
        replace(roster, adverts=(replace(first, signature=bytes(64)), *others)),
    ]
    assert len({roster.hash() for roster in rosters}) == len(rosters)
