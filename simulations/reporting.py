"""From a finished run to its report: ledgers are read, figures rounded, nothing is made up."""

import importlib.metadata
import platform
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from fractions import Fraction

from distillation.evaluation import Quality
from distillation.kinds import Train
from distillation.study import Study
from privacy.ledger import Ledger
from privacy.plan import Plan
from privacy.report.claim import ALWAYS_ASSUMED, ALWAYS_NOT_COVERED, SIMULATION_MARKS
from privacy.report.from_ledger import region_of
from privacy.report.model import Report
from privacy.report.parts import (
    Arm,
    Data,
    Mode,
    Region,
    RoundQuality,
    Stage,
    Student,
    Sums,
    Teacher,
    Version,
    figure,
)
from simulations.prepare import Prepared, StudyData
from simulations.run_folder import RunFolder

_PARTS = {
    Train.HEAD: "the classification head",
    Train.LAST: "the last layer and the classification head",
}
_PACKAGES = (
    "stillroom",
    "torch",
    "opacus",
    "transformers",
    "flwr",
    "dp-accounting",
    "cryptography",
)
_ENOUGH_REGIONS = 5


def make_report(
    study: Study,
    data: StudyData,
    prepared: Prepared,
    run: RunFolder,
    *,
    arms: Sequence[Arm],
    qualities: Sequence[Quality],
    missed: Sequence[str],
    seconds: Mapping[str, float],
    clock: Callable[[], int],
) -> Report:
    """Return the report of a finished run.

    Args:
        study: The study.
        data: Its records.
        prepared: Plan and student.
        run: The run's folder, with the regions' ledgers.
        arms: The comparisons.
        qualities: The released student before the first round and after each.
        missed: Gates that the student did not pass.
        seconds: Time by stage.
        clock: Unix seconds.
    """
    plan = prepared.plan
    return Report(
        study=study.study.name,
        created_at=datetime.fromtimestamp(clock(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        mode=Mode.SIMULATION,
        plan=plan.hash,
        data=_data(study, data),
        teacher=Teacher(_teacher_name(study), plan.teacher),
        student=_student(study, prepared),
        sums=Sums(plan.sum.min_survivors, plan.sum.assumed_colluders, plan.sum.any_survivors),
        regions=tuple(_region(plan, name, run, clock) for name in plan.cohort),
        rounds=tuple(_round(number, quality) for number, quality in enumerate(qualities)),
        arms=tuple(arms),
        stages=tuple(Stage(name, figure(took, places=1)) for name, took in seconds.items()),
        versions=_versions(),
        assumptions=ALWAYS_ASSUMED,
        not_covered=ALWAYS_NOT_COVERED,
        marks=(*missed, *_marks(plan)),
    )


def _data(study: Study, data: StudyData) -> Data:
    labelled = sum(label is not None for label in data.private.labels)
    described = study.study.description.strip()
    return Data(
        description=described or f"Records of {study.private.source}, one text each.",
        notes=(),
        public_records=len(data.public),
        test_records=len(data.test),
        labelled_share=Fraction(labelled, len(data.private)),
    )


def _teacher_name(study: Study) -> str:
    """Return a package or a hub id as it is named, a folder without the path of this machine."""
    terms = study.teacher
    if (study.base / terms.model).is_dir():
        return (study.base / terms.model).name
    return terms.model if terms.revision is None else f"{terms.model}@{terms.revision}"


def _student(study: Study, prepared: Prepared) -> Student:
    layers = ", ".join(map(str, study.student.layers))
    return Student(
        name=f"layers {layers} of the teacher",
        parameters=sum(p.numel() for p in prepared.student.parameters()),
        trained_parameters=prepared.part.layout.size,
        trained_part=_PARTS[study.student.train],
    )


def _region(plan: Plan, name: str, run: RunFolder, clock: Callable[[], int]) -> Region:
    with Ledger.open(run.region(name).ledger, clock=clock) as ledger:
        return region_of(ledger.state, plan)


def _round(number: int, quality: Quality) -> RoundQuality:
    return RoundQuality(
        round=number,
        accuracy=figure(quality.accuracy),
        macro_f1=figure(quality.macro_f1),
        agreement=figure(quality.agreement),
        calibration_error=figure(quality.calibration_error),
    )


def _versions() -> tuple[Version, ...]:
    found = [Version(name, importlib.metadata.version(name)) for name in _PACKAGES]
    return (Version("python", platform.python_version()), *found)


def _marks(plan: Plan) -> tuple[str, ...]:
    marks = list(SIMULATION_MARKS)
    if len(plan.regions) < _ENOUGH_REGIONS:
        marks.append(
            f"Only {len(plan.regions)} regions: the sum hides less than among {_ENOUGH_REGIONS} "
            "or more. The guarantee does not rest on the sum."
        )
    if plan.sum.any_survivors:
        marks.append(
            "Sums over changing sets of regions were allowed: several of them together may show "
            "what a single region sent. The guarantee does not rest on the sum."
        )
    return tuple(marks)
