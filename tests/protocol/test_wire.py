from __future__ import annotations

import contextlib
import struct
from itertools import pairwise, permutations

import pytest

from protocol.errors import MalformedMessageError
from protocol.wire import (
    CHUNK_BYTES,
    MAGIC,
    VERSION,
    Kind,
    Reader,
    chunk_count,
    require_ascending,
    split_chunks,
)
from tests.protocol.samples import Sample, samples

EVERY_MESSAGE = pytest.mark.parametrize("sample", samples().values(), ids=samples().keys())


@EVERY_MESSAGE
def test_what_was_written_is_read(sample: Sample) -> None:
    """Every message survives the wire."""
    assert sample.read(sample.value.to_bytes()) == sample.value


@EVERY_MESSAGE
def test_every_flipped_bit_is_read_as_another_value_or_refused(sample: Sample) -> None:
    """No bit is without meaning, and none makes the reader fail in another way."""
    data = sample.value.to_bytes()
    for at in range(0, len(data), 1 + len(data) // 600):  # test_fuzz: every byte
        damaged = bytearray(data)
        damaged[at] ^= 1 << at % 8
        with contextlib.suppress(MalformedMessageError):
            value = sample.read(bytes(damaged))
            assert value.to_bytes() == damaged
            assert value != sample.value


@EVERY_MESSAGE
def test_every_truncation_and_every_extra_byte_is_refused(sample: Sample) -> None:
    """A message ends where its last field ends."""
    data = sample.value.to_bytes()
    for size in range(len(data)):
        with pytest.raises(MalformedMessageError):
            sample.read(data[:size])
    with pytest.raises(MalformedMessageError):
        sample.read(data + b"\0")


def test_a_message_of_one_kind_is_none_of_another() -> None:
    """The header says which it is; a reader takes no other, whatever follows."""
    for one, other in permutations(samples().values(), 2):
        if type(one.value) is not type(other.value):
            with pytest.raises(MalformedMessageError, match="does the peer run another release"):
                other.read(one.value.to_bytes())


def test_no_kind_has_two_readers() -> None:
    """Every kind on the wire is read by one class."""
    kinds: dict[int, set[type]] = {}
    for sample in samples().values():
        kinds.setdefault(sample.value.to_bytes()[5], set()).add(type(sample.value))
    assert {len(types) for types in kinds.values()} == {1}
    assert len(kinds) == len({type(sample.value) for sample in samples().values()})


def test_other_versions_and_kinds_are_refused() -> None:
    """A later release's message is refused by name."""
    data = samples()["collect"].value.to_bytes()
    with pytest.raises(MalformedMessageError, match="another release"):
        samples()["collect"].read(data[:4] + bytes([VERSION + 1]) + data[5:])
    with pytest.raises(MalformedMessageError, match="another release"):
        samples()["pending"].read(data)


@pytest.mark.parametrize(
    "uids",
    [
        (b"\x02" * 16, b"\x01" * 16),
        (b"\x01" * 16, b"\x01" * 16),
        (b"\x01" * 15,),
        tuple(i.to_bytes(16, "big") for i in range(129)),
    ],
)
def test_identifiers_are_ascending_and_few(uids: tuple[bytes, ...]) -> None:
    """Unsorted, doubled, short or more than 128: refused."""
    with pytest.raises(MalformedMessageError):
        require_ascending(uids)


@pytest.mark.parametrize("number", ["nan", "inf", "-inf", "-0.0", "-1.0"])
def test_reals_are_finite_and_not_negative(number: str) -> None:
    """A NaN never gets past the reader."""
    data = MAGIC + bytes((VERSION, Kind.COLLECT)) + struct.pack(">d", float(number))
    with pytest.raises(MalformedMessageError):
        Reader(data, Kind.COLLECT).real()


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES])
def test_chunks_are_whole_but_the_last(size: int) -> None:
    """A vector is cut in one way, and the pieces make it up again."""
    data = bytes(size)
    chunks = split_chunks(data)
    assert b"".join(chunks) == data
    assert len(chunks) == chunk_count(size)
    assert all(len(left) == CHUNK_BYTES for left, _ in pairwise(chunks))


def test_a_field_beyond_its_limit_is_refused_though_its_bytes_are_there() -> None:
    """The limit holds by itself, not only because the message is too short."""
    data = MAGIC + bytes((VERSION, Kind.COLLECT)) + (9).to_bytes(4, "big") + bytes(9)
    assert Reader(data, Kind.COLLECT).blob(most=9) == bytes(9)
    with pytest.raises(MalformedMessageError, match="at most 8"):
        Reader(data, Kind.COLLECT).blob(most=8)
