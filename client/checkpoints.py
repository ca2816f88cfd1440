"""Signed checkpoints of ledgers: how regions notice that one of them runs on an older copy.

A checkpoint says how many entries a ledger had and which was the last one, signed with the ledger's
key. A region sends its own with every masked vector, keeps the latest that it saw of each other
region, and shows those in the next round. Who finds that another region has seen a later checkpoint
of its ledger than the ledger holds was restored from a backup, and must not spend again.
"""

import json
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from client.errors import RegionFolderError
from client.folder import write_durably
from privacy.ledger import Ledger
from protocol.errors import ProtocolError
from protocol.identity import Identity, Registry, verify
from protocol.messages import Checkpoint

_LABEL = "checkpoint"
_SCOPE = bytes(32)  # a ledger belongs to no round
_STATEMENT = struct.Struct(">Q32s")
_SIGNATURE_BYTES = 64


@dataclass(frozen=True, slots=True)
class Statement:
    """What a checkpoint says.

    Attributes:
        size: Number of entries.
        head: SHA-256 of the last one, hex.
    """

    size: int
    head: str


def sign_checkpoint(ledger: Ledger, key: Identity, uid: bytes) -> bytes:
    """Return a checkpoint of a region's ledger as it is now, 104 bytes."""
    state = ledger.state
    body = _STATEMENT.pack(state.size, bytes.fromhex(state.head))
    return body + key.sign(_LABEL, context=_SCOPE, uid=uid, body=body)


def read_checkpoint(note: bytes, *, uid: bytes, ledger_key: bytes) -> Statement | None:
    """Return what a checkpoint says, or None if this region's ledger key did not sign it."""
    if len(note) != _STATEMENT.size + _SIGNATURE_BYTES:
        return None
    body, signature = note[: _STATEMENT.size], note[_STATEMENT.size :]
    try:
        verify(ledger_key, signature, _LABEL, context=_SCOPE, uid=uid, body=body)
    except ProtocolError:
        return None
    size, head = _STATEMENT.unpack(body)
    return Statement(size, head.hex())


class SeenCheckpoints:
    """The latest checkpoint that this region saw of each other one, in a file.

    Losing the file costs the others a witness, and this region nothing.
    """

    def __init__(self, path: Path, registry: Registry) -> None:
        """Read the file, if there is one.

        Raises:
            RegionFolderError: If it is damaged.
        """
        self._path, self._registry = path, registry
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
            key = self._registry.record(uid).ledger_key
        except ProtocolError:
            return 0
        statement = read_checkpoint(note, uid=uid, ledger_key=key)
        return statement.size if statement else 0
