"""The parts of a report: data, teacher, student, arms, and what each region promised and sent.

Figures are decimals, as exact as they are printed, so that a report has one spelling. Whether the
parts fit together is ``model``'s matter.
"""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Self

from privacy.errors import MalformedDocumentError
from privacy.guarantee import Bound
from privacy.lineage import Declaration

PLACES = 4


def figure(value: float, *, places: int = PLACES) -> Decimal:
    """Return a measured quantity >= 0 as it is reported, rounded to ``places`` decimals.

    Raises:
        MalformedDocumentError: If it is negative, infinite or NaN.
    """
    if not (math.isfinite(value) and value >= 0):
        raise MalformedDocumentError(f"expected a finite measurement >= 0, got {value}")
    return Decimal(f"{value:.{places}f}").normalize() + 0


class Mode(StrEnum):
    """How the study was run."""

    SIMULATION = "simulation"


class Support(StrEnum):
    """Why an assumption is believed."""

    PROVEN = "proven"
    TESTED = "tested"
    ATTESTED = "attested"
    ASSUMED = "assumed"


class ArmName(StrEnum):
    """The ways of training that a report compares."""

    TEACHER = "teacher"
    DISTILLED = "distilled"
    WITHOUT_TEACHER = "without-teacher"
    PUBLIC_ONLY = "public-only"
    HARD_LABELS = "hard-labels"
    ALL_TRUE_LABELS = "all-true-labels"
    NO_PRIVACY = "no-privacy"


@dataclass(frozen=True, slots=True)
class Data:
    """What the regions' records are.

    Attributes:
        description: One sentence: what a record is and where the records come from.
        notes: Sentences on what the data are not, whom they describe, how they were split.
        public_records: Records that the student may see in the open.
        test_records: Held-out records on which every figure of quality is measured.
        labelled_share: Share of the private records that have a true label.
    """

    description: str
    notes: tuple[str, ...]
    public_records: int
    test_records: int
    labelled_share: Fraction

    def __post_init__(self) -> None:
        require_text("a description of the data", self.description)
        _require_at_most_one("the labelled share", self.labelled_share)


@dataclass(frozen=True, slots=True)
class Teacher:
    """Who labelled the records.

    Attributes:
        name: The model and its revision.
        declaration: Its lineage, and whom its training data describe.
    """

    name: str
    declaration: Declaration

    def __post_init__(self) -> None:
        require_text("the teacher's name", self.name)


@dataclass(frozen=True, slots=True)
class Student:
    """What was trained.

    Attributes:
        name: The model.
        parameters: All of its parameters.
        trained_parameters: Those that private records may change.
        trained_part: Which they are, in words, such as ``the classification head``.
    """

    name: str
    parameters: int
    trained_parameters: int
    trained_part: str

    def __post_init__(self) -> None:
        require_text("the student's name", self.name)
        if not 0 < self.trained_parameters <= self.parameters:
            raise MalformedDocumentError(
                f"expected trained parameters among {self.parameters}, "
                f"got {self.trained_parameters}"
            )


@dataclass(frozen=True, slots=True)
class Sums:
    """What the coordinator could read of the regions' vectors.

    Attributes:
        min_survivors: Fewest regions in a sum.
        assumed_colluders: Regions that may have worked with the coordinator without reading more.
        any_survivors: Whether sums over changing sets of regions were allowed, even where several
            of them together would isolate a few regions.
    """

    min_survivors: int
    assumed_colluders: int
    any_survivors: bool

    def __post_init__(self) -> None:
        if self.min_survivors < 1 or self.assumed_colluders < 0:
            raise MalformedDocumentError(
                f"expected at least one survivor and no negative number of colluders, got "
                f"{self.min_survivors} and {self.assumed_colluders}"
            )


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
            _require_at_most_one(name, getattr(self, name))


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

    def __post_init__(self) -> None:
        require_text("an arm's title", self.title)
        for name in ("accuracy", "macro_f1"):
            _require_at_most_one(name, getattr(self, name))
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


@dataclass(frozen=True, slots=True)
class Sent:
    """One masked vector that left a region.

    Attributes:
        round: The round of the plan, counted from 1 as people do; ledgers count from 0.
        wire_bytes: Its size on the wire.
        wire_sha256: SHA-256 of those bytes, in hexadecimal.
        destination: Who received it.
    """

    round: int
    wire_bytes: int
    wire_sha256: str
    destination: str

    def __post_init__(self) -> None:
        require_digest("a sent vector", self.wire_sha256)


@dataclass(frozen=True, slots=True)
class Region:
    """What one region promised its units, and what it sent.

    Attributes:
        name: The region.
        lineage: The account that paid: all versions of one collection of data.
        charged: All that was ever charged to the account: the guarantee.
        budget: The account's limit, in the same unit and relation.
        noise_multiplier: Standard deviation of the noise over the clip norm.
        clip_norm: Largest norm of one unit's gradient.
        sample_rate: Chance that one unit is in one step.
        max_steps: Steps that the plan allows, slack included; charged in full.
        reserved_steps: Steps that were begun.
        released_steps: Steps whose result was released.
        public_size: A public bound on the number of units, not a count.
        sent: Every masked vector, in order.
    """

    name: str
    lineage: str
    charged: Bound
    budget: Bound
    noise_multiplier: Decimal
    clip_norm: Decimal
    sample_rate: Fraction
    max_steps: int
    reserved_steps: int
    released_steps: int
    public_size: int
    sent: tuple[Sent, ...]

    def __post_init__(self) -> None:
        require_text("a region's name", self.name)
        if self.charged.relation != self.budget.relation:
            raise MalformedDocumentError(
                f"{self.name}: expected charge and budget in one unit and relation, "
                f"got {self.charged} and {self.budget}"
            )
        if not self.released_steps <= self.reserved_steps <= self.max_steps:
            raise MalformedDocumentError(
                f"{self.name}: expected released <= reserved <= allowed steps, got "
                f"{self.released_steps}, {self.reserved_steps}, {self.max_steps}"
            )

    @property
    def bytes_out(self) -> int:
        """All bytes of masked vectors that left."""
        return sum(one.wire_bytes for one in self.sent)

    def bytes_in_round(self, round_: int) -> int:
        """Return the bytes that left in one round, retries included."""
        return sum(one.wire_bytes for one in self.sent if one.round == round_)


@dataclass(frozen=True, slots=True)
class Stage:
    """How long one stage took, in seconds."""

    name: str
    seconds: Decimal


@dataclass(frozen=True, slots=True)
class Version:
    """One piece of software whose version matters."""

    name: str
    version: str


@dataclass(frozen=True, slots=True)
class Assumption:
    """What must be true for the guarantee to hold, and why it is believed."""

    text: str
    support: Support


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether it was worth it, as the numbers say.

    Attributes:
        headline: One short sentence.
        sentences: The comparisons behind it.
    """

    headline: str
    sentences: tuple[str, ...]


def require_text(what: str, value: str) -> None:
    """Refuse a text that says nothing.

    Raises:
        MalformedDocumentError: With ``what`` in the message.
    """
    if not value.strip():
        raise MalformedDocumentError(f"expected {what}, got an empty text")


def require_digest(what: str, value: str) -> None:
    """Refuse what is no SHA-256 in hexadecimal.

    Raises:
        MalformedDocumentError: With ``what`` in the message.
    """
    if not re.fullmatch("[0-9a-f]{64}", value):
        raise MalformedDocumentError(
            f"expected the SHA-256 of {what} as 64 lower-case hexadecimal digits, "
            f"got {value[:80]!r}"
        )


def _require_at_most_one(what: str, value: Decimal | Fraction) -> None:
    if not 0 <= value <= 1:
        raise MalformedDocumentError(f"expected {what} in [0, 1], got {value}")


def _spread(values: Sequence[float]) -> Decimal:
    return figure(statistics.stdev(values)) if len(values) > 1 else Decimal(0)
