"""The audit that a plan declares: how many canaries each region adds to its own training.

A canary is a made-up record. Each region flips a secret coin for each of them, trains with those
that came up, and guesses the coins from its own releases after the last round. Coins and guesses
stay in the region; its ledger has their hash before the first step, and the result at the end. No
budget is charged: the records' guarantee does not depend on which other records there are.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from privacy.canonical import Json
from privacy.errors import PlanRefusedError
from privacy.fields import Fields

LEAST_CANARIES = 20
"""Fewer show nothing, whatever the trainer does."""


class AuditKind(StrEnum):
    """How releases are audited."""

    ONE_RUN = "white-box-one-run"


@dataclass(frozen=True, slots=True)
class PlannedAudit:
    """What every region of the plan does beside its records.

    Attributes:
        canaries: m, for each region; about half of them train.
        kind: How the coins are guessed.
    """

    canaries: int
    kind: AuditKind = AuditKind.ONE_RUN

    def __post_init__(self) -> None:
        if self.canaries < LEAST_CANARIES:
            raise PlanRefusedError(
                f"expected at least {LEAST_CANARIES} canaries, got {self.canaries}: fewer show "
                "nothing; declare more, or no audit"
            )

    def to_json(self) -> dict[str, Json]:
        """Return the form that plans hold."""
        return {"kind": self.kind, "canaries": self.canaries}

    @classmethod
    def from_fields(cls, fields: Fields) -> Self:
        """Read what ``to_json`` wrote."""
        terms = cls(
            kind=fields.choice("kind", AuditKind),
            canaries=fields.integer("canaries"),
        )
        fields.close()
        return terms
