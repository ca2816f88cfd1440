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

_ED25519 = b"\x01"
_DASH = "\N{EM DASH} "
_MAX_BYTES = 1024


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
        return f"{self.origin}\n{self.size}\n{_base64(self.root)}\n"

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read the three lines.

        Raises:
            MalformedDocumentError: If they are anything else, also another spelling of the same.
        """
        lines = text.split("\n")
        if len(lines) != 4 or lines[3] or not lines[1].isascii() or not lines[1].isdigit():
            raise MalformedDocumentError("expected origin, size and root, one a line")
        checkpoint = cls(lines[0], int(lines[1]), _from_base64(lines[2]))
        if checkpoint.to_text() != text:
            raise MalformedDocumentError("expected the one spelling of size and root")
        return checkpoint


def key_id(name: str, public_key: bytes) -> bytes:
    """Return the four bytes that a signature line names a key by."""
    return hashlib.sha256(name.encode() + b"\n" + _ED25519 + public_key).digest()[:4]


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
    signed = key_id(name, key.public_key().public_bytes_raw()) + key.sign(text.encode())
    return f"{text}\n{_DASH}{name} {_base64(signed)}\n".encode()


def open_note(note: bytes, *, name: str, public_key: bytes) -> str:
    """Return the text of a note that ``name`` signed; other signatures are ignored.

    Args:
        note: As received, at most 1024 bytes.
        name: Whose signature is asked for.
        public_key: Its Ed25519 key, 32 bytes.

    Raises:
        MalformedDocumentError: If it is no note, or has no good signature of this key.
    """
    try:
        text, gap, signatures = note[: _MAX_BYTES + 1].decode().rpartition("\n\n")
    except UnicodeDecodeError as error:
        raise MalformedDocumentError("expected a note in UTF-8") from error
    if len(note) > _MAX_BYTES or not gap or not signatures.endswith("\n"):
        raise MalformedDocumentError("expected a text, an empty line and signatures")
    text += "\n"
    wanted = key_id(name, public_key)
    for line in signatures[:-1].split("\n"):
        signer, _, encoded = line.removeprefix(_DASH).partition(" ")
        if not line.startswith(_DASH) or signer != name:
            continue
        signed = _from_base64(encoded)
        if signed[:4] == wanted and _verifies(public_key, signed[4:], text.encode()):
            return text
    raise MalformedDocumentError(f"expected a good signature of {name} below the note")


def _verifies(public_key: bytes, signature: bytes, message: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _from_base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise MalformedDocumentError("expected base64") from error
