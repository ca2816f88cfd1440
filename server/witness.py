"""The coordinator as a witness of the regions' ledgers: it cosigns what grew, and nothing else.

For each region it keeps the last checkpoint that it cosigned, and cosigns a later one only with a
proof that the later ledger begins with the earlier one's entries (RFC 6962, 2.1.2). A region that
shows an older copy, another branch or a second ledger gets no cosignature, and the auditor who asks
for one learns why. The witness sees sizes and hashes, no entry.

It is a witness against regions, not against itself: what a coordinator and a region do together
only the other regions' memory shows (``client.checkpoints``).
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from privacy.cosignatures import COSIGNER_NAME, WitnessRequest, cosign, ledger_origin
from privacy.errors import MalformedDocumentError
from privacy.notes import Checkpoint, open_note
from privacy.tree import is_consistent
from protocol.errors import ProtocolError
from protocol.identity import Identity, Registry
from server.checkpoint import write_whole
from server.errors import CheckpointError, ServerError


def _now() -> int:
    return int(time.time())


class WitnessRefusedError(ServerError):
    """The checkpoint does not follow from what this witness has seen.

    Attributes:
        size: Of the last checkpoint that it cosigned for this region; 0 if none.
    """

    def __init__(self, message: str, *, size: int) -> None:
        super().__init__(message)
        self.size = size


@dataclass(frozen=True, slots=True)
class Witness:
    """Cosigns the regions' checkpoints.

    Attributes:
        folder: Holds one note a region, the last that was cosigned, with both signatures.
        registry: Whose ledger key is whose.
        key: The cosigner's.
        clock: Unix seconds.
    """

    folder: Path
    registry: Registry
    key: Identity
    clock: Callable[[], int]

    @classmethod
    def open(cls, folder: Path, registry: Registry, *, clock: Callable[[], int] = _now) -> Self:
        """Return the witness whose key, ``cosigner.key``, is in the coordinator's folder.

        Raises:
            CheckpointError: If there is no such key, or it is not the registry's.
        """
        path = folder / "cosigner.key"
        try:
            key = Identity.from_private_bytes(path.read_bytes())
        except (OSError, ValueError) as error:
            raise CheckpointError(
                f"expected the key for cosignatures in {path.name}, got: {error}; restore it from "
                "the coordinator's backup"
            ) from error
        if key.public_bytes() != registry.cosigner_key:
            raise CheckpointError(
                f"{path.name} is not the cosigner's key in the registry: what it signed, no region "
                "would believe; restore the key, or have the regions agree on a new registry"
            )
        return cls(folder / "witness", registry, key, clock)

    def cosign(self, uid: bytes, request: bytes) -> bytes:
        """Return a checkpoint with this witness's cosignature; the same request gets one again.

        Guarantees: of any two checkpoints of one region that were ever cosigned with this folder,
        the larger one's ledger begins with the smaller one's entries. The note is on the disk
        before it is returned.

        Args:
            uid: The region that sent it, 16 bytes.
            request: What it sent (``privacy.cosignatures.WitnessRequest``).

        Raises:
            WitnessRefusedError: If it is malformed, not this region's, not from the size that this
                witness saw last, or not a ledger that grew from what it saw.
            CheckpointError: If this witness's own file cannot be read.
        """
        last = self.last(uid)
        size = last.size if last else 0
        try:
            asked = WitnessRequest.from_bytes(request)
            found = self._genuine(uid, asked.note)
        except (MalformedDocumentError, ProtocolError) as error:
            raise WitnessRefusedError(
                f"no checkpoint of this region: {error}", size=size
            ) from error
        if asked.old != size or found.size < size:
            raise WitnessRefusedError(
                f"expected a proof from {size} entries, which were cosigned last, got one from "
                f"{asked.old} to {found.size}; a ledger that has fewer is an older copy",
                size=size,
            )
        if last is not None and not is_consistent(
            last.size, last.root, size=found.size, root_hash=found.root, proof=asked.proof
        ):
            raise WitnessRefusedError(
                f"the ledger of {found.size} entries does not begin with the {last.size} that were "
                "cosigned: it was rewritten, or there are two",
                size=size,
            )
        cosigned = cosign(
            asked.note,
            name=COSIGNER_NAME,
            key=Ed25519PrivateKey.from_private_bytes(self.key.private_bytes()),
            time=self.clock(),
        )
        self.folder.mkdir(parents=True, exist_ok=True)
        write_whole(self._file(uid), cosigned)
        return cosigned

    def last(self, uid: bytes) -> Checkpoint | None:
        """Return the last checkpoint that was cosigned for a region, or None."""
        note = self.note(uid)
        if note is None:
            return None
        try:
            return self._genuine(uid, note)
        except (MalformedDocumentError, ProtocolError) as error:
            raise CheckpointError(
                f"{self._file(uid).name} is no checkpoint of its region ({error}): restore it "
                "from a backup; a witness that forgot what it saw would cosign an older copy"
            ) from error

    def note(self, uid: bytes) -> bytes | None:
        """Return the last cosigned note of a region for whoever asks, or None."""
        path = self._file(uid)
        return path.read_bytes() if path.exists() else None

    def notes(self) -> tuple[bytes, ...]:
        """Return the last cosigned note of every region that has one: what a round begins with."""
        found = (self.note(record.uid) for record in self.registry.regions)
        return tuple(note for note in found if note is not None)

    def _genuine(self, uid: bytes, note: bytes) -> Checkpoint:
        origin = ledger_origin(uid)
        text = open_note(note, name=origin, public_key=self.registry.record(uid).ledger_key)
        checkpoint = Checkpoint.from_text(text)
        if checkpoint.origin != origin:
            raise MalformedDocumentError(f"expected a checkpoint of {origin}")
        return checkpoint

    def _file(self, uid: bytes) -> Path:
        return self.folder / f"{uid.hex()}.note"
