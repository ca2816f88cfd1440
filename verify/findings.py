"""What a check finds: what does not hold, and what could not be seen."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Outcome(Enum):
    """What a check found; the value is the exit code of a command that reports it."""

    HOLDS = 0
    VIOLATED = 1
    INCOMPLETE = 4


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that does not hold, or could not be checked.

    Attributes:
        outcome: Which of the two.
        region: Where; empty for the run as a whole.
        text: What was expected and what came.
    """

    outcome: Outcome
    region: str
    text: str


@dataclass(frozen=True, slots=True)
class Result:
    """Everything one check found; no finding means that the report holds.

    Attributes:
        findings: In the order of the regions.
        regions: Regions whose ledger was compared in full.
    """

    findings: tuple[Finding, ...]
    regions: tuple[str, ...]

    @property
    def outcome(self) -> Outcome:
        """The worst of all findings: violated before incomplete before holds."""
        found = {finding.outcome for finding in self.findings}
        for outcome in (Outcome.VIOLATED, Outcome.INCOMPLETE):
            if outcome in found:
                return outcome
        return Outcome.HOLDS
