from __future__ import annotations

import contextlib
import struct
import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

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

NAMES = st.sampled_from(sorted(samples()))
EVERY_MESSAGE = pytest.mark.parametrize("sample", samples().values(), ids=samples().keys())


def read_or_refuse(sample: Sample, data: bytes) -> None:
    """Read ``data``; whatever is read must write the same bytes."""
    with contextlib.suppress(MalformedMessageError):
        assert sample.read(data).to_bytes() == data


@EVERY_MESSAGE
def test_what_was_written_is_read(sample: Sample) -> None:
    """Every message survives the wire."""
    assert sample.read(sample.value.to_bytes()) == sample.value


@EVERY_MESSAGE
def test_every_flipped_bit_is_read_as_another_value_or_refused(sample: Sample) -> None:
    """No bit is without meaning, and none makes the reader fail in another way."""
    data = sample.value.to_bytes()
    for at in range(len(data)):
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


@given(
    name=NAMES,
    edits=st.lists(st.tuples(st.integers(0, 2**16), st.binary(max_size=4)), max_size=4),
    cut=st.integers(0, 8),
)
def test_edited_messages_are_read_or_refused(
    name: str, edits: list[tuple[int, bytes]], cut: int
) -> None:
    """Bytes put in, taken out or replaced anywhere give a value or MalformedMessageError."""
    sample = samples()[name]
    data = sample.value.to_bytes()
    for place, insert in edits:
        at = place % (len(data) + 1)
        data = data[:at] + insert + data[at + cut :]
    read_or_refuse(sample, data)


@given(name=NAMES, kind=st.sampled_from(Kind), body=st.binary(max_size=300))
def test_garbage_is_read_or_refused(name: str, kind: Kind, body: bytes) -> None:
    """Whatever a peer sends, with a right header or without, gives no other error."""
    read_or_refuse(samples()[name], body)
    read_or_refuse(samples()[name], MAGIC + bytes((VERSION, kind)) + body)


@EVERY_MESSAGE
def test_announced_lengths_cost_nothing(sample: Sample) -> None:
    """Four bytes that announce four gigabytes make the reader allocate none of them."""
    data = sample.value.to_bytes()
    places = range(6, len(data), max(1, len(data) // 200))
    tracemalloc.start()
    for at in places:
        read_or_refuse(sample, data[:at] + b"\xff" * 8 + data[at + 8 :])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20


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
