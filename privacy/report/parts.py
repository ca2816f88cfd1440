"""The parts of a report; here are the ways of training, and the student's quality by round.

The run's own parts are in ``run_parts``; whether they fit together is ``model``'s matter.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Self

from privacy.errors import MalformedDocumentError
from privacy.report.part_checks import (
    figure,
    require_at_most_one,
    require_digest,
    require_text,
)
from privacy.report.run_parts import (
    Assumption,
    Data,
    Mode,
    Region,
    Sent,
    Stage,
    Student,
    Sums,
    Support,
    Teacher,
    Verdict,
    Version,
)

__all__ = [
    "Arm",
    "ArmName",
    "Assumption",
    "Data",
    "Mode",
    "Region",
    "RoundQuality",
    "Sent",
    "Stage",
    "Student",
    "Sums",
    "Support",
    "Teacher",
    "Verdict",
    "Version",
    "figure",
    "require_digest",
    "require_text",
]


class ArmName(StrEnum):
    """The ways of training that a report compares."""

    TEACHER = "teacher"
    DISTILLED = "distilled"
    WITHOUT_TEACHER = "without-teacher"
    PUBLIC_ONLY = "public-only"
    HARD_LABELS = "hard-labels"
    ALL_TRUE_LABELS = "all-true-labels"
    NO_PRIVACY = "no-privacy"
    SOFT_ONLY = "soft-only"
    UNPREPARED = "unprepared-teacher"
    WITHOUT_TEACHER_NO_PRIVACY = "without-teacher-no-privacy"
    SOFT_ONLY_NO_PRIVACY = "soft-only-no-privacy"
    UNPREPARED_NO_PRIVACY = "unprepared-teacher-no-privacy"


@dataclass(frozen=True, slots=True)
class RoundQuality:
    """The student after one round, on the held-out records; round 0 is before the first.

    Attributes:
        round: Its number.
        accuracy: Share of records with the right class.
        macro_f1: Mean F1 over the classes.
        agreement: Share of records on which student and teacher choose the same class.
        calibration_error: Expected gap of confidence and accuracy.
    """

    round: int
    accuracy: Decimal
    macro_f1: Decimal
    agreement: Decimal
    calibration_error: Decimal

    def __post_init__(self) -> None:
        for name in ("accuracy", "macro_f1", "agreement", "calibration_error"):
            require_at_most_one(name, getattr(self, name))


@dataclass(frozen=True, slots=True)
class TokenFigures:
    """What a language model shows on the held-out tokens; means over the seeds.

    Attributes:
        perplexity: exp of the mean negative log-likelihood of a token.
        agreement: Share of the tokens of which it finds the same most likely as the teacher does.
    """

    perplexity: Decimal
    agreement: Decimal

    def __post_init__(self) -> None:
        require_at_most_one("agreement", self.agreement)
        if self.perplexity < 1:
            raise MalformedDocumentError(f"expected a perplexity >= 1, got {self.perplexity}")


@dataclass(frozen=True, slots=True)
class Arm:
    """One way of training, over one or more seeds.

    Attributes:
        name: Which one.
        title: A few words, for a chart.
        description: What was trained on what, in one sentence.
        accuracy: Mean over the seeds.
        accuracy_sd: Sample standard deviation; 0 for one seed.
        macro_f1: Mean over the seeds.
        macro_f1_sd: Sample standard deviation; 0 for one seed.
        seeds: How many.
        epsilon: What one run costs or would cost; None where no record is protected or used.
        is_private_release: Whether a ledger paid for it; all others are the researcher's.
        is_fixed: Whether nothing in it is left to chance, so that one seed is all there is.
        note: What else must be said; may be empty.
        tokens: Perplexity and agreement; of a language model only.
    """

    name: ArmName
    title: str
    description: str
    accuracy: Decimal
    accuracy_sd: Decimal
    macro_f1: Decimal
    macro_f1_sd: Decimal
    seeds: int
    epsilon: Decimal | None
    is_private_release: bool
    is_fixed: bool
    note: str
    tokens: TokenFigures | None = None

    def __post_init__(self) -> None:
        require_text("an arm's title", self.title)
        for name in ("accuracy", "macro_f1"):
            require_at_most_one(name, getattr(self, name))
        if self.seeds < 1 or (self.is_private_release and self.epsilon is None):
            raise MalformedDocumentError(
                f"{self.name}: expected at least one seed, and an ε for a private release"
            )

    @classmethod
    def measured(
        cls,
        name: ArmName,
        *,
        title: str,
        description: str,
        accuracies: Sequence[float],
        macro_f1s: Sequence[float],
        epsilon: Decimal | None = None,
        is_private_release: bool = False,
        is_fixed: bool = False,
        note: str = "",
    ) -> Self:
        """Return the arm with mean and spread of what each seed gave.

        Raises:
            MalformedDocumentError: If there is no seed, or a figure is out of [0, 1].
        """
        if not accuracies or len(accuracies) != len(macro_f1s):
            raise MalformedDocumentError(
                f"{name}: expected both figures of at least one seed, got {len(accuracies)} "
                f"and {len(macro_f1s)}"
            )
        return cls(
            name=name,
            title=title,
            description=description,
            accuracy=figure(statistics.fmean(accuracies)),
            accuracy_sd=_spread(accuracies),
            macro_f1=figure(statistics.fmean(macro_f1s)),
            macro_f1_sd=_spread(macro_f1s),
            seeds=len(accuracies),
            epsilon=epsilon,
            is_private_release=is_private_release,
            is_fixed=is_fixed,
            note=note,
        )


def _spread(values: Sequence[float]) -> Decimal:
    return figure(statistics.stdev(values)) if len(values) > 1 else Decimal(0)
