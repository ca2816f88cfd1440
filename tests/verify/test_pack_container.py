"""The container has one form: whatever a zip leaves open and somebody uses is refused unread."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy.pack import layout
from privacy.pack.container import Container, Stored, write_container
from privacy.pack.errors import PackRefusedError
from privacy.pack.records import DEFLATED, STORED, Item, end_record

NAMES = ("config/a", "config/b", "report.json")


def _write(files: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    write_container(file, {path: Stored.of(data) for path, data in files.items()})
    return file.getvalue()


def _open(data: bytes, tmp_path: Path) -> dict[str, bytes]:
    path = tmp_path / "pack.zip"
    path.write_bytes(data)
    with Container.open(path) as container:
        return {name: container.read(name) for name in container.items}


@settings(max_examples=40)
@given(
    files=st.dictionaries(
        st.sampled_from(NAMES), st.binary(max_size=300) | st.just(b"text " * 99), min_size=1
    )
)
def test_what_is_written_is_read(
    files: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Any contents come back, and every zip program agrees."""
    data = _write(files)

    assert _open(data, tmp_path_factory.mktemp("pack")) == files
    with zipfile.ZipFile(io.BytesIO(data)) as other:
        assert {name: other.read(name) for name in other.namelist()} == files


@settings(max_examples=40)
@given(data=st.binary(max_size=200))
def test_garbage_is_refused(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Any bytes but a pack's raise one error."""
    with pytest.raises(PackRefusedError):
        _open(data, tmp_path_factory.mktemp("pack"))


SLIPS = (
    *(
        "../report.json",
        "/etc/passwd",
        "config/../../x",
        "rounds//00000.sum",
        "C:\\x",
        "config/a b",
    ),
    *("config/.hidden", "config/", "ledger/x.db", "report.json ", "REPORT.JSON", "rounds/1.sum"),
    *("config/" + "a" * 300, "deep/er/x", "config/a\\b", "MANIFEST/x", ""),
)


@pytest.mark.parametrize("name", SLIPS)
def test_a_name_outside_the_list_is_neither_written_nor_read(name: str, tmp_path: Path) -> None:
    """Paths that lead elsewhere, hidden files, and what a pack has no use for."""
    with pytest.raises(PackRefusedError):
        _write({name: b"x"})
    with pytest.raises(PackRefusedError):
        _open(_raw([(name, b"x")]), tmp_path)


def _raw(entries: list[tuple[str, bytes]], *, tail: bytes = b"", gap: bytes = b"") -> bytes:
    """Write a container with our records and whatever names and order come."""
    body, directory = b"", b""
    for name, data in entries:
        item = Item(name, STORED, zlib.crc32(data), len(data), len(data), len(body))
        body += item.local() + data + gap
        directory += item.central()
    end = end_record(count=len(entries), directory_bytes=len(directory), directory_offset=len(body))
    return body + directory + end + tail


def _overlapping() -> bytes:
    one = Item("config/a", STORED, zlib.crc32(b"x"), 1, 1, 0)
    two = Item("config/b", STORED, zlib.crc32(b"x"), 1, 1, 0)
    body, directory = one.local() + b"x", one.central() + two.central()
    return (
        body
        + directory
        + end_record(count=2, directory_bytes=len(directory), directory_offset=len(body))
    )


def _bomb(*, size: int, claimed: int, crc: int = 0) -> bytes:
    """An entry of zeros that claims to have another size."""
    deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
    stored = deflater.compress(bytes(size)) + deflater.flush()
    item = Item("report.json", DEFLATED, crc, len(stored), claimed, 0)
    body = item.local() + stored
    return (
        body
        + item.central()
        + end_record(count=1, directory_bytes=len(item.central()), directory_offset=len(body))
    )


def _zipped(change: Callable[[zipfile.ZipFile], None]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        change(archive)
    return file.getvalue()


def _link(archive: zipfile.ZipFile) -> None:
    entry = zipfile.ZipInfo("report.json")
    entry.external_attr = 0o120777 << 16
    archive.writestr(entry, "/etc/passwd")


def _dated(archive: zipfile.ZipFile) -> None:
    archive.writestr(zipfile.ZipInfo("report.json", (2026, 1, 1, 0, 0, 0)), "x")


def _noted(archive: zipfile.ZipFile) -> None:
    archive.writestr(zipfile.ZipInfo("report.json"), "x")
    archive.comment = b"hello"


def _extra(archive: zipfile.ZipFile) -> None:
    entry = zipfile.ZipInfo("report.json")
    entry.extra = struct.pack("<HHI", 0x7075, 4, 0)
    archive.writestr(entry, "x")


def _large(archive: zipfile.ZipFile) -> None:
    with archive.open(zipfile.ZipInfo("report.json"), "w", force_zip64=True) as entry:
        entry.write(b"x")


def _patched(place: int, value: bytes) -> bytes:
    """An honest container with other bytes at one place from its end."""
    whole = bytearray(_write({"report.json": b"x"}))
    whole[len(whole) - place : len(whole) - place + len(value)] = value
    return bytes(whole)


TRICKS: dict[str, bytes] = {
    "nothing": b"",
    "a link": _zipped(_link),
    "another date": _zipped(_dated),
    "a comment": _zipped(_noted),
    "an extra field": _zipped(_extra),
    "zip64": _zipped(_large),
    "a folder": _zipped(lambda archive: archive.writestr("config/", "")),
    "another program's": _zipped(lambda archive: archive.writestr("report.json", "x")),
    "one name twice": _raw([("config/a", b"x"), ("config/a", b"y")]),
    "another order": _raw([("config/b", b"x"), ("config/a", b"y")]),
    "two entries in one place": _overlapping(),
    "bytes after the end": _raw([("config/a", b"x")], tail=b"more"),
    "bytes between": _raw([("config/a", b"x"), ("config/b", b"y")], gap=b"gap"),
    "bytes before": b"MZ" + _raw([("config/a", b"x")]),
    "more entries than there are": _patched(14, b"\x02\x00\x02\x00"),
    "sixty thousand entries": _patched(14, b"\xff\xfe\xff\xfe"),
    "a directory elsewhere": _patched(6, b"\xff\xff\xff\xff"),
    "a huge directory": _patched(10, b"\xff\xff\xff\x7f"),
    "another disk": _patched(18, b"\x01\x00"),
    "a bomb that says what it is": _bomb(size=50_000_000, claimed=50_000_000),
    "a bomb that says it is small": _bomb(size=50_000_000, claimed=1000),
    "a bomb that says it is huge": _bomb(size=1000, claimed=0xFFFFFFFF),
    "contents that end early": _bomb(size=10, claimed=11),
    "another checksum": _bomb(size=1000, claimed=1000, crc=1),
}


@pytest.mark.parametrize("trick", TRICKS)
def test_every_trick_is_refused_in_little_memory(trick: str, tmp_path: Path) -> None:
    """Refused by its records, or while it is inflated in pieces; nothing large is allocated."""
    tracemalloc.start()
    try:
        with pytest.raises(PackRefusedError):
            _open(TRICKS[trick], tmp_path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < 2_000_000


def test_an_entry_is_read_up_to_a_limit(tmp_path: Path) -> None:
    """Whoever reads says how much it can take."""
    path = tmp_path / "pack.zip"
    path.write_bytes(_write({"report.json": b"x" * 100}))
    with Container.open(path) as container:
        assert len(container.read("report.json", most=100)) == 100
        with pytest.raises(PackRefusedError, match="at most 99"):
            container.read("report.json", most=99)
        with pytest.raises(PackRefusedError, match="got none"):
            container.read("report.html")


def test_every_region_has_a_name_of_its_own_in_a_pack() -> None:
    """Names that are no file names are spelled out, and no two meet."""
    names = ("north", "Zürich", "a/b", "..", ".", "a%2Fb", "A", "a", "a b", "ä" * 32)
    paths = [layout.ledger_path(name) for name in names]
    for path in paths:
        layout.require_allowed(path)

    assert len(set(paths)) == len(names)
    assert layout.ledger_path("north") == "ledger/north.jsonl"
