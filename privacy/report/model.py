"""What a report says: ``report.json``, of which the page for people is a rendering.

A report is canonical JSON, schema ``stillroom/report/v1``. Every ε in it is what was charged, and
stands with its δ, unit and relation. The verdict and the claims follow from the numbers when a
report is made; a report that is read keeps the words that it was published with.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Self

from privacy.canonical import dumps, loads
from privacy.errors import MalformedDocumentError
from privacy.report.claim import claim
from privacy.report.codec import from_json, to_json
from privacy.report.parts import (
    Arm,
    ArmName,
    Assumption,
    Data,
    Mode,
    Region,
    RoundQuality,
    Stage,
    Student,
    Sums,
    Teacher,
    Verdict,
    Version,
    require_digest,
    require_text,
)
from privacy.report.verdict import verdict_of

SCHEMA = "stillroom/report/v1"
REQUIRED_ARMS = (ArmName.TEACHER, ArmName.DISTILLED, ArmName.PUBLIC_ONLY)
_LATER = Verdict("", ())


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything that is said about one study.

    Attributes:
        study: Its name.
        created_at: When, as ``2026-11-24T12:00:00Z``.
        mode: How it was run.
        plan: SHA-256 of the plan that every region approved.
        data: What the records are.
        teacher: Who labelled them.
        student: What was trained.
        sums: What the coordinator could read of the regions' vectors.
        regions: Ascending by name; all in one unit and relation.
        rounds: The released student, before the first round and after each.
        arms: What it is compared with; teacher, distilled and public-only at least.
        stages: Where the time went.
        versions: Of the software.
        assumptions: What must hold for the guarantee.
        not_covered: What the guarantee does not say, as sentences.
        marks: What must not be overlooked, such as what has no guarantee.
        verdict: Whether it was worth it; made from the arms if left out.
        claims: One sentence a region, in order; made if left out.
    """

    study: str
    created_at: str
    mode: Mode
    plan: str
    data: Data
    teacher: Teacher
    student: Student
    sums: Sums
    regions: tuple[Region, ...]
    rounds: tuple[RoundQuality, ...]
    arms: tuple[Arm, ...]
    stages: tuple[Stage, ...]
    versions: tuple[Version, ...]
    assumptions: tuple[Assumption, ...]
    not_covered: tuple[str, ...]
    marks: tuple[str, ...]
    verdict: Verdict = _LATER
    claims: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require_text("the study's name", self.study)
        require_digest("the plan", self.plan)
        _ = _time(self.created_at)
        _check_arms(self)
        _check_regions(self)
        _check_rounds(self)
        if self.verdict == _LATER:
            made = verdict_of(self.arms, labelled_share=self.data.labelled_share)
            object.__setattr__(self, "verdict", made)
        if not self.claims:
            object.__setattr__(self, "claims", _claims(self))
        if len(self.claims) != len(self.regions):
            raise MalformedDocumentError(
                f"expected one claim for each of {len(self.regions)} regions, "
                f"got {len(self.claims)}"
            )

    @property
    def worst(self) -> Region:
        """The region that was charged the largest ε."""
        return max(self.regions, key=lambda region: region.charged.epsilon)

    @property
    def final(self) -> RoundQuality:
        """The released student, after the last round."""
        return self.rounds[-1]

    @property
    def seconds(self) -> Decimal:
        """The time of all stages."""
        return sum((stage.seconds for stage in self.stages), Decimal(0))

    @property
    def exceptions(self) -> tuple[str, ...]:
        """All that is not covered, as sentences N1, N2 and so on; the teacher's people last."""
        people = self.teacher.declaration.not_covered.removeprefix("Not covered: ")
        return (*self.not_covered, f"The teacher's training data: {people}")

    @property
    def bytes_out_per_region_round(self) -> int:
        """The most that one region sent in one round, retries included."""
        return max(
            (region.bytes_in_round(one.round) for region in self.regions for one in region.sent),
            default=0,
        )

    def arm(self, name: ArmName) -> Arm | None:
        """Return the arm of that name, or None if the study has none."""
        return next((arm for arm in self.arms if arm.name is name), None)

    def to_json(self) -> bytes:
        """Return the canonical bytes of ``report.json``.

        Raises:
            MalformedDocumentError: If a decimal in it has no canonical spelling.
        """
        members = {part.name: getattr(self, part.name) for part in dataclasses.fields(self)}
        return dumps({"schema": SCHEMA, **{key: to_json(item) for key, item in members.items()}})

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """Read ``report.json``.

        Raises:
            MalformedDocumentError: If the bytes are no report of this version, or its parts
                contradict each other.
            InvalidBudgetError: If a guarantee in it is no promise.
        """
        value = loads(data)
        if not isinstance(value, dict) or value.get("schema") != SCHEMA:
            raise MalformedDocumentError(
                f"expected a report of the schema {SCHEMA}, got another document; "
                "was it written by a later release?"
            )
        members = {key: item for key, item in value.items() if key != "schema"}
        return from_json(cls, members, where="report")

    def summary(self) -> dict[str, str | int | float]:
        """Return ``summary.json``: one flat object for scripts."""
        charged = self.worst.charged
        return {
            "study": self.study,
            "mode": self.mode,
            "epsilon": float(charged.epsilon),
            "delta": float(charged.delta),
            "unit": charged.unit,
            "neighbours": charged.neighbours,
            "student_accuracy": float(self.final.accuracy),
            "student_macro_f1": float(self.final.macro_f1),
            "student_agreement": float(self.final.agreement),
            "student_calibration_error": float(self.final.calibration_error),
            **self._arm_figures(),
            "regions": len(self.regions),
            "rounds": self.final.round,
            "trained_parameters": self.student.trained_parameters,
            "bytes_out_per_region_round": self.bytes_out_per_region_round,
            "bytes_out": sum(region.bytes_out for region in self.regions),
            "seconds": float(self.seconds),
            "verdict": self.verdict.headline,
        }

    def _arm_figures(self) -> dict[str, float]:
        """Return ``teacher_accuracy`` and so on: means over the seeds of each arm."""
        figures: dict[str, float] = {}
        for arm in self.arms:
            name = arm.name.replace("-", "_")
            figures[f"{name}_accuracy"] = float(arm.accuracy)
            figures[f"{name}_macro_f1"] = float(arm.macro_f1)
        return figures


def _check_arms(report: Report) -> None:
    names = [arm.name for arm in report.arms]
    missing = [name for name in REQUIRED_ARMS if name not in names]
    if missing or len(set(names)) != len(names):
        raise MalformedDocumentError(
            f"expected each arm once, with {', '.join(REQUIRED_ARMS)} among them, "
            f"got {', '.join(names) or 'none'}"
        )


def _check_regions(report: Report) -> None:
    names = [region.name for region in report.regions]
    if not names or names != sorted(set(names)):
        raise MalformedDocumentError(
            f"expected regions with different names in ascending order, got {', '.join(names)}"
        )
    if len({region.charged.relation for region in report.regions}) != 1:
        raise MalformedDocumentError("expected all regions in one unit and relation, got several")


def _check_rounds(report: Report) -> None:
    numbers = [one.round for one in report.rounds]
    if not numbers or numbers != list(range(numbers[-1] + 1)):
        raise MalformedDocumentError(
            f"expected the quality of each round from 0 on, got {', '.join(map(str, numbers))}"
        )


def _claims(report: Report) -> tuple[str, ...]:
    return tuple(
        claim(
            region,
            as_of=f"{_time(report.created_at):%Y-%m-%d}",
            assumptions=len(report.assumptions),
            exceptions=len(report.exceptions),
        )
        for region in report.regions
    )


def _time(text: str) -> datetime:
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError as error:
        raise MalformedDocumentError(
            f"expected a time in UTC such as 2026-11-24T12:00:00Z, got {text[:40]!r}"
        ) from error
