"""The records of a zip archive, in the one form that a pack has (PKWARE APPNOTE 6.3, 4.3).

Everything that a zip leaves open is fixed: no comments, no extra fields, no zip64, no data
descriptors, no encryption, ASCII names, the date 1980-01-01, the mode of an ordinary file. Of an
entry only its name, its method, its sizes and its checksum are left, so a reader can build the
record again and compare it with what came.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

STORED, DEFLATED = 0, 8

_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
LOCAL_BYTES, CENTRAL_BYTES, END_BYTES = _LOCAL.size, _CENTRAL.size, _END.size

_VERSION = 20  # deflate needs 2.0
_MADE_BY = 3 << 8 | _VERSION  # Unix, so that the mode below counts
_DATE = 1 << 5 | 1  # 1980-01-01, the earliest that the format has
_MODE = 0o100644 << 16  # an ordinary file: never a link, a folder or a program


@dataclass(frozen=True, slots=True)
class Item:
    """What is particular to one entry.

    Attributes:
        path: Its name.
        method: ``STORED`` or ``DEFLATED``.
        crc: CRC-32 of its contents.
        stored_bytes: What it takes in the archive.
        size: What it is when it is read.
        offset: Where its local record begins.
    """

    path: str
    method: int
    crc: int
    stored_bytes: int
    size: int
    offset: int

    @property
    def data_offset(self) -> int:
        """Where its contents begin."""
        return self.offset + LOCAL_BYTES + len(self.path)

    @property
    def end(self) -> int:
        """Where its contents end."""
        return self.data_offset + self.stored_bytes

    def local(self) -> bytes:
        """Return the record before its contents."""
        name = self.path.encode("ascii")
        sizes = (self.crc, self.stored_bytes, self.size)
        head = (b"PK\x03\x04", _VERSION, 0, self.method, 0, _DATE)
        return _LOCAL.pack(*head, *sizes, len(name), 0) + name

    def central(self) -> bytes:
        """Return its record in the directory."""
        name = self.path.encode("ascii")
        sizes = (self.crc, self.stored_bytes, self.size)
        head = (b"PK\x01\x02", _MADE_BY, _VERSION, 0, self.method, 0, _DATE)
        return _CENTRAL.pack(*head, *sizes, len(name), 0, 0, 0, 0, _MODE, self.offset) + name


def end_record(*, count: int, directory_bytes: int, directory_offset: int) -> bytes:
    """Return the record that ends the archive."""
    return _END.pack(b"PK\x05\x06", 0, 0, count, count, directory_bytes, directory_offset, 0)


def read_end(data: bytes) -> tuple[int, int, int] | None:
    """Return count, size and offset of the directory, or None if it is not the one form."""
    if len(data) != END_BYTES:
        return None
    _, _, _, count, _, size, offset, _ = _END.unpack(data)
    same = end_record(count=count, directory_bytes=size, directory_offset=offset) == data
    return (count, size, offset) if same else None


def read_central(data: bytes, at: int) -> Item | None:
    """Return the entry whose directory record begins at ``at``; None if it is not the one form."""
    if len(data) - at < CENTRAL_BYTES:
        return None
    found = _CENTRAL.unpack_from(data, at)
    method, crc, stored, size, length, offset = (*found[4:5], *found[7:11], found[16])
    name = data[at + CENTRAL_BYTES : at + CENTRAL_BYTES + length]
    if len(name) != length or not name.isascii():
        return None
    item = Item(name.decode("ascii"), method, crc, stored, size, offset)
    return item if data.startswith(item.central(), at) else None
