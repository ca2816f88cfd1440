"""How messages are read and written: a header, then fields of fixed or announced length.

Every message starts ``b"FSA1" | version (1) | kind (1)``; integers are big-endian. Widths are
fixed and lengths are explicit, so a value has one spelling and every spelling one value. A length
is compared with its limit, and with what is left, before anything of that size is made.
"""

from __future__ import annotations

import math
import struct
from enum import IntEnum, StrEnum
from itertools import pairwise
from typing import TypeAlias, TypeVar

from protocol.errors import MalformedMessageError

MAGIC = b"FSA1"
VERSION = 1

HASH_BYTES = 32
UID_BYTES = 16
KEY_BYTES = 32  # X25519 and Ed25519 public keys
SIGNATURE_BYTES = 64
KEM_KEY_BYTES = 1184  # ML-KEM-768 encapsulation key, FIPS 203 table 3
KEM_CIPHERTEXT_BYTES = 1088  # the same table
SHARE_BYTES = 32  # of a secret in GF(2**255 - 19)
SALT_BYTES = 32
TAG_BYTES = 16  # AES-256-GCM

MAX_REGIONS = 128
MAX_DIM = 1 << 40
MAX_NAME_BYTES = 64
MAX_NODE_KEY_BYTES = 1024
MAX_CHECKPOINT_BYTES = 1024
MAX_BLOCKS = 1 << 14
MAX_CODE_BYTES = 32

CHUNK_BYTES = 1 << 22  # of a vector on the wire; every chunk but the last has exactly this size
MAX_VECTOR_BYTES = 4 * MAX_DIM

Choice = TypeVar("Choice", bound=StrEnum)
Chunk: TypeAlias = "bytes | memoryview"


class Kind(IntEnum):
    """What a message is. Numbers are never reused; 16 and 18 to 22 are FSA1's R0 to R5."""

    REGISTRY = 1
    CONFIG = 2
    SIGNED_CONFIG = 3
    REGISTRY_CHANGE = 4
    ADVERTISE = 16
    ROSTER = 17
    ENCAPS = 18
    SHARES = 19
    MASKED = 20
    CONSENT = 21
    UNMASK = 22
    DEALING = 23
    ACCEPTED = 24
    OUTCOME = 32
    COLLECT = 33
    PENDING = 34
    REFUSAL = 35
    PARCEL = 36
    MEMBERS = 37
    SURVIVORS = 38
    TRANSCRIPT = 39
    RECEIPT = 40
    BEHIND = 41


class Writer:
    """Builds the bytes of one message."""

    def __init__(self, kind: Kind) -> None:
        self._parts = [MAGIC, bytes((VERSION, kind))]

    def raw(self, data: bytes) -> Writer:
        """Append bytes whose length the reader knows."""
        self._parts.append(data)
        return self

    def integer(self, value: int, *, size: int) -> Writer:
        """Append an unsigned integer of ``size`` bytes."""
        return self.raw(value.to_bytes(size, "big"))

    def real(self, value: float) -> Writer:
        """Append an IEEE 754 double."""
        return self.raw(struct.pack(">d", value))

    def blob(self, data: bytes) -> Writer:
        """Append a length (4) and that many bytes."""
        return self.integer(len(data), size=4).raw(data)

    def text(self, value: str) -> Writer:
        """Append text as a blob of UTF-8."""
        return self.blob(value.encode())

    def uids(self, values: tuple[bytes, ...]) -> Writer:
        """Append a count (2) and that many identifiers."""
        return self.integer(len(values), size=2).raw(b"".join(values))

    def bytes(self) -> bytes:
        """Return the message so far."""
        return b"".join(self._parts)


class Reader:
    """Takes one message apart; every method raises `MalformedMessageError` and nothing else."""

    def __init__(self, data: bytes, kind: Kind) -> None:
        self._data = data
        self._at = 0
        header = self.raw(len(MAGIC) + 2)
        if header != MAGIC + bytes((VERSION, kind)):
            raise MalformedMessageError(
                f"expected {MAGIC!r} version {VERSION} kind {int(kind)} ({kind.name}), got "
                f"{header!r}; does the peer run another release?"
            )

    def raw(self, size: int) -> bytes:
        """Return the next ``size`` bytes."""
        left = len(self._data) - self._at
        if size > left:
            raise MalformedMessageError(f"expected {size} more bytes, got {left}: cut short?")
        self._at += size
        return bytes(self._data[self._at - size : self._at])

    def integer(self, *, size: int, most: int | None = None) -> int:
        """Return an unsigned integer of ``size`` bytes, at most ``most``."""
        value = int.from_bytes(self.raw(size), "big")
        if most is not None and value > most:
            raise MalformedMessageError(f"expected a number of at most {most}, got {value}")
        return value

    def real(self) -> float:
        """Return a finite, non-negative double."""
        (value,) = struct.unpack(">d", self.raw(8))
        if not math.isfinite(value) or math.copysign(1.0, value) < 0:
            raise MalformedMessageError(f"expected a finite number >= 0, got {value}")
        return float(value)

    def blob(self, *, most: int) -> bytes:
        """Return bytes with an announced length of at most ``most``."""
        return self.raw(self.integer(size=4, most=most))

    def text(self, *, most: int) -> str:
        """Return text of at most ``most`` bytes of UTF-8."""
        data = self.blob(most=most)
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            raise MalformedMessageError(f"expected UTF-8 text, got {data!r}") from error

    def choice(self, kind: type[Choice]) -> Choice:
        """Return a member of ``kind`` from its text."""
        value = self.text(most=MAX_CODE_BYTES)
        try:
            return kind(value)
        except ValueError as error:
            raise MalformedMessageError(
                f"expected one of {', '.join(kind)}, got {value!r}; a newer peer?"
            ) from error

    def uids(self) -> tuple[bytes, ...]:
        """Return at most 128 identifiers, strictly ascending."""
        count = self.integer(size=2, most=MAX_REGIONS)
        data = self.raw(count * UID_BYTES)
        return require_ascending(
            tuple(data[i : i + UID_BYTES] for i in range(0, len(data), UID_BYTES))
        )

    def end(self) -> None:
        """Refuse what follows the last field."""
        if self._at != len(self._data):
            raise MalformedMessageError(
                f"expected the message to end after {self._at} bytes, got {len(self._data)}"
            )


def require_size(what: str, data: bytes, *sizes: int) -> None:
    """Check a field's length.

    Raises:
        MalformedMessageError: If it has none of ``sizes``.
    """
    if len(data) not in sizes:
        raise MalformedMessageError(
            f"expected {what} of {' or '.join(map(str, sizes))} bytes, got {len(data)}"
        )


def require_range(what: str, value: int, *, least: int = 0, most: int) -> None:
    """Check an integer.

    Raises:
        MalformedMessageError: If it is not in [least, most].
    """
    if not least <= value <= most:
        raise MalformedMessageError(f"expected {what} in [{least}, {most}], got {value}")


def require_ascending(uids: tuple[bytes, ...]) -> tuple[bytes, ...]:
    """Return ``uids`` if they are identifiers, strictly ascending and at most 128.

    Raises:
        MalformedMessageError: If they are not.
    """
    require_range("a number of regions", len(uids), most=MAX_REGIONS)
    for uid in uids:
        require_size("an identifier", uid, UID_BYTES)
    if any(low >= high for low, high in pairwise(uids)):
        raise MalformedMessageError("expected identifiers in strictly ascending order; sort them")
    return uids


def chunk_count(size_bytes: int) -> int:
    """Return how many chunks a vector of so many bytes travels in."""
    return -(-size_bytes // CHUNK_BYTES)


def split_chunks(data: memoryview | bytes) -> tuple[Chunk, ...]:
    """Return ``data`` in chunks of ``CHUNK_BYTES``, the last one shorter where need be; no copy."""
    view = memoryview(data).toreadonly()
    return tuple(view[i : i + CHUNK_BYTES] for i in range(0, len(view), CHUNK_BYTES))
