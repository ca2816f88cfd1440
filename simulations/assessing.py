"""The released student beside its teacher, measured at the end of a run and rounded for the report.

All of it is on the study's held-out public records. The temperature is fitted there too, and its
effect told on the half that it was not fitted on (decision 0033): nothing comes from a region.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from distillation.held_out import HeldOut
from distillation.kinds import Task
from distillation.language.text import Form
from distillation.layout import Vector
from distillation.measure.answering import ModelAnswers
from distillation.measure.assessment import Evaluation, assess
from distillation.measure.bootstrap import Interval, Resampling
from distillation.measure.calibration import Bin, Calibration, Scaling, temperature_scaling
from distillation.measure.cost import Cost, CostProcess
from distillation.measure.judged import Figure, Judged
from distillation.measure.slices import Slice
from distillation.study import Study
from privacy.report import assessment as told
from privacy.report.assessment import FigureName
from privacy.report.part_checks import figure
from simulations.prepare import Prepared
from simulations.run_folder import RunFolder
from simulations.study_data import StudyData

_RESAMPLING = Resampling()
_TIMED = 64
"""Test records that are timed: the median of so many is steady, and it takes seconds."""
_MOST_SLICES = 60
"""Slices that a report tells: the worst; a thousand classes would bury them."""
_MOST_CHARACTERS = 80


@dataclass(frozen=True, slots=True)
class Clocks:
    """The processes that will measure student and teacher; they load while others work."""

    student: CostProcess
    teacher: CostProcess


@contextmanager
def clocks_of(study: Study) -> Iterator[Clocks | None]:
    """Start what measures the models' cost, and end it; None where the study leaves it out."""
    if not study.evaluation.cost:
        yield None
        return
    with ExitStack() as both:
        yield Clocks(both.enter_context(CostProcess()), both.enter_context(CostProcess()))


def assessment_of(
    data: StudyData, prepared: Prepared, released: Vector, run: RunFolder, clocks: Clocks | None
) -> told.Assessment:
    """Measure the released student and its teacher on the study's held-out records.

    Args:
        data: The study's records; only the test set is looked at.
        prepared: Plan, student and test set.
        released: The released weights, (d,).
        run: The run's folder; its artifacts are timed, which have the released student's size.
        clocks: Processes that measure time and memory; None: they are not measured.

    Raises:
        TrainingError: If a model cannot be timed.
    """
    costs = _costs(data, prepared, run, clocks)
    if isinstance(prepared.test, HeldOut):
        return _of_classifier(prepared.test, data, prepared, released, costs)
    return _of_language_model(data, prepared, released, costs)


def _of_classifier(
    test: HeldOut,
    data: StudyData,
    prepared: Prepared,
    released: Vector,
    costs: Mapping[str, told.ModelCost],
) -> told.Assessment:
    judged = Judged(
        probabilities=test.probabilities(released), labels=test.labels, teacher=test.teacher
    )
    answers = ModelAnswers(
        classes=tuple(prepared.bench.teacher.outcomes),
        probabilities=judged.probabilities,
        lengths=tuple(len(ids) for ids in prepared.bench.tokens(data.test).ids),
    )
    found = assess(judged, answers, columns=data.slices, resampling=_RESAMPLING)
    slices = sorted(map(_slice, found.slices), key=lambda one: (one.accuracy.value, -one.records))
    theirs = Judged(probabilities=test.teacher, labels=test.labels)
    return told.Assessment(
        basis=told.PUBLIC_BASIS,
        answered=told.Answered.RECORD,
        records=len(judged),
        resamples=_RESAMPLING.resamples,
        coverage=figure(_RESAMPLING.coverage),
        seed=_RESAMPLING.seed,
        figures=_side_by_side(found),
        student_scaling=None if found.scaling is None else _scaling(found.scaling),
        teacher_scaling=_without_bins(temperature_scaling(theirs)) if len(judged) > 1 else None,
        slices=tuple(slices[:_MOST_SLICES]),
        slices_left_out=max(0, len(slices) - _MOST_SLICES),
        student_cost=costs.get("student"),
        teacher_cost=costs.get("teacher"),
    )


def _of_language_model(
    data: StudyData, prepared: Prepared, released: Vector, costs: Mapping[str, told.ModelCost]
) -> told.Assessment:
    """Tell what a language model's figures are: of all tokens that count, without ranges.

    Tokens of one text depend on each other, so that a resample of tokens would say too little.
    """
    student, teacher = prepared.test.quality(released), prepared.test.teacher_quality()
    divergence = prepared.test.divergence(released)
    return told.Assessment(
        basis=told.PUBLIC_BASIS,
        answered=told.Answered.TOKEN,
        records=len(data.test),
        resamples=0,
        coverage=figure(0),
        seed=0,
        figures=(
            told.SideBySide(
                FigureName.PERPLEXITY, _plain(student.perplexity), _plain(teacher.perplexity)
            ),
            told.SideBySide(
                FigureName.ACCURACY, _plain(student.accuracy), _plain(teacher.accuracy)
            ),
            told.SideBySide(FigureName.AGREEMENT, _plain(student.agreement)),
            told.SideBySide(FigureName.TEACHER_KL, _plain(divergence)),
        ),
        student_cost=costs.get("student"),
        teacher_cost=costs.get("teacher"),
    )


def _costs(
    data: StudyData, prepared: Prepared, run: RunFolder, clocks: Clocks | None
) -> dict[str, told.ModelCost]:
    """Time both models, one after the other, so that neither slows the other down."""
    if clocks is None:
        return {}
    texts = data.test.texts[:_TIMED]
    study = prepared.bench.study
    form = None
    if study.study.task is Task.LANGUAGE_MODEL:
        form = str(Form(study.teacher.template))
    asked: tuple[tuple[str, CostProcess, Path], ...] = (
        ("student", clocks.student, run.artifacts / "student"),
        ("teacher", clocks.teacher, run.artifacts / "teacher"),
    )
    return {
        name: _cost(process.measure(folder.resolve(), texts, form=form))
        for name, process, folder in asked
    }


def _side_by_side(found: Evaluation) -> tuple[told.SideBySide, ...]:
    teacher = found.teacher_figures or {}
    return tuple(
        told.SideBySide(
            FigureName(name), _estimate(one), _estimate(teacher[name]) if name in teacher else None
        )
        for name, one in found.figures.items()
    )


def _slice(one: Slice) -> told.SliceQuality:
    score = Figure.CLASS_F1 if Figure.CLASS_F1 in one.figures else Figure.MACRO_F1
    value = one.value
    return told.SliceQuality(
        by=one.by[:_MOST_CHARACTERS],
        value=value if len(value) <= _MOST_CHARACTERS else value[: _MOST_CHARACTERS - 1] + "…",
        records=one.records,
        is_small=one.is_small,
        accuracy=_estimate(one.figures[Figure.ACCURACY]),
        f1=_estimate(one.figures[score]),
    )


def _scaling(found: Scaling) -> told.Scaling:
    return told.Scaling(
        temperature=figure(found.temperature),
        before=_calibration(found.before, found.before.bins),
        after=_calibration(found.after, found.after.bins),
    )


def _without_bins(found: Scaling) -> told.Scaling:
    """Return a scaling whose diagram is not drawn."""
    return told.Scaling(
        temperature=figure(found.temperature),
        before=_calibration(found.before, ()),
        after=_calibration(found.after, ()),
    )


def _calibration(found: Calibration, bins: tuple[Bin, ...]) -> told.Calibration:
    return told.Calibration(
        error=figure(found.error),
        brier=figure(found.brier),
        nll=figure(found.nll),
        bins=tuple(
            told.ReliabilityBin(
                one.records,
                figure(one.confidence),
                figure(one.accuracy),
                figure(one.low),
                figure(one.high),
            )
            for one in bins
        ),
    )


def _cost(found: Cost) -> told.ModelCost:
    return told.ModelCost(
        parameters=found.parameters,
        size_bytes=found.size_bytes,
        latency_p50_ms=figure(found.latency_p50_ms, places=2),
        latency_p95_ms=figure(found.latency_p95_ms, places=2),
        records_per_s=figure(found.records_per_s, places=1),
        batch=found.batch,
        peak_memory_bytes=found.peak_memory_bytes,
        libraries_bytes=found.libraries_bytes,
        threads=found.threads,
        texts=found.texts,
    )


def _estimate(one: Interval) -> told.Estimate:
    return told.Estimate(*(_rounded(value) for value in (one.estimate, one.low, one.high)))


def _plain(value: float) -> told.Estimate:
    return told.Estimate(_rounded(value))


def _rounded(value: float) -> Decimal:
    """Round a figure; a divergence of equals may come out as -1e-17."""
    return figure(max(0.0, value))
