"""Signed checkpoints of ledgers: how regions notice that one of them runs on an older copy.

A checkpoint says how many entries a ledger had and the root of the tree over them, signed with the
ledger's key. A region sends its own with every masked vector, keeps the latest that it saw of each
other region, and shows those in the next round. Who finds that another region has seen a later
checkpoint of its ledger than the ledger holds was restored from a backup, and must not spend again.
"""

import json
from collections.abc import Iterable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from client.errors import RegionFolderError
from client.folder import write_durably
from privacy.cosignatures import ledger_origin
from privacy.errors import MalformedDocumentError
from privacy.ledger import Ledger
from privacy.notes import Checkpoint as LedgerCheckpoint
from privacy.notes import open_note, sign_note
from protocol.errors import ProtocolError
from protocol.identity import Identity, Registry
from protocol.messages import Checkpoint


def sign_checkpoint(ledger: Ledger, key: Identity, uid: bytes) -> bytes:
    """Return a checkpoint of a region's ledger as it is now: a signed note of some 250 bytes."""
    found = ledger.root_at()
    if found is None:
        raise RegionFolderError("the ledger has no entry; restore it from the region's backup")
    origin, (size, top) = ledger_origin(uid), found
    text = LedgerCheckpoint(origin, size, top).to_text()
    return sign_note(
        text, name=origin, key=Ed25519PrivateKey.from_private_bytes(key.private_bytes())
    )


def read_checkpoint(note: bytes, *, uid: bytes, ledger_key: bytes) -> LedgerCheckpoint | None:
    """Return what a checkpoint says, or None if this region's ledger key did not sign it."""
    origin = ledger_origin(uid)
    try:
        said = LedgerCheckpoint.from_text(open_note(note, name=origin, public_key=ledger_key))
    except MalformedDocumentError:
        return None
    return said if said.origin == origin else None


class SeenCheckpoints:
    """The latest checkpoint that this region saw of each other one, in a file.

    Losing the file costs the others a witness, and this region nothing.

    Attributes:
        folder: Where the file is: the region's.
        registry: Everybody's keys.
    """

    def __init__(self, path: Path, registry: Registry) -> None:
        """Read the file, if there is one.

        Raises:
            RegionFolderError: If it is damaged.
        """
        self.folder, self.registry = path.parent, registry
        self._path = path
        self._notes: dict[bytes, bytes] = {}
        if path.exists():
            try:
                stored = json.loads(path.read_bytes())
                self._notes = {bytes.fromhex(k): bytes.fromhex(v) for k, v in stored.items()}
            except (ValueError, AttributeError, TypeError) as error:
                raise RegionFolderError(
                    f"{path.name} cannot be read: delete it; it is filled again in the next round"
                ) from error

    def all(self) -> tuple[Checkpoint, ...]:
        """Return them, ascending by uid."""
        return tuple(Checkpoint(uid, note) for uid, note in sorted(self._notes.items()))

    def add(self, checkpoints: Iterable[Checkpoint]) -> None:
        """Keep those that are genuine and later than what is known, durably."""
        later = {
            checkpoint.uid: checkpoint.note
            for checkpoint in checkpoints
            if self._size(checkpoint.uid, checkpoint.note)
            > self._size(checkpoint.uid, self._notes.get(checkpoint.uid, b""))
        }
        if later:
            self._notes |= later
            stored = {uid.hex(): note.hex() for uid, note in sorted(self._notes.items())}
            write_durably(self._path, json.dumps(stored, indent=1).encode())

    def _size(self, uid: bytes, note: bytes) -> int:
        """Return a checkpoint's size; 0 for one that is not genuine."""
        try:
            key = self.registry.record(uid).ledger_key
        except ProtocolError:
            return 0
        statement = read_checkpoint(note, uid=uid, ledger_key=key)
        return statement.size if statement else 0
