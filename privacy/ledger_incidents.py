"""An account that is stopped because more may have left than was charged, and its way back.

An audit whose lower bound exceeds the claim, or any other finding of that weight, freezes the
account: no plan is approved, nothing is trained, released or sent under it. It is used again only
after somebody said why, and charged at least what the finding shows.

To stop needs no key, as everybody who can write here may say that something is wrong. To go on
needs the region's: a lift is signed for the one place in the ledger where it stands. The rules here
ask for a signature; whose it is they cannot know, so the client and the auditor check it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

from privacy.canonical import Json, dumps
from privacy.fields import Fields
from privacy.guarantee import Bound


@dataclass(frozen=True, slots=True)
class Freeze:
    """An account stops here.

    Attributes:
        lineage: Whose account.
        reason: One sentence; no record's text, for a ledger is shown to others.
        evidence: What was found, such as an audit's result.
        frozen_by: Who stopped it.
    """

    KIND: ClassVar[str] = "freeze"
    lineage: str
    reason: str
    evidence: Mapping[str, Json]
    frozen_by: str

    def to_json(self) -> dict[str, Json]:
        """Return the kind's own fields."""
        return {
            "lineage": self.lineage,
            "reason": self.reason,
            "evidence": self.evidence,
            "frozen_by": self.frozen_by,
        }

    @classmethod
    def from_fields(cls, fields: Fields) -> Self:
        """Read the kind's own fields."""
        return cls(
            lineage=fields.text("lineage"),
            reason=fields.text("reason"),
            evidence=fields.mapping("evidence"),
            frozen_by=fields.text("frozen_by"),
        )


@dataclass(frozen=True, slots=True)
class Lift:
    """A frozen account is used again, and owes more.

    Attributes:
        lineage: Whose account.
        charges: What is charged for the finding, one bound for each limit of the account.
        reason: What the cause was, and why it cannot come again.
        lifted_by: Who answers for that.
        signature: The region's, 64 bytes in hexadecimal, over ``said`` and the hash of the entry
            before: taken to another place it is no signature.
    """

    KIND: ClassVar[str] = "lift"
    lineage: str
    charges: tuple[Bound, ...]
    reason: str
    lifted_by: str
    signature: str

    @property
    def said(self) -> bytes:
        """What is signed: everything but the signature."""
        return dumps(self._unsigned())

    def to_json(self) -> dict[str, Json]:
        """Return the kind's own fields."""
        return {**self._unsigned(), "signature": self.signature}

    def _unsigned(self) -> dict[str, Json]:
        return {
            "lineage": self.lineage,
            "charges": [charge.to_json() for charge in self.charges],
            "reason": self.reason,
            "lifted_by": self.lifted_by,
        }

    @classmethod
    def from_fields(cls, fields: Fields) -> Self:
        """Read the kind's own fields."""
        return cls(
            lineage=fields.text("lineage"),
            charges=tuple(Bound.from_fields(item) for item in fields.objects("charges")),
            reason=fields.text("reason"),
            lifted_by=fields.text("lifted_by"),
            signature=fields.hex_bytes("signature", size=64),
        )
