"""What a report says: ``report.json``, of which the page for people is a rendering.

A report is canonical JSON, schema ``stillroom/report/v2``. Every ε of the claim is what was
charged, and stands with its δ, unit and relation. The verdict and the claims follow from the
numbers when a report is made; a report that is read keeps the words that it was published with.

Dataclasses are the one model: ``codec`` makes the JSON of them, ``schema`` the JSON Schema,
``html`` the page. A field whose metadata say ``x-recomputed`` is found anew by a verifier, with
all that is in it (``recomputed``), and so is each field of a region and of the sums; one that
says ``x-declared`` is a person's word.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Self

from privacy.canonical import dumps, loads
from privacy.errors import MalformedDocumentError
from privacy.report.assessment import Assessment
from privacy.report.audits import Audit
from privacy.report.claim import claim
from privacy.report.codec import from_json, to_json
from privacy.report.declared import Declarations
from privacy.report.dossier import (
    ACTORS,
    Accounting,
    Actor,
    Origin,
    PlanTerms,
    SeveralRegions,
    Signature,
    Software,
    several_regions,
)
from privacy.report.evidence import RegionEvidence
from privacy.report.model_checks import check_parts
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

SCHEMA = "stillroom/report/v2"
_LATER = Verdict("", ())
_NO_ORIGIN = Origin("", 0, 0, "", "")
_RECOMPUTED = {"x-recomputed": True}


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
        origin: Which report this is; made if left out.
        plans: What the approved plan fixed.
        ledgers: What each region's ledger says, in the order of the regions; empty if they were
            not read.
        several: What holds for somebody in several regions; made if left out.
        accounting: How privacy was accounted for; made if left out.
        actors: Who could see what.
        audits: What audits found.
        software: On what it ran.
        declared: What a person declares.
        signatures: Over the report's hash.
        assessment: The released student beside its teacher on held-out public records; left out in
            a report of a release that did not measure it.
    """

    study: str = field(metadata=_RECOMPUTED)
    created_at: str
    mode: Mode
    plan: str = field(metadata=_RECOMPUTED)
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
    claims: tuple[str, ...] = field(default=(), metadata=_RECOMPUTED)
    origin: Origin = _NO_ORIGIN
    plans: tuple[PlanTerms, ...] = field(default=(), metadata=_RECOMPUTED)
    ledgers: tuple[RegionEvidence, ...] = field(default=(), metadata=_RECOMPUTED)
    several: tuple[SeveralRegions, ...] = field(default=(), metadata=_RECOMPUTED)
    accounting: Accounting = field(default_factory=Accounting.made)
    actors: tuple[Actor, ...] = ACTORS
    audits: tuple[Audit, ...] = ()
    software: Software = field(default_factory=Software)
    declared: Declarations = field(default_factory=Declarations, metadata={"x-declared": True})
    signatures: tuple[Signature, ...] = ()
    assessment: Assessment | None = None

    def __post_init__(self) -> None:
        require_text("the study's name", self.study)
        require_digest("the plan", self.plan)
        _ = _time(self.created_at)
        check_parts(self)
        self._make_what_follows()
        if len(self.claims) != len(self.regions):
            raise MalformedDocumentError(
                f"expected one claim for each of {len(self.regions)} regions, "
                f"got {len(self.claims)}"
            )

    def _make_what_follows(self) -> None:
        """Fill in what follows from the rest, where it was left out."""
        if self.verdict == _LATER:
            made = verdict_of(self.arms, labelled_share=self.data.labelled_share)
            object.__setattr__(self, "verdict", made)
        if not self.claims:
            object.__setattr__(self, "claims", _claims(self))
        if not self.several:
            bounds = several_regions([region.charged for region in self.regions])
            object.__setattr__(self, "several", bounds)
        if self.origin == _NO_ORIGIN:
            times = [
                time
                for one in self.ledgers
                for time in (one.integrity.first_at, one.integrity.last_at)
            ]
            origin = Origin.made(plan=self.plan, created_at=self.created_at, times=times)
            object.__setattr__(self, "origin", origin)

    @property
    def alarms(self) -> tuple[str, ...]:
        """What contradicts the claims, as sentences; it stands above everything else."""
        found = [
            f"An audit of {one.date} found {one.verdict}: its bound is {one.lower_bound}, the "
            f"claim ε = {one.claim}. The claims below must not be relied on before it is explained."
            for one in self.audits
            if one.is_against
        ]
        found += [
            f"The last self-test of {one.region} failed: {', '.join(one.self_tests[-1].failed)}."
            for one in self.ledgers
            if one.self_tests and one.self_tests[-1].failed
        ]
        return tuple(found)

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

    def ledger(self, region: str) -> RegionEvidence | None:
        """Return what the region's ledger says, or None if it was not read."""
        return next((one for one in self.ledgers if one.region == region), None)

    def arm(self, name: ArmName) -> Arm | None:
        """Return the arm of that name, or None if the study has none."""
        return next((arm for arm in self.arms if arm.name is name), None)

    def to_json(self) -> bytes:
        """Return the canonical bytes of ``report.json``.

        Raises:
            MalformedDocumentError: If a decimal in it has no canonical spelling.
        """
        members = {part.name: getattr(self, part.name) for part in dataclasses.fields(self)}
        parts = {key: to_json(item) for key, item in members.items() if item is not None}
        return dumps({"schema": SCHEMA, **parts})

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
            **({} if self.assessment is None else self.assessment.summary()),
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


def _claims(report: Report) -> tuple[str, ...]:
    return tuple(
        claim(
            region,
            as_of=f"{_time(report.created_at):%Y-%m-%d}",
            assumptions=len(report.assumptions),
            exceptions=len(report.exceptions),
            ledger=report.ledger(region.name),
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
