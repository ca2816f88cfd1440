"""Whatever arrives is read, or refused in the one way that is promised; quickly, and in small.

The quick part runs hypothesis over edited messages; the slow one makes many more from a seed, which
it prints with the message if one is not taken as it must be.
"""

from __future__ import annotations

import gc
import random
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.config import Kem, RoundConfig, SignedConfig
from protocol.errors import AbortError, MalformedMessageError
from protocol.fixed_point import Block, Encoding
from protocol.identity import RegionRecord, Registry, region_uid
from protocol.messages import Advertise, Checkpoint, Roster
from protocol.transcript import Checked, Transcript
from protocol.unmask_messages import RevealedShare, Survivors, Unmask
from protocol.wire import MAX_BLOCKS, MAX_REGIONS, Kind
from tests.protocol.builders import Federation, identity
from tests.protocol.samples import Message, message_types, recorded, samples

READERS: dict[str, Callable[[bytes], Message]] = {
    name: sample.read for name, sample in samples().items()
}
BYTES = {name: sample.value.to_bytes() for name, sample in samples().items()}
GOOD = recorded().result.transcript
REGISTRY = recorded().federation.registry
MUTATIONS, TRANSCRIPTS = 200, 700
MOST_READ_S = 0.5  # of processor time for one message; the largest of a federation takes a tenth
MOST_BYTES = 1 << 20  # beside a message that is itself small


def read(name: str, data: bytes) -> Message | None:
    """Read ``data``: it is refused as malformed, or a value that is written as ``data`` again."""
    try:
        value = READERS[name](data)
    except MalformedMessageError:
        return None
    assert value.to_bytes() == data
    return value


def check(transcript: Transcript) -> Checked | None:
    """Check a transcript: it is refused with a code, or what it shows is what was consented to."""
    try:
        checked = transcript.check(REGISTRY)
    except (MalformedMessageError, AbortError):
        return None
    assert checked.outcome.to_bytes() == transcript.outcome
    assert checked.config == SignedConfig.from_bytes(transcript.signed_config).config
    return checked


def test_every_reader_is_fuzzed() -> None:
    """A class with ``from_bytes`` that has no sample would be left out here."""
    assert {type(sample.value) for sample in samples().values()} == message_types()


NUMBERS = st.sampled_from([b"\0", b"\xff", b"\0\0\0\0", b"\xff\xff\xff\xff", b"\0\x80", b"\x7f"])


@st.composite
def edited(draw: st.DrawFn, data: bytes) -> bytes:
    """Some bytes with a few of them replaced, left out, put in or repeated."""
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(data)))
        to = min(len(data), at + draw(st.integers(0, 40)))
        piece = draw(NUMBERS | st.binary(max_size=8) | st.just(data[at:to] * 2))
        data = data[:at] + piece + data[to:]
    return data


@given(data=st.data(), name=st.sampled_from(sorted(BYTES)))
def test_an_edited_message_is_read_or_refused(data: st.DataObject, name: str) -> None:
    """By its own reader, and under the header of its kind."""
    changed = data.draw(edited(BYTES[name]))
    read(name, changed)
    read(name, BYTES[name][:6] + changed[6:])


@given(name=st.sampled_from(sorted(BYTES)), kind=st.sampled_from(Kind), body=st.binary())
def test_any_bytes_are_read_or_refused(name: str, kind: Kind, body: bytes) -> None:
    """With a right header and without one."""
    read(name, body)
    read(name, b"FSA1\x01" + bytes([kind]) + body)
    read(name, BYTES[name][:6] + body)


@given(name=st.sampled_from(sorted(BYTES)), other=st.sampled_from(sorted(BYTES)), data=st.data())
def test_the_head_of_one_message_and_the_tail_of_another_are_read_or_refused(
    name: str, other: str, data: st.DataObject
) -> None:
    """Real bytes in the wrong place are the hardest ones to tell from a message."""
    head = data.draw(st.integers(6, len(BYTES[name])))
    tail = data.draw(st.integers(0, len(BYTES[other])))
    read(name, BYTES[name][:head] + BYTES[other][tail:])


PARTS = ("signed_config", "roster", "survivors", "outcome")


@settings(max_examples=50)
@given(part=st.sampled_from(PARTS), data=st.data())
def test_a_transcript_with_an_edited_part_is_refused(part: str, data: st.DataObject) -> None:
    """Every part is signed, so a change is seen: malformed, or a code."""
    honest: bytes = getattr(GOOD, part)
    changed = data.draw(edited(honest))
    checked = check(replace(GOOD, **{part: changed}))  # type: ignore[arg-type]
    assert (checked is not None) == (changed == honest)


@settings(max_examples=50)
@given(data=st.data(), index=st.integers(0, len(GOOD.consents) - 1))
def test_a_transcript_with_an_edited_consent_is_refused(data: st.DataObject, index: int) -> None:
    """All four survivors of five must consent, so each one counts."""
    consents = list(GOOD.consents)
    consents[index] = data.draw(edited(consents[index]))
    checked = check(replace(GOOD, consents=tuple(consents)))
    assert (checked is not None) == (tuple(consents) == GOOD.consents)


def mutated(source: random.Random, data: bytes, *others: bytes) -> bytes:
    """Return some bytes, changed as a peer with much time would."""
    for _ in range(source.randint(1, 4)):
        at = source.randrange(len(data) + 1)
        to = min(len(data), at + source.choice((0, 1, 2, 4, 8, 16, 32, 64)))
        other = source.choice(others)
        start = source.randrange(len(other))
        piece = source.choice(
            (
                source.randbytes(to - at),
                source.randbytes(source.randint(0, 9)),
                b"\xff" * (to - at),
                bytes(to - at),
                data[at:to] * 2,
                other[start : start + source.randint(0, 99)],
                b"",
            )
        )
        data = data[:at] + piece + data[to:]
    return data


@pytest.fixture
def without_pauses() -> Iterator[None]:
    """Keep the collector from walking what other tests left: it is not the reader's time."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.slow
@pytest.mark.usefixtures("without_pauses")
@pytest.mark.parametrize("name", sorted(BYTES))
def test_many_mutated_messages_are_read_or_refused(name: str) -> None:
    """Hundreds of each; none takes long."""
    source, everything = random.Random(f"fuzz/{name}"), list(BYTES.values())
    slowest = 0.0
    for _ in range(MUTATIONS):
        changed = mutated(source, BYTES[name], *everything)
        for data in changed, BYTES[name][:6] + changed[6:]:
            began = time.process_time()
            read(name, data)
            slowest = max(slowest, time.process_time() - began)
    assert slowest < MOST_READ_S


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(BYTES))
def test_every_other_byte_gives_another_value_or_none(name: str) -> None:
    """One message has one spelling; short messages with all 256 values in each place."""
    data, honest = BYTES[name], samples()[name].value
    values = range(256) if len(data) < 200 else (0, 1, 2, 127, 128, 254, 255)
    for at in range(len(data)):
        for value in values:
            if value != data[at]:
                assert read(name, data[:at] + bytes([value]) + data[at + 1 :]) != honest


@pytest.mark.slow
def test_many_mutated_transcripts_are_refused() -> None:
    """No change of any part is ever taken for the round."""
    source, everything = random.Random("fuzz/transcripts"), list(BYTES.values())
    for _ in range(TRANSCRIPTS):
        part = source.choice((*PARTS, "consents"))
        honest = GOOD.consents[0] if part == "consents" else getattr(GOOD, part)
        changed = mutated(source, honest, *everything)
        new = (changed, *GOOD.consents[1:]) if part == "consents" else changed
        checked = check(replace(GOOD, **{part: new}))  # type: ignore[arg-type]
        assert (checked is not None) == (changed == honest)


def largest() -> dict[str, Message]:
    """Return messages as large as their limits allow."""
    config = Federation(3, kem=Kem.X25519).config
    uids = tuple(i.to_bytes(16, "big") for i in range(1, MAX_REGIONS + 1))
    note = b"n" * 1024
    tops = [(1 << 56) + 2 * i + 1 for i in range(MAX_REGIONS - 1)]
    weights = [Fraction(top, (1 << 64) - 1) for top in tops]
    advert = Advertise(
        context=b"c" * 32,
        uid=uids[0],
        x25519_key=b"k" * 32,
        kem_key=b"k" * 1184,
        checkpoints=tuple(Checkpoint(uid, note) for uid in uids),
    )
    records = [
        RegionRecord(
            name=f"{i:064}",
            identity_key=i.to_bytes(32, "big"),
            ledger_key=(1000 + i).to_bytes(32, "big"),
            node_key=note,
            not_after=1,
        )
        for i in range(MAX_REGIONS)
    ]
    return {
        "registry": Registry(
            epoch=1,
            quorum=1,
            regions=tuple(sorted(records, key=lambda record: record.uid)),
            server_key=b"s" * 32,
            cosigner_key=b"c" * 32,
            server_not_after=1,
        ),
        "config": replace(
            config,
            encoding=Encoding(bits=16, qmax=1, blocks=(Block(1, 1.0),) * MAX_BLOCKS),
            cohort=uids,
            weights=(*weights, 1 - sum(weights, start=Fraction())),
        ),
        "roster": Roster(b"c" * 32, tuple(replace(advert, uid=uid) for uid in uids)),
        "survivors": Survivors(
            roster_hash=b"r" * 32,
            survivors=uids,
            checkpoints=tuple(Checkpoint(uid, note) for uid in uids),
        ),
        "unmask": Unmask(
            roster_hash=b"r" * 32,
            uid=uids[0],
            survivors_hash=b"s" * 32,
            self_shares=tuple(RevealedShare(uid, b"s" * 32, b"t" * 32) for uid in uids),
            escrow_shares=(),
        ),
    }


@pytest.mark.slow
@pytest.mark.usefixtures("without_pauses")
def test_the_largest_messages_are_read_in_little_time() -> None:
    """128 regions with every field at its limit; no length makes reading superlinear."""
    for name, message in largest().items():
        data = message.to_bytes()
        began = time.process_time()
        assert READERS[name](data) == message
        assert time.process_time() - began < MOST_READ_S, name


def weights_of_primes() -> bytes:
    """Return a configuration whose 128 weights have denominators without a common factor."""
    federation = Federation(3, kem=Kem.X25519)
    data = federation.config.to_bytes()
    uids = b"".join(i.to_bytes(16, "big") for i in range(1, MAX_REGIONS + 1))
    place = data.index(b"".join(federation.uids))
    odd = [(1 << 64) - 1 - 2 * i for i in range(MAX_REGIONS)]
    weights = b"".join((1).to_bytes(8, "big") + bottom.to_bytes(8, "big") for bottom in odd)
    head = data[: place - 2] + MAX_REGIONS.to_bytes(2, "big")
    return head + uids + weights + data[place + 3 * (16 + 16) :]


@pytest.mark.usefixtures("without_pauses")
def test_weights_that_are_slow_to_add_are_few() -> None:
    """128 fractions of 64 bits without a common denominator: refused, and in little time."""
    data = weights_of_primes()
    began = time.process_time()
    with pytest.raises(MalformedMessageError, match="add up to exactly 1"):
        RoundConfig.from_bytes(data)
    assert time.process_time() - began < MOST_READ_S


@pytest.mark.parametrize("name", sorted(BYTES))
def test_announced_lengths_cost_nothing(name: str) -> None:
    """Bytes that announce a lot and hold nothing make the reader keep none of it."""
    data = BYTES[name]
    tracemalloc.start()
    for at in range(6, len(data), 1 + len(data) // 25):
        for length in (2, 4, 8):
            for value in b"\x7f", b"\xff":
                read(name, data[:at] + value * length + data[at + length :])
                read(name, data[:at] + value * length)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < MOST_BYTES


def test_an_unknown_region_in_a_signed_list_is_a_code() -> None:
    """A server that signs anything makes the check raise a code, never a KeyError."""
    uid = region_uid("nobody")
    survivors = replace(
        Survivors.from_bytes(GOOD.survivors), survivors=(uid,), checkpoints=()
    ).signed_by(identity("server"))
    assert check(replace(GOOD, survivors=survivors.to_bytes())) is None
