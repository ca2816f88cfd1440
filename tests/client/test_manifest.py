"""The list of what left survives kills, tells of changes, and can be held against the ledger."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.manifest import (
    Departure,
    Departures,
    Manifest,
    ManifestError,
    SentVector,
    compare,
)
from privacy.ledger_values import LedgerState
from protocol.envelope import MessageKind
from protocol.wire import Kind

_DIGEST = "5" * 64


def _vector(number: int) -> SentVector:
    return SentVector("1" * 64, f"{number:064x}", _DIGEST, 400)


def _departure(number: int, vector: SentVector | None = None) -> Departure:
    return Departure(
        time=number,
        kind=MessageKind.TRAIN_MASKED,
        message=Kind.MASKED if vector else Kind.PENDING,
        size_bytes=38,
        sha256=_DIGEST,
        round_=(0, 0) if vector else None,
        vector=vector,
    )


_HEX = st.binary(min_size=32, max_size=32).map(bytes.hex)
_NUMBERS = st.integers(0, 2**53 - 1)
_DEPARTURES = st.builds(
    Departure,
    time=_NUMBERS,
    kind=st.sampled_from(MessageKind),
    message=st.sampled_from(Kind),
    size_bytes=_NUMBERS,
    sha256=_HEX,
    round_=st.none() | st.tuples(_NUMBERS, _NUMBERS),
    vector=st.none() | st.builds(SentVector, _HEX, _HEX, _HEX, _NUMBERS),
)


@given(departure=_DEPARTURES)
def test_a_line_says_what_was_written(departure: Departure) -> None:
    """And its only closing brace is its last byte, by which a torn line is known."""
    line = departure.to_line()

    assert Departure.from_line(line[:-1]) == departure
    assert line.index(b"}") == len(line) - 2
    assert line.count(b"\n") == 1


@given(data=st.binary(max_size=80))
def test_any_other_line_is_refused(data: bytes) -> None:
    """Nothing but what the gate writes is taken for it."""
    with pytest.raises(ManifestError):
        Departure.from_line(data)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"bytes":38', b'"bytes":39,"more":1'),
        (b'"bytes":38', b'"bytes":38.5'),
        (b'"kind":"train.masked"', b'"kind":"train.everything"'),
        (b'"message":"masked"', b'"message":"model"'),
        (b'"time":7', b'"time": 7'),
        (b'"round":0,', b""),
        (_DIGEST.encode(), b"5" * 63),
    ],
)
def test_a_changed_line_is_refused(tmp_path: Path, old: bytes, new: bytes) -> None:
    """Unknown fields, kinds, spellings: somebody else than a gate wrote them."""
    file = tmp_path / "sent.jsonl"
    line = _departure(7, _vector(1)).to_line()
    assert old in line
    file.write_bytes(line.replace(old, new))

    with pytest.raises(ManifestError, match="find out who changed it"):
        Manifest(file).read()


def test_a_list_that_does_not_exist_yet_is_empty(tmp_path: Path) -> None:
    """A region that never answered has none, and reading makes none."""
    assert Manifest(tmp_path / "sent.jsonl").read() == Departures((), 0)
    assert not list(tmp_path.iterdir())


def test_a_kill_at_any_byte_costs_the_last_line_only(tmp_path: Path) -> None:
    """What was cut short stays by itself; what is written afterwards is whole."""
    one, two, three = _departure(1), _departure(2, _vector(2)), _departure(3)
    whole = one.to_line() + two.to_line()
    for size in range(len(one.to_line()), len(whole) + 1):
        file = tmp_path / f"{size}.jsonl"
        file.write_bytes(whole[:size])
        cut = size not in (len(one.to_line()), len(whole) - 1, len(whole))
        last = (two,) if size >= len(whole) - 1 else ()
        assert Manifest(file).read() == Departures((one, *last), int(cut))

        Manifest(file).append(three)

        assert Manifest(file).read() == Departures((one, *last, three), int(cut))


def test_zeros_that_a_power_cut_left_are_a_torn_line(tmp_path: Path) -> None:
    """Some file systems lengthen a file before they fill it."""
    file = tmp_path / "sent.jsonl"
    file.write_bytes(_departure(1).to_line() + bytes(40))
    Manifest(file).append(_departure(2))

    assert Manifest(file).read() == Departures((_departure(1), _departure(2)), 1)


def test_only_its_owner_reads_it(tmp_path: Path) -> None:
    """It says when a region took part, which is nobody else's matter."""
    Manifest(tmp_path / "sent.jsonl").append(_departure(1))

    assert (tmp_path / "sent.jsonl").stat().st_mode & 0o777 == 0o600


def test_clients_that_write_at_once_lose_no_line(tmp_path: Path) -> None:
    """Each line is whole, in some order."""
    file = Manifest(tmp_path / "sent.jsonl")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: file.append(_departure(number)), range(200)))
    found = file.read()

    assert sorted(one.time for one in found.sent) == list(range(200))
    assert found.torn == 0


def test_a_vectors_line_is_on_the_disk_and_a_small_ones_need_not_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One wait for the disk a vector; the many small answers cost none."""
    file = Manifest(tmp_path / "sent.jsonl")
    file.append(_departure(1))
    synced: list[bytes] = []

    def fsync(descriptor: int) -> None:
        synced.append(file.path.read_bytes())
        os.fdatasync(descriptor)

    monkeypatch.setattr("client.manifest.os.fsync", fsync)
    file.append(_departure(2))
    before = len(synced)
    file.append(_departure(3, _vector(3)))

    assert before == 0
    assert [said.endswith(_departure(3, _vector(3)).to_line()) for said in synced] == [True]


def test_a_list_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    """The gate lets nothing out then; the message says what to do, and no path."""
    (tmp_path / "sent.jsonl").mkdir()
    with pytest.raises(ManifestError, match="make room, or correct its owner") as caught:
        Manifest(tmp_path / "sent.jsonl").append(_departure(1))

    assert str(tmp_path) not in str(caught.value)


def test_a_vector_that_no_ledger_knows_is_found() -> None:
    """An empty ledger has no SEND, so whatever is listed left without one; small ones need none."""
    left = Departures((_departure(1), _departure(2, _vector(2)), _departure(3, _vector(2))), 0)
    found = compare(left, LedgerState())

    assert (found.unrecorded, found.unlisted) == ((_vector(2),), ())
    assert not found.agrees
    assert compare(Departures((_departure(1),), 0), LedgerState()).agrees
