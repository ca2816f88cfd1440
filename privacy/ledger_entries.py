"""What a ledger is made of: the bytes of one entry, and the closed list of its kinds.

A body is canonical JSON: the kind's own fields (``ledger_grants``, ``ledger_steps``) and, for all
kinds, ``seq``, ``time``, the SHA-256 of the body before it (``previous``) and 16 random bytes
(``salt``), so that a published hash tells nothing about a body that is guessed. Fields are never
renamed or reused; an unknown kind or field is refused. Whether an entry may stand where it stands
is ``ledger_state``'s matter.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Self, TypeAlias

from privacy.canonical import dumps, loads
from privacy.errors import LedgerCorruptError, LedgerVersionError, PrivacyError, UnknownEntryError
from privacy.fields import Fields
from privacy.ledger_grants import FORMAT, Account, Approval, Genesis, Grant, Merge, Note
from privacy.ledger_incidents import Freeze, Lift
from privacy.ledger_steps import Context, Release, Reserve, Reveal, Send, Step, Sum

__all__ = [
    "FORMAT",
    "MAX_BODY_BYTES",
    "NO_HASH",
    "Account",
    "Approval",
    "Context",
    "Entry",
    "Freeze",
    "Genesis",
    "Grant",
    "Lift",
    "Merge",
    "Note",
    "Payload",
    "Release",
    "Reserve",
    "Reveal",
    "Send",
    "Step",
    "Sum",
    "body_hash",
]

NO_HASH = "0" * 64
MAX_BODY_BYTES = 1 << 20

Payload: TypeAlias = Grant | Step

_KINDS: dict[str, type[Payload]] = {
    kind.KIND: kind
    for kind in (
        *(Genesis, Account, Merge, Approval, Freeze, Lift, Note),
        *(Context, Reserve, Release, Send, Reveal, Sum),
    )
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a ledger.

    Attributes:
        seq: Its place, from 1.
        time: When, in Unix seconds; never less than the entry before.
        previous: SHA-256 of the body before, in hexadecimal.
        salt: 16 random bytes in hexadecimal.
        payload: What it says.
    """

    seq: int
    time: int
    previous: str
    salt: str
    payload: Payload

    def to_bytes(self) -> bytes:
        """Return the body, canonical.

        Raises:
            MalformedDocumentError: If the payload holds what canonical JSON cannot.
        """
        return dumps(
            {
                **self.payload.to_json(),
                "kind": self.payload.KIND,
                "seq": self.seq,
                "time": self.time,
                "previous": self.previous,
                "salt": self.salt,
            }
        )

    @classmethod
    def from_bytes(cls, body: bytes) -> Self:
        """Read a body.

        Raises:
            UnknownEntryError: If the kind is not in the table.
            LedgerVersionError: If a later release began this ledger.
            LedgerCorruptError: For any other bytes; nothing else is ever raised.
        """
        if len(body) > MAX_BODY_BYTES:
            raise LedgerCorruptError(f"expected at most {MAX_BODY_BYTES} bytes, got {len(body)}")
        try:
            return cls._read(Fields(loads(body), where="entry"))
        except (UnknownEntryError, LedgerVersionError, LedgerCorruptError):
            raise
        except PrivacyError as error:
            raise LedgerCorruptError(
                f"expected a ledger entry, got: {error}; restore the ledger from its last backup "
                "and compare it with the checkpoints that others hold"
            ) from error

    @classmethod
    def _read(cls, fields: Fields) -> Self:
        kind = fields.text("kind")
        if kind not in _KINDS:
            raise UnknownEntryError(
                f"expected an entry of {', '.join(_KINDS)}, got {kind[:40]!r}; "
                "a later release wrote it: update stillroom before using this ledger"
            )
        entry = cls(
            seq=fields.integer("seq", least=1),
            time=fields.integer("time"),
            previous=fields.hex_bytes("previous", size=32),
            salt=fields.hex_bytes("salt", size=16),
            payload=_KINDS[kind].from_fields(fields),
        )
        fields.close()
        return entry


def body_hash(body: bytes) -> str:
    """Return the SHA-256 of a body in hexadecimal: what the next entry names as ``previous``."""
    return hashlib.sha256(body).hexdigest()
