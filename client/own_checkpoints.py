"""What this region's folder knows about its own ledger: the last checkpoint, and the cosigned one.

    checkpoint.note   the last checkpoint that this region signed, written before it leaves
    cosigned.note     the last one that the coordinator cosigned: for an auditor, and with its time

A ledger that lacks what one of them says is an older copy, or another ledger: somebody restored
``ledger.db`` alone. Who restores the whole folder is found out by the other regions and by the
coordinator, who hold the same notes (``client.checkpoints``, ``server.witness``).
"""

from dataclasses import dataclass
from pathlib import Path

from client.checkpoints import read_checkpoint, sign_checkpoint
from client.errors import RegionFolderError
from client.folder import write_durably
from privacy.cosignatures import COSIGNER_NAME, WitnessRequest, cosigned_at
from privacy.errors import LedgerCorruptError, MalformedDocumentError
from privacy.ledger import Ledger
from privacy.notes import Checkpoint
from protocol.identity import Identity


@dataclass(frozen=True, slots=True)
class OwnCheckpoints:
    """This region's checkpoints, in its folder.

    Attributes:
        folder: The region's.
        ledger: Its ledger.
        key: Signs the ledger's checkpoints.
        uid: The region, 16 bytes.
        cosigner_key: The coordinator's key for cosignatures, 32 bytes.
    """

    folder: Path
    ledger: Ledger
    key: Identity
    uid: bytes
    cosigner_key: bytes

    def sign(self) -> bytes:
        """Return a signed checkpoint of the ledger as it is now, kept before it is returned."""
        note = sign_checkpoint(self.ledger, self.key, self.uid)
        write_durably(self.folder / "checkpoint.note", note)
        return note

    def require_contained(self) -> None:
        """Check that the ledger holds what the region's own notes say.

        Raises:
            LedgerCorruptError: If it does not: it is an older copy, or another ledger.
            RegionFolderError: If a note is damaged.
        """
        for name in ("checkpoint.note", "cosigned.note"):
            known = self._read(name)
            if known is not None and not self._contains(known):
                raise LedgerCorruptError(
                    f"expected a ledger that begins with the {known.size} entries of {name}, got "
                    f"{self.ledger.state.size} or other ones: the ledger is an older copy or "
                    "another one; find the newest copy, and spend nothing until then"
                )

    def request(self) -> bytes:
        """Return what the coordinator is asked to cosign: a checkpoint, and proof of its growth."""
        note = self.sign()
        now = self._genuine(note)
        last = self._read("cosigned.note")
        if now is None:
            raise RegionFolderError("the checkpoint that was just signed cannot be read")
        old = last.size if last else 0
        return WitnessRequest(old, self.ledger.growth(old, now.size), note).to_bytes()

    def keep(self, note: bytes) -> bool:
        """Keep a cosigned checkpoint if it is of this ledger and later than the one that is kept.

        Returns:
            Whether it is genuine and cosigned; only then was it looked at.

        Raises:
            LedgerCorruptError: If it is, and the ledger lacks what it says: this is an older copy.
        """
        said = self._genuine(note)
        if said is None or self._cosigned_at(note) is None:
            return False
        if not self._contains(said):
            raise LedgerCorruptError(
                f"the coordinator cosigned {said.size} entries of this ledger, which has "
                f"{self.ledger.state.size} or other ones: it is an older copy; find the newest "
                "one, and spend nothing until then"
            )
        last = self._read("cosigned.note")
        if last is None or last.size < said.size:
            write_durably(self.folder / "cosigned.note", note)
        return True

    def cosigned(self) -> tuple[int, int] | None:
        """Return the size and the time, Unix seconds, of the kept cosigned checkpoint, or None."""
        path = self.folder / "cosigned.note"
        last = self._read("cosigned.note")
        time = self._cosigned_at(path.read_bytes()) if last else None
        return (last.size, time) if last and time is not None else None

    def _contains(self, said: Checkpoint) -> bool:
        return self.ledger.root_at(said.size) == (said.size, said.root)

    def _read(self, name: str) -> Checkpoint | None:
        path = self.folder / name
        if not path.exists():
            return None
        said = self._genuine(path.read_bytes())
        if said is None:
            raise RegionFolderError(
                f"{name} is no checkpoint that this region's ledger key signed: find out who "
                "changed it; without it an older copy of the ledger goes unnoticed here"
            )
        return said

    def _genuine(self, note: bytes) -> Checkpoint | None:
        return read_checkpoint(note, uid=self.uid, ledger_key=self.key.public_bytes())

    def _cosigned_at(self, note: bytes) -> int | None:
        try:
            return cosigned_at(note, name=COSIGNER_NAME, public_key=self.cosigner_key)
        except MalformedDocumentError:
            return None
