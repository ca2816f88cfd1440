"""The released student beside its teacher on held-out records: quality, calibration, parts, cost.

The records are declared public by the study, so that no figure here is a release of a region. What
was measured elsewhere is held here as it was rounded; nothing is computed.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from privacy.errors import MalformedDocumentError
from privacy.report.part_checks import require_at_most_one, require_text

PUBLIC_BASIS = (
    "The study declares these records public, and no program can check that; on public records "
    "figures cost no ε. Nothing here was measured on a region's records."
)


class Answered(StrEnum):
    """What one answer of the models is about."""

    RECORD = "record"
    TOKEN = "token"  # noqa: S105 - a piece of text


class FigureName(StrEnum):
    """A figure of quality; the last four are better when smaller."""

    ACCURACY = "accuracy"
    MACRO_F1 = "macro_f1"
    AGREEMENT = "agreement"
    TEACHER_KL = "teacher_kl"
    NLL = "nll"
    BRIER = "brier"
    PERPLEXITY = "perplexity"


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure on all records, with the range of most resamples of them where there is one.

    Attributes:
        value: On the records as they are.
        low: Lower end of the range.
        high: Its upper end.
    """

    value: Decimal
    low: Decimal | None = None
    high: Decimal | None = None

    def __post_init__(self) -> None:
        if (self.low is None) != (self.high is None):
            raise MalformedDocumentError("expected both ends of a range or none, got one")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise MalformedDocumentError(
                f"expected a range from low to high, got {self.low} to {self.high}"
            )


@dataclass(frozen=True, slots=True)
class SideBySide:
    """One figure of student and teacher; the teacher has none that compares it with itself."""

    figure: FigureName
    student: Estimate
    teacher: Estimate | None = None


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Records of like confidence.

    Attributes:
        records: How many.
        confidence: Their mean confidence.
        accuracy: The share that is right.
        low: Lower end of the share's 95 % Wilson interval.
        high: Its upper end.
    """

    records: int
    confidence: Decimal
    accuracy: Decimal
    low: Decimal
    high: Decimal

    def __post_init__(self) -> None:
        for name in ("confidence", "accuracy", "low", "high"):
            require_at_most_one(name, getattr(self, name))


@dataclass(frozen=True, slots=True)
class Calibration:
    """How well confidence and accuracy agree.

    Attributes:
        error: Expected calibration error over bins of equally many records, in [0, 1].
        brier: Mean squared distance from the label, in [0, 2].
        nll: Mean negative log-likelihood of the label, nats.
        bins: What a reliability diagram shows, least confident first; may be left empty.
    """

    error: Decimal
    brier: Decimal
    nll: Decimal
    bins: tuple[ReliabilityBin, ...]


@dataclass(frozen=True, slots=True)
class Scaling:
    """What one temperature, fitted on these public records, makes of the calibration.

    Attributes:
        temperature: Fitted on all records: logits are divided by it. The student as it is written
            out does not apply it.
        before: Without it.
        after: With it, each half of the records at the temperature of the other half.
    """

    temperature: Decimal
    before: Calibration
    after: Calibration


@dataclass(frozen=True, slots=True)
class SliceQuality:
    """The student on one part of the records.

    Attributes:
        by: What it was cut by, such as ``label`` or a column's name.
        value: Which part.
        records: How many it has.
        is_small: Whether it has too few for its ranges to be relied on.
        accuracy: Share of its records that are right.
        f1: Mean F1: of its classes over all records where it was cut by class, else within it.
    """

    by: str
    value: str
    records: int
    is_small: bool
    accuracy: Estimate
    f1: Estimate

    def __post_init__(self) -> None:
        require_text("what a slice was cut by", self.by)


@dataclass(frozen=True, slots=True)
class ModelCost:
    """What a model costs on the machine that ran the study; it compares the two models only.

    Attributes:
        parameters: Number of its parameters.
        size_bytes: Of its files.
        latency_p50_ms: Median time of one record alone, text to probabilities.
        latency_p95_ms: The time that 95 % of records stay under.
        records_per_s: In batches.
        batch: Records of a batch.
        peak_memory_bytes: Most memory of the process that did nothing else, libraries included.
        libraries_bytes: What it held before the model was loaded.
        threads: Threads that it used.
        texts: How many records were timed.
    """

    parameters: int
    size_bytes: int
    latency_p50_ms: Decimal
    latency_p95_ms: Decimal
    records_per_s: Decimal
    batch: int
    peak_memory_bytes: int
    libraries_bytes: int
    threads: int
    texts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """The released student beside its teacher, on held-out public records.

    Attributes:
        basis: Whose records these are, and why no ε is charged for the figures.
        answered: What one answer is about.
        records: How many records there are.
        resamples: Resamples behind every range; 0 where none is given.
        coverage: Share of the resamples inside a range.
        seed: Of the resampling; public.
        figures: Each figure of both models.
        student_scaling: The student's calibration.
        teacher_scaling: The teacher's.
        slices: Parts of the records, the student's worst first.
        slices_left_out: Parts that were not the worst and are not told.
        student_cost: What the student costs to run.
        teacher_cost: What the teacher does.
    """

    basis: str
    answered: Answered
    records: int
    resamples: int
    coverage: Decimal
    seed: int
    figures: tuple[SideBySide, ...]
    student_scaling: Scaling | None = None
    teacher_scaling: Scaling | None = None
    slices: tuple[SliceQuality, ...] = ()
    slices_left_out: int = 0
    student_cost: ModelCost | None = None
    teacher_cost: ModelCost | None = None

    def __post_init__(self) -> None:
        require_text("whose records were used", self.basis)
        require_at_most_one("the coverage of a range", self.coverage)
        names = [one.figure for one in self.figures]
        if not names or len(set(names)) < len(names):
            raise MalformedDocumentError(
                f"expected each figure of the assessment once, got {', '.join(names) or 'none'}"
            )
        if self.student_scaling is not None:
            for state in (self.student_scaling.before, self.student_scaling.after):
                self._check_bins(state)
        if any(one.records > self.records for one in self.slices):
            raise MalformedDocumentError("expected no slice with more records than there are")

    def _check_bins(self, state: Calibration) -> None:
        held = sum(one.records for one in state.bins)
        if state.bins and held != self.records:
            raise MalformedDocumentError(
                f"expected {self.records} records in the bins of the reliability diagram, "
                f"got {held}"
            )

    def figure(self, name: FigureName) -> SideBySide | None:
        """Return a figure of both models, or None if it was not measured."""
        return next((one for one in self.figures if one.figure is name), None)

    def summary(self) -> dict[str, float]:
        """Return what scripts ask for, by name; what was not measured is left out."""
        found: dict[str, float] = {}
        for whose, scaling, cost in (
            ("student", self.student_scaling, self.student_cost),
            ("teacher", self.teacher_scaling, self.teacher_cost),
        ):
            if scaling is not None:
                found[f"{whose}_brier"] = float(scaling.before.brier)
                found[f"{whose}_temperature"] = float(scaling.temperature)
                found[f"{whose}_calibration_error_at_temperature"] = float(scaling.after.error)
            if cost is not None:
                found[f"{whose}_latency_p50_ms"] = float(cost.latency_p50_ms)
                found[f"{whose}_records_per_s"] = float(cost.records_per_s)
                found[f"{whose}_size_bytes"] = cost.size_bytes
        return found
