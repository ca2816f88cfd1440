"""A run's assessment: the same figures as the run's own, on public records alone, and the cost."""

import math
from decimal import Decimal
from pathlib import Path

import pytest

from distillation.measure.cost import CostProcess
from privacy.report.assessment import Answered, FigureName
from privacy.report.model import Report
from privacy.report.parts import ArmName
from simulations.simulate import Options, simulate
from tests.simulations import tiny_language_study, tiny_study

pytestmark = pytest.mark.slow

_ROUNDING = Decimal("0.0001")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """A whole run with its costs; the test file names where each record is from."""
    folder = tmp_path_factory.mktemp("assessed")
    study = tiny_study.make(folder / "study", rounds=1)
    study.edit("cost = false", "cost = true")
    path = study.folder / "test.csv"
    header, *rows = path.read_text().splitlines()
    places = [f"{row},{'north' if number % 3 else 'south'}" for number, row in enumerate(rows)]
    path.write_text("\n".join([f"{header},region", *places]) + "\n")
    return simulate(study.file, folder / "run", Options()).report


def test_the_assessment_says_what_the_rounds_say(report: Report) -> None:
    """Accuracy, macro-F1, agreement and calibration error of the released student, twice found."""
    found = report.assessment
    assert found is not None
    pairs = {
        FigureName.ACCURACY: report.final.accuracy,
        FigureName.MACRO_F1: report.final.macro_f1,
        FigureName.AGREEMENT: report.final.agreement,
    }
    for name, value in pairs.items():
        one = found.figure(name)
        assert one is not None
        assert abs(one.student.value - value) <= _ROUNDING
    teacher, own = report.arm(ArmName.TEACHER), found.figure(FigureName.ACCURACY)
    assert teacher is not None
    assert own is not None
    assert own.teacher is not None
    assert own.teacher.value == teacher.accuracy
    assert found.student_scaling is not None
    assert abs(found.student_scaling.before.error - report.final.calibration_error) <= _ROUNDING


def test_parts_are_of_public_records_worst_first(report: Report) -> None:
    """By class, by length and by the region that the test file names; no region of the study."""
    found = report.assessment
    assert found is not None
    assert {one.by for one in found.slices} >= {"label", "length", "region"}
    assert {one.value for one in found.slices if one.by == "region"} == {"north", "south"}
    by_region = [one.records for one in found.slices if one.by == "region"]
    assert sum(by_region) == found.records == report.data.test_records == 15
    accuracies = [one.accuracy.value for one in found.slices]
    assert accuracies == sorted(accuracies)


def test_the_costs_are_those_of_both_models(report: Report) -> None:
    """The student has the parameters that the report says, and fewer than the teacher."""
    found = report.assessment
    assert found is not None
    assert found.student_cost is not None
    assert found.teacher_cost is not None
    assert found.student_cost.parameters == report.student.parameters
    assert found.student_cost.parameters < found.teacher_cost.parameters
    for cost in (found.student_cost, found.teacher_cost):
        assert 0 < cost.latency_p50_ms <= cost.latency_p95_ms
        assert cost.records_per_s > 0
        assert (cost.texts, cost.threads, cost.batch) == (15, 1, 32)


def test_a_language_model_is_told_in_its_own_figures(tmp_path: Path) -> None:
    """Perplexity, agreement as in the rounds, and what it costs to read a text."""
    study = tiny_language_study.make(tmp_path / "study")
    report = simulate(study.file, tmp_path / "run", Options()).report
    found = report.assessment

    assert found is not None
    assert found.answered is Answered.TOKEN
    figures = {one.figure: one for one in found.figures}
    assert set(figures) == {
        FigureName.PERPLEXITY,
        FigureName.ACCURACY,
        FigureName.AGREEMENT,
        FigureName.TEACHER_KL,
    }
    assert figures[FigureName.AGREEMENT].student.value == report.final.agreement
    assert math.isfinite(figures[FigureName.PERPLEXITY].student.value)
    assert figures[FigureName.PERPLEXITY].student.value > 1
    assert (found.slices, found.student_scaling) == ((), None)
    assert (found.student_cost, found.teacher_cost) == (None, None)  # the study left them out
    with CostProcess() as process:
        cost = process.measure(tmp_path / "run" / "student", ["w1 w2 w3", "w4 w5"], form="text")
    assert (cost.parameters, cost.batch, cost.texts) == (report.student.parameters, 4, 2)
    assert 0 < cost.latency_p50_ms <= cost.latency_p95_ms
