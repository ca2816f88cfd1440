"""From a finished run to its report: ledgers are read, figures rounded, nothing is made up."""

import importlib.metadata
import math
import platform
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from fractions import Fraction
from statistics import fmean

from distillation.dp.clipping import Clipping, choose
from distillation.evaluation import Quality
from distillation.kinds import Task
from distillation.layout import Vector
from distillation.study import Study
from distillation.teacher_table import ModelTable
from distillation.trained_part import TrainedPart
from privacy.ledger import Ledger
from privacy.plan import Plan
from privacy.report.assessment import Assessment
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
from simulations.comparisons import Compared
from simulations.prepare import Prepared
from simulations.run_folder import RunFolder
from simulations.study_data import StudyData

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
    assessment: Assessment,
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
        assessment: The released student beside its teacher.
        seconds: Time by stage.
        clock: Unix seconds.
    """
    plan = prepared.plan
    return Report(
        study=study.study.name,
        created_at=datetime.fromtimestamp(clock(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        mode=Mode.SIMULATION,
        plan=plan.hash,
        data=_data(study, data, prepared),
        teacher=Teacher(_teacher_name(study), plan.teacher),
        student=_student(study, prepared),
        sums=Sums(plan.sum.min_survivors, plan.sum.assumed_colluders, plan.sum.any_survivors),
        regions=tuple(_region(plan, name, run, clock) for name in plan.cohort),
        rounds=tuple(_round(number, quality) for number, quality in enumerate(qualities)),
        arms=tuple(arms),
        stages=tuple(Stage(name, figure(took, places=1)) for name, took in seconds.items()),
        versions=_versions(),
        assumptions=ALWAYS_ASSUMED,
        not_covered=(*ALWAYS_NOT_COVERED, *_warm_start_not_covered(prepared)),
        marks=(*missed, *_marks(plan)),
        assessment=assessment,
    )


def further_figures(
    prepared: Prepared, released: Vector, qualities: Sequence[Quality], compared: Compared
) -> dict[str, str | float]:
    """Return what the summary has beside the report's own figures.

    The clipping and why; the student's mean divergence from the teacher, in nats; for a language
    model each arm's perplexity, exp of the mean negative log-likelihood of a token, and its
    agreement, the share of tokens of which it finds the same most likely as the teacher does.

    Args:
        prepared: Plan, student and test set.
        released: The released weights, (d,).
        qualities: The student's before the first round and after each.
        compared: The comparisons.
    """
    choice = choose(prepared.part.module)
    found: dict[str, str | float] = {
        "clipping": choice.clipping.value,
        "clipping_because": ", ".join(choice.because),
        "student_teacher_kl": round(prepared.test.divergence(released), 4),
    }
    if prepared.warm_start is not None:
        found["generated_texts"] = prepared.warm_start.kept
        found["warm_start_sha256"] = prepared.warm_start.hash
    if prepared.bench.study.study.task is not Task.LANGUAGE_MODEL:
        return found
    found["student_perplexity"] = round(qualities[-1].perplexity, 4)
    for name, seen in compared.qualities.items():
        short = name.replace("-", "_")
        found[f"{short}_perplexity"] = round(math.exp(fmean(each.nll for each in seen)), 4)
        found[f"{short}_agreement"] = round(fmean(each.agreement for each in seen), 4)
    return found


def _data(study: Study, data: StudyData, prepared: Prepared) -> Data:
    labelled = sum(label is not None for label in data.private.labels)
    described = study.study.description.strip()
    return Data(
        description=described or f"Records of {study.private.source}, one text each.",
        notes=() if prepared.warm_start is None else (prepared.warm_start.said,),
        public_records=len(data.public),
        test_records=len(data.test),
        labelled_share=Fraction(labelled, len(data.private)),
    )


def _warm_start_not_covered(prepared: Prepared) -> tuple[str, ...]:
    record = prepared.warm_start
    return (record.not_covered,) if record is not None and record.not_covered else ()


def _teacher_name(study: Study) -> str:
    """Return the teacher's name, or those of all that label as one."""
    return " + ".join(_name_of(study, terms) for terms in study.teacher.all)


def _name_of(study: Study, terms: ModelTable) -> str:
    """Return a package or a hub id as it is named, a folder without the path of this machine."""
    if (study.base / terms.model).is_dir():
        return (study.base / terms.model).name
    return terms.model if terms.revision is None else f"{terms.model}@{terms.revision}"


def _student(study: Study, prepared: Prepared) -> Student:
    layers = ", ".join(map(str, study.student.layers))
    return Student(
        name=f"layers {layers} of the teacher" if layers else "the student of an earlier run",
        parameters=sum(p.numel() for p in prepared.student.parameters()),
        trained_parameters=prepared.part.layout.size,
        trained_part=f"{prepared.bench.kit.describe_part(prepared.bench.recipe)} "
        f"({_clipping(prepared.part)})",
    )


def _clipping(part: TrainedPart) -> str:
    """Return in words how each record's gradient is found and clipped, and why so."""
    choice = choose(part.module)
    if choice.clipping is Clipping.BOOK_KEEPING:
        return "clipped by book-keeping"
    return f"clipped by Opacus's hooks, as book-keeping has no rule for {', '.join(choice.because)}"


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
