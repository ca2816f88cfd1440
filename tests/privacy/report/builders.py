"""A small report that many tests start from, and ways to change it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

from privacy.guarantee import Bound, Neighbours, Unit
from privacy.lineage import Declaration, TeacherLineage
from privacy.report.claim import ALWAYS_ASSUMED, ALWAYS_NOT_COVERED
from privacy.report.model import Report
from privacy.report.parts import (
    Arm,
    ArmName,
    Data,
    Mode,
    Region,
    RoundQuality,
    Sent,
    Stage,
    Student,
    Sums,
    Teacher,
    Verdict,
    Version,
    figure,
)

EPSILON = Decimal("2.999")
TITLES = {
    ArmName.TEACHER: "Teacher",
    ArmName.DISTILLED: "Distilled student",
    ArmName.WITHOUT_TEACHER: "Without the teacher",
    ArmName.PUBLIC_ONLY: "Public data only",
    ArmName.HARD_LABELS: "Teacher's best answers",
    ArmName.ALL_TRUE_LABELS: "If all had true labels",
    ArmName.NO_PRIVACY: "Without privacy",
    ArmName.SOFT_ONLY: "Teacher only",
    ArmName.UNPREPARED: "Unprepared teacher",
    ArmName.WITHOUT_TEACHER_NO_PRIVACY: "Text only, no privacy",
    ArmName.SOFT_ONLY_NO_PRIVACY: "Teacher only, no privacy",
    ArmName.UNPREPARED_NO_PRIVACY: "Unprepared teacher, no privacy",
}
MEANS = {
    ArmName.TEACHER: 0.733,
    ArmName.DISTILLED: 0.684,
    ArmName.WITHOUT_TEACHER: 0.571,
    ArmName.PUBLIC_ONLY: 0.488,
    ArmName.HARD_LABELS: 0.678,
    ArmName.ALL_TRUE_LABELS: 0.702,
    ArmName.NO_PRIVACY: 0.707,
}
_FREE = (
    ArmName.TEACHER,
    ArmName.PUBLIC_ONLY,
    *(name for name in ArmName if name.endswith("no-privacy")),
)


def bound(epsilon: str, delta: str = "0.00001") -> Bound:
    """A bound for one record, add-or-remove-one."""
    return Bound(Unit.RECORD, Neighbours.ADD_OR_REMOVE_ONE, Decimal(epsilon), Decimal(delta))


def arm(name: ArmName, mean: float, *, sd: float = 0.01, seeds: int = 3) -> Arm:
    """An arm whose seeds lie around ``mean``; ``seeds`` is 1 or 3."""
    values: Sequence[float] = (mean,) if seeds == 1 else (mean - sd, mean, mean + sd)
    return Arm.measured(
        name,
        title=TITLES[name],
        description="What it was trained on.",
        accuracies=values,
        macro_f1s=[value * 0.95 for value in values],
        epsilon=None if name in _FREE else EPSILON,
        is_private_release=name is ArmName.DISTILLED,
    )


def arms(means: Mapping[ArmName, float] = MEANS, *, seeds: int = 3) -> tuple[Arm, ...]:
    """One arm for each mean."""
    return tuple(arm(name, mean, seeds=seeds) for name, mean in means.items())


def region(name: str, *, epsilon: str = "2.999", rounds: int = 3) -> Region:
    """A region that sent one vector a round."""
    return Region(
        name=name,
        lineage="titles",
        charged=bound(epsilon),
        budget=bound("8", "0.0001"),
        noise_multiplier=Decimal("4.763"),
        clip_norm=Decimal(2),
        sample_rate=Fraction(1, 2),
        max_steps=44,
        reserved_steps=41,
        released_steps=40,
        public_size=1200,
        sent=tuple(
            Sent(i, 32_468, hashlib.sha256(f"{name}{i}".encode()).hexdigest(), "coordinator")
            for i in range(1, rounds + 1)
        ),
    )


def sample(**changes: object) -> Report:
    """A valid report of two regions and three rounds, with ``changes`` and its own words."""
    report = Report(
        study="chapters <of> the ICD & more",
        created_at="2026-11-24T12:00:00Z",
        mode=Mode.SIMULATION,
        plan=hashlib.sha256(b"plan").hexdigest(),
        data=Data("A record is a title.", ("No patients.",), 1607, 1834, Fraction(1, 10)),
        teacher=Teacher(
            "a vendor's model",
            Declaration(TeacherLineage.EXTERNAL_PRIVATE, "customers of the vendor before 2026"),
        ),
        student=Student("two layers of it", 15_492_501, 8085, "the classification head"),
        sums=Sums(2, 0, False),
        regions=(region("north"), region("south")),
        rounds=tuple(
            RoundQuality(i, figure(value), figure(value - 0.03), figure(0.7), figure(0.1))
            for i, value in enumerate((0.488, 0.6, 0.65, 0.684))
        ),
        arms=arms(),
        stages=(Stage("Rounds", Decimal("14.2")), Stage("Warm-up", Decimal(100))),
        versions=(Version("stillroom", "0.1.0"),),
        assumptions=ALWAYS_ASSUMED,
        not_covered=ALWAYS_NOT_COVERED,
        marks=("One machine held the records of all regions.",),
    )
    words = {"verdict": Verdict("", ()), "claims": (), "several": ()}
    return replace(report, **{**words, **changes})  # type: ignore[arg-type]
