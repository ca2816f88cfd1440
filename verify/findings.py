"""What a check finds: what does not hold, and what could not be seen."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, StrEnum


class Outcome(Enum):
    """What a check found; the value is the exit code of a command that reports it."""

    HOLDS = 0
    VIOLATED = 1
    INCOMPLETE = 4


class Check(StrEnum):
    """Which part of the check of a pack found something; ``meanings`` says what each means."""

    RUN = ""
    WHOLE = "V1"
    LEDGERS = "V2"
    CHECKPOINTS = "V3"
    EXECUTED = "V4"
    VECTORS = "V5"
    FIGURES = "V6"
    PLAN = "V7"
    TEACHER = "V8"
    TESTS = "V9"
    UNSEEN = "V10"
    HISTORY = "history"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that does not hold, or could not be checked.

    Attributes:
        outcome: Which of the two.
        region: Whose; empty for the run as a whole.
        text: What was expected and what came.
        check: Which part of a pack's check found it.
        where: The file that shows it; empty where the text names it.
    """

    outcome: Outcome
    region: str
    text: str
    check: Check = Check.RUN
    where: str = ""


@dataclass(frozen=True, slots=True)
class Result:
    """Everything one check found; no finding means that the report holds.

    Attributes:
        findings: In the order of the regions.
        regions: Regions whose ledger was compared in full.
        notes: What a reader should know and what speaks neither for nor against the run.
    """

    findings: tuple[Finding, ...]
    regions: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def outcome(self) -> Outcome:
        """The worst of all findings: violated before incomplete before holds."""
        found = {finding.outcome for finding in self.findings}
        for outcome in (Outcome.VIOLATED, Outcome.INCOMPLETE):
            if outcome in found:
                return outcome
        return Outcome.HOLDS


def violated(check: Check, text: str, *, region: str = "", where: str = "") -> Finding:
    """Return a finding against the run."""
    return Finding(Outcome.VIOLATED, region, text, check, where)


def incomplete(check: Check, text: str, *, region: str = "", where: str = "") -> Finding:
    """Return a finding that says nothing against the run: it could not be checked."""
    return Finding(Outcome.INCOMPLETE, region, text, check, where)


def all_violated(
    check: Check, texts: Iterable[str], *, region: str = "", where: str = ""
) -> list[Finding]:
    """Return one finding against the run for each text."""
    return [violated(check, text, region=region, where=where) for text in texts]
