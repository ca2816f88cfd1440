"""The container: a zip archive that has exactly one form for its contents.

A reader walks the directory, builds every record again and compares it byte by byte, before it
allocates anything for what is inside: the entries stand in the order of their names, one after the
other, from the first byte of the file to its directory, and nothing is left over. What an entry
holds is inflated in pieces and never beyond the size that its record says, which has a limit.

Whether the contents are those that somebody signed is ``manifest``'s matter.
"""

from __future__ import annotations

import hashlib
import io
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from privacy.pack import layout, records
from privacy.pack.errors import PackRefusedError
from privacy.pack.records import DEFLATED, STORED, Item

_PIECE = 1 << 16
_MAX_RATIO = 200  # text of hashes and numbers deflates to a quarter; a bomb to a thousandth
# Hashes in hexadecimal repeat three digits by chance, and to point back costs more than to say them
# again: "filtered" ignores matches that short, and takes an eighth off a ledger.
_STRATEGIES = (zlib.Z_DEFAULT_STRATEGY, zlib.Z_FILTERED)
_MAX_DIRECTORY_BYTES = layout.MAX_FILES * (records.CENTRAL_BYTES + layout.MAX_PATH_BYTES)


@dataclass(frozen=True, slots=True)
class Stored:
    """Contents as they stand in the archive.

    Attributes:
        method: ``STORED`` or ``DEFLATED``, whichever is shorter.
        data: The bytes.
        crc: CRC-32 of the contents.
        size: Of the contents.
    """

    method: int
    data: bytes
    crc: int
    size: int

    @classmethod
    def of(cls, contents: bytes, *, method: int = DEFLATED) -> Self:
        """Return contents, deflated if that is asked for and makes them shorter."""
        data = contents
        if method == DEFLATED:
            data = min((_deflated(contents, strategy) for strategy in _STRATEGIES), key=len)
        if len(data) >= len(contents):
            method, data = STORED, contents
        return cls(method, data, zlib.crc32(contents), len(contents))


def _deflated(contents: bytes, strategy: int) -> bytes:
    deflater = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS, zlib.DEF_MEM_LEVEL, strategy)
    return deflater.compress(contents) + deflater.flush()


@dataclass(frozen=True, slots=True)
class Digest:
    """What an entry is, without keeping it.

    Attributes:
        size: Of its contents.
        sha256: Of its contents, hexadecimal.
    """

    size: int
    sha256: str


def archive_hash(files: Mapping[str, Stored]) -> str:
    """Return the SHA-256, hexadecimal, of these entries as they stand in an archive, in order.

    It covers names, methods, sizes and the bytes that an entry takes: deflating has many spellings.
    """
    digest = hashlib.sha256()
    for path, stored in sorted(files.items()):
        item = Item(path, stored.method, stored.crc, len(stored.data), stored.size, 0)
        digest.update(item.local() + stored.data)
    return digest.hexdigest()


def write_container(file: BinaryIO, files: Mapping[str, Stored]) -> None:
    """Write the one archive of these contents.

    Raises:
        PackRefusedError: If a name has no place in a pack.
    """
    directory, offset = [], 0
    for path, stored in sorted(files.items()):
        layout.require_allowed(path)
        item = Item(path, stored.method, stored.crc, len(stored.data), stored.size, offset)
        file.write(item.local())
        file.write(stored.data)
        directory.append(item.central())
        offset = item.end
    block = b"".join(directory)
    file.write(block)
    file.write(
        records.end_record(count=len(files), directory_bytes=len(block), directory_offset=offset)
    )


class Container:
    """An open pack whose records were all checked; contents are read when they are asked for.

    Guarantees: every name is allowed and there once; sizes are within the limits; no byte of the
    file is outside a record that was compared or the contents of an entry.
    """

    def __init__(self, file: BinaryIO, items: Mapping[str, Item]) -> None:
        self._file = file
        self.items = items

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open a pack and check its records.

        Raises:
            PackRefusedError: If it is not the one container of anything, or too large.
            OSError: If it cannot be read.
        """
        file = path.open("rb")
        try:
            return cls(file, _items(file))
        except BaseException:
            file.close()
            raise

    @classmethod
    def of(cls, data: bytes) -> Self:
        """Open a container that is in memory and check its records.

        Raises:
            PackRefusedError: If it is not the one container of anything, or too large.
        """
        file = io.BytesIO(data)
        return cls(file, _items(file))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def read(self, path: str, *, most: int = layout.MAX_FILE_BYTES) -> bytes:
        """Return the contents of one entry.

        Raises:
            PackRefusedError: If there is no such entry, it is larger than ``most``, or its
                contents are not what its record says.
        """
        item = self.items.get(path)
        if item is None or item.size > most:
            got = "none" if item is None else f"one of {item.size}"
            raise PackRefusedError(f"expected {path} of at most {most} bytes, got {got}")
        return b"".join(self._contents(item, hashlib.sha256()))

    def digests(self, paths: Sequence[str]) -> tuple[Mapping[str, Digest], str]:
        """Return size and hash of these entries, read in pieces, and their ``archive_hash``.

        Raises:
            PackRefusedError: If contents are not what their record says.
        """
        archive, found = hashlib.sha256(), {}
        for path in sorted(paths):
            item, contents = self.items[path], hashlib.sha256()
            archive.update(item.local())
            for piece in self._contents(item, archive):
                contents.update(piece)
            found[path] = Digest(item.size, contents.hexdigest())
        return found, archive.hexdigest()

    def stored(self, path: str) -> Stored:
        """Return an entry as it stands in the archive, to be written again."""
        item = self.items[path]
        self._file.seek(item.data_offset)
        return Stored(item.method, self._file.read(item.stored_bytes), item.crc, item.size)

    def _contents(self, item: Item, stored: hashlib._Hash) -> Iterator[bytes]:
        """Yield an entry's contents in pieces; never more than its record says."""
        left, crc, inflater = item.size, 0, zlib.decompressobj(-zlib.MAX_WBITS)
        for piece in self._pieces(item):
            stored.update(piece)
            for part in _plain(piece, item, inflater):
                left -= len(part)
                if left < 0:
                    raise PackRefusedError(f"{item.path} is larger than its record says")
                crc = zlib.crc32(part, crc)
                yield part
        whole = item.method == STORED or (inflater.eof and not inflater.unused_data)
        if left or crc != item.crc or not whole:
            raise PackRefusedError(f"{item.path} is not what its record says: it was changed")

    def _pieces(self, item: Item) -> Iterator[bytes]:
        at = item.data_offset
        while at < item.end:
            self._file.seek(at)  # the caller may read another entry between two pieces
            piece = self._file.read(min(_PIECE, item.end - at))
            if not piece:
                raise PackRefusedError(f"{item.path} ends before its record says")
            yield piece
            at += len(piece)


def _plain(piece: bytes, item: Item, inflater: zlib._Decompress) -> Iterator[bytes]:
    """Yield what a piece of an entry is, at most so much at once."""
    if item.method == STORED:
        yield piece
        return
    try:
        yield inflater.decompress(piece, _PIECE)
        while inflater.unconsumed_tail:
            yield inflater.decompress(inflater.unconsumed_tail, _PIECE)
        # What one call held back for want of room comes without further input.
        while not inflater.eof and (more := inflater.decompress(b"", _PIECE)):
            yield more
    except zlib.error as error:
        raise PackRefusedError(f"{item.path} cannot be inflated: {error}") from error


def _items(file: BinaryIO) -> Mapping[str, Item]:
    """Read the directory and compare every record with the one that a writer makes."""
    total = file.seek(0, 2)
    if not records.END_BYTES <= total <= layout.MAX_PACK_BYTES:
        raise PackRefusedError(
            f"expected a pack of at most {layout.MAX_PACK_BYTES} bytes, got {total}"
        )
    file.seek(total - records.END_BYTES)
    end = records.read_end(file.read(records.END_BYTES))
    if end is None:
        raise _another_form("the record at its end")
    count, size, offset = end
    if count > layout.MAX_FILES or size > _MAX_DIRECTORY_BYTES:
        raise PackRefusedError(f"expected at most {layout.MAX_FILES} files, got {count}")
    if offset + size + records.END_BYTES != total:
        raise _another_form("the place of its directory")
    file.seek(offset)
    items = _directory(file.read(size), count=count, end=offset)
    for item in items.values():
        file.seek(item.offset)
        expected = item.local()
        if file.read(len(expected)) != expected:
            raise _another_form(f"the record of {item.path}")
    return items


def _directory(data: bytes, *, count: int, end: int) -> Mapping[str, Item]:
    items: dict[str, Item] = {}
    at, offset, total, last = 0, 0, 0, ""
    for _ in range(count):
        item = records.read_central(data, at)
        if item is None or item.method not in (STORED, DEFLATED):
            raise _another_form("a record of its directory")
        layout.require_allowed(item.path)
        if item.path <= last or item.offset != offset:
            raise _another_form(f"the place of {item.path}: twice, out of order, or overlapping")
        _require_small(item)
        items[item.path], last, offset = item, item.path, item.end
        at, total = at + records.CENTRAL_BYTES + len(item.path), total + item.size
    if at != len(data) or offset != end:
        raise _another_form("bytes that no record has")
    if total > layout.MAX_TOTAL_BYTES:
        raise PackRefusedError(
            f"expected at most {layout.MAX_TOTAL_BYTES} bytes of contents, got {total}"
        )
    return items


def _require_small(item: Item) -> None:
    stored = item.method == STORED
    if item.size > layout.MAX_FILE_BYTES or item.size > _MAX_RATIO * (item.stored_bytes + 64):
        raise PackRefusedError(
            f"expected {item.path} to have at most {layout.MAX_FILE_BYTES} bytes, and at most "
            f"{_MAX_RATIO} times what it takes in the pack, got {item.size}"
        )
    if stored and item.size != item.stored_bytes:
        raise _another_form(f"the sizes of {item.path}")


def _another_form(what: str) -> PackRefusedError:
    return PackRefusedError(
        f"the file is not the one container of its contents: {what}; was it packed again by "
        "another program? ask for the pack as it was written"
    )
