"""An account that is stopped because more may have left than was charged, and its way back.

An audit whose lower bound exceeds the claim, or any other finding of that weight, freezes the
account: no plan is approved, nothing is trained, released or sent under it. It is used again only
after somebody said why, and charged at least what the finding shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self

from privacy.canonical import Json
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
    """

    KIND: ClassVar[str] = "lift"
    lineage: str
    charges: tuple[Bound, ...]
    reason: str
    lifted_by: str

    def to_json(self) -> dict[str, Json]:
        """Return the kind's own fields."""
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
        )
