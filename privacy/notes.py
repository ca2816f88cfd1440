"""Signed notes and checkpoints as transparency logs write them (C2SP signed-note and checkpoint).

A checkpoint is three lines, origin, size and root, and below an empty line one signature a line. It
is text: a steward can read it, keep it in an e-mail, and hold it against a ledger years later.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from typing import Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from privacy.errors import MalformedDocumentError
from privacy.tree import HASH_BYTES

ED25519 = b"\x01"
_DASH = "\N{EM DASH} "
MAX_NOTE_BYTES = 1024


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a ledger held at one time.

    Attributes:
        origin: Which ledger; one line without spaces or plus signs.
        size: Number of entries, at least 1.
        root: Root of the tree over them, 32 bytes.
    """

    origin: str
    size: int
    root: bytes

    def __post_init__(self) -> None:
        if not self.origin or any(c.isspace() or c == "+" for c in self.origin):
            raise MalformedDocumentError(f"expected an origin without spaces, got {self.origin!r}")
        if self.size < 1 or len(self.root) != HASH_BYTES:
            raise MalformedDocumentError(
                f"expected at least one entry and a root of {HASH_BYTES} bytes, got {self.size} "
                f"and {len(self.root)}"
            )

    def to_text(self) -> str:
        """Return the three lines, each ended."""
        return f"{self.origin}\n{self.size}\n{to_base64(self.root)}\n"

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read the three lines.

        Raises:
            MalformedDocumentError: If they are anything else, also another spelling of the same.
        """
        lines = text.split("\n")
        if len(lines) != 4 or lines[3] or not lines[1].isascii() or not lines[1].isdigit():
            raise MalformedDocumentError("expected origin, size and root, one a line")
        checkpoint = cls(lines[0], int(lines[1]), from_base64(lines[2]))
        if checkpoint.to_text() != text:
            raise MalformedDocumentError("expected the one spelling of size and root")
        return checkpoint


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One signature line of a note.

    Attributes:
        name: Who says that it signed.
        key_id: Which of its keys, 4 bytes.
        signature: The rest, by the key's algorithm.
    """

    name: str
    key_id: bytes
    signature: bytes

    def to_line(self) -> str:
        """Return the line, ended."""
        return f"{_DASH}{self.name} {to_base64(self.key_id + self.signature)}\n"


def key_id(name: str, public_key: bytes, *, algorithm: bytes = ED25519) -> bytes:
    """Return the four bytes that a signature line names a key by."""
    return hashlib.sha256(name.encode() + b"\n" + algorithm + public_key).digest()[:4]


def sign_note(text: str, *, name: str, key: Ed25519PrivateKey) -> bytes:
    """Return a text with a signature below it.

    Args:
        text: Whole lines, the last one ended.
        name: The signer's; without spaces or plus signs.
        key: Signs the text as it stands.

    Raises:
        MalformedDocumentError: If the text does not end with a line's end.
    """
    if not text.endswith("\n"):
        raise MalformedDocumentError("expected a text of whole lines")
    line = NoteSignature(
        name, key_id(name, key.public_key().public_bytes_raw()), key.sign(text.encode())
    ).to_line()
    return f"{text}\n{line}".encode()


def open_note(note: bytes, *, name: str, public_key: bytes) -> str:
    """Return the text of a note that ``name`` signed; other signatures are ignored.

    Args:
        note: As received, at most 1024 bytes.
        name: Whose signature is asked for.
        public_key: Its Ed25519 key, 32 bytes.

    Raises:
        MalformedDocumentError: If it is no note, or has no good signature of this key.
    """
    text, signatures = read_note(note)
    wanted = key_id(name, public_key)
    for line in signatures:
        if (line.name, line.key_id) == (name, wanted) and verifies(
            public_key, line.signature, text.encode()
        ):
            return text
    raise MalformedDocumentError(f"expected a good signature of {name} below the note")


def read_note(note: bytes) -> tuple[str, tuple[NoteSignature, ...]]:
    """Return a note's text and the signatures below it; none of them is checked.

    Lines that are no signature lines are left out.

    Raises:
        MalformedDocumentError: If it is no note.
    """
    try:
        text, gap, below = note[: MAX_NOTE_BYTES + 1].decode().rpartition("\n\n")
    except UnicodeDecodeError as error:
        raise MalformedDocumentError("expected a note in UTF-8") from error
    if len(note) > MAX_NOTE_BYTES or not gap or not below.endswith("\n"):
        raise MalformedDocumentError("expected a text, an empty line and signatures")
    signatures = []
    for line in below[:-1].split("\n"):
        name, _, encoded = line.removeprefix(_DASH).partition(" ")
        if line.startswith(_DASH):
            signed = from_base64(encoded)
            signatures.append(NoteSignature(name, signed[:4], signed[4:]))
    return text + "\n", tuple(signatures)


def verifies(public_key: bytes, signature: bytes, message: bytes) -> bool:
    """Return whether an Ed25519 key made this signature over this message."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def to_base64(data: bytes) -> str:
    """Return the one spelling of these bytes in a note."""
    return base64.b64encode(data).decode()


def from_base64(text: str) -> bytes:
    """Read base64; the caller checks that the spelling is the one above.

    Raises:
        MalformedDocumentError: If it is none.
    """
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise MalformedDocumentError("expected base64") from error
