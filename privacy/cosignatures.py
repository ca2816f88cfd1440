"""What a witness says about a checkpoint, and what it is asked with.

Formats: C2SP tlog-cosignature (Ed25519, ``cosignature/v1``) and the request of C2SP tlog-witness.

A cosignature says: at this time, of all checkpoints of this origin that I have seen, this one is
the largest, and it grew from the one before. So whoever holds it knows two things that the ledger's
own key cannot show him: when the entries were there, and that no other history was shown to this
witness.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from privacy.errors import MalformedDocumentError
from privacy.notes import (
    MAX_NOTE_BYTES,
    NoteSignature,
    from_base64,
    key_id,
    read_note,
    to_base64,
    verifies,
)
from privacy.tree import HASH_BYTES

COSIGNATURE_V1 = b"\x04"
MAX_PROOF = 63  # hashes in a proof, the format's limit: enough for 2**63 entries
MAX_REQUEST_BYTES = 32 + MAX_PROOF * 45 + MAX_NOTE_BYTES

_TIME_BYTES = 8

COSIGNER_NAME = "stillroom/cosigner"


def ledger_origin(uid: bytes) -> str:
    """Return what the checkpoints of a region, 16 bytes, call its ledger."""
    return f"stillroom/ledger/{uid.hex()}"


def cosign(note: bytes, *, name: str, key: Ed25519PrivateKey, time: int) -> bytes:
    """Return a signed checkpoint with a cosignature below its other signatures.

    The caller has checked that the checkpoint is genuine and grew from what it signed before.

    Args:
        note: The checkpoint as its ledger signed it.
        name: The witness's; without spaces or plus signs.
        key: The witness's key.
        time: Unix seconds.

    Raises:
        MalformedDocumentError: If it is no note.
    """
    text, _ = read_note(note)
    identifier = key_id(name, key.public_key().public_bytes_raw(), algorithm=COSIGNATURE_V1)
    signature = time.to_bytes(_TIME_BYTES, "big") + key.sign(_signed(text, time))
    return note + NoteSignature(name, identifier, signature).to_line().encode()


def cosigned_at(note: bytes, *, name: str, public_key: bytes) -> int | None:
    """Return the latest time at which a witness cosigned a checkpoint, or None if it did not.

    Args:
        note: A checkpoint with signatures; the ledger's own is not checked here.
        name: The witness's.
        public_key: Its Ed25519 key, 32 bytes.

    Raises:
        MalformedDocumentError: If it is no note.
    """
    text, signatures = read_note(note)
    wanted = (name, key_id(name, public_key, algorithm=COSIGNATURE_V1))
    times = [
        int.from_bytes(line.signature[:_TIME_BYTES], "big")
        for line in signatures
        if (line.name, line.key_id) == wanted
        and verifies(
            public_key,
            line.signature[_TIME_BYTES:],
            _signed(text, int.from_bytes(line.signature[:_TIME_BYTES], "big")),
        )
    ]
    return max(times, default=None)


@dataclass(frozen=True, slots=True)
class WitnessRequest:
    """A checkpoint, and the proof that it grew from the one that the witness saw last.

    Attributes:
        old: The size of the checkpoint that the witness saw last; 0 if it saw none.
        proof: Hashes, 32 bytes each, from that one to this one; none if ``old`` is 0.
        note: The checkpoint, signed by its ledger.
    """

    old: int
    proof: Sequence[bytes]
    note: bytes

    def to_bytes(self) -> bytes:
        """Return the lines that a witness reads."""
        hashes = "".join(f"{to_base64(one)}\n" for one in self.proof)
        return f"old {self.old}\n{hashes}\n".encode() + self.note

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read the lines.

        Raises:
            MalformedDocumentError: For any other bytes, also another spelling of the same; the
                note is not looked into.
        """
        head, gap, note = data[: MAX_REQUEST_BYTES + 1].partition(b"\n\n")
        old, *hashes = head.decode("ascii", errors="replace").split("\n")
        number = old.removeprefix("old ")
        if (
            len(data) > MAX_REQUEST_BYTES
            or not (gap and number.isascii() and number.isdigit())
            or len(number) > 19
            or len(hashes) > MAX_PROOF
        ):
            raise MalformedDocumentError(
                f"expected 'old' and a size, at most {MAX_PROOF} hashes, an empty line and a note"
            )
        request = cls(int(number), tuple(map(from_base64, hashes)), note)
        if request.to_bytes() != data or any(len(one) != HASH_BYTES for one in request.proof):
            raise MalformedDocumentError("expected the one spelling of size and hashes")
        if request.proof and not request.old:
            raise MalformedDocumentError("expected no proof from a tree of no entries")
        return request


def _signed(text: str, time: int) -> bytes:
    return f"cosignature/v1\ntime {time}\n{text}".encode()
