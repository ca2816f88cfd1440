"""Intervals hold what they should, as often as they should, and are the same every time."""

import numpy as np
import pytest

from distillation.errors import TrainingError
from distillation.measure.bootstrap import Resampling, class_f1_intervals, intervals
from distillation.measure.judged import Figure
from tests.distillation.measure import made_up


def test_intervals_hold_their_estimate_and_repeat() -> None:
    """Low ≤ estimate ≤ high, and the same seed gives the same interval, in any pieces."""
    judged = made_up.answers(200)
    found = intervals(judged, Resampling(resamples=200))

    assert found == intervals(judged, Resampling(resamples=200))
    assert all(one.low <= one.estimate <= one.high for one in found.values())


def test_the_interval_of_accuracy_has_the_width_of_a_share() -> None:
    """2 × 1.96 standard errors of a binomial share, within a tenth."""
    judged = made_up.answers(2000)
    one = intervals(judged, Resampling(resamples=1000))[Figure.ACCURACY]
    expected = 2 * 1.96 * np.sqrt(one.estimate * (1 - one.estimate) / 2000)

    assert one.high - one.low == pytest.approx(expected, rel=0.1)


@pytest.mark.slow
def test_nineteen_of_twenty_intervals_hold_the_truth() -> None:
    """Over 200 test sets of one model, the 95 % interval holds its true accuracy; not all do."""
    truth = made_up.answers(100_000, seed=99).figures()[Figure.ACCURACY]
    held = 0
    for seed in range(200):
        one = intervals(made_up.answers(150, seed=seed), Resampling(resamples=400, seed=seed))
        held += one[Figure.ACCURACY].low <= truth <= one[Figure.ACCURACY].high

    assert 176 <= held <= 199  # of 200 at 0.95; a fair interval is outside once in 10,000 runs


def test_all_classes_together_are_macro_f1() -> None:
    """The mean F1 of every class is macro-F1 where all classes occur."""
    judged = made_up.answers(300)
    (found,) = class_f1_intervals(judged, [range(4)], Resampling(resamples=100))

    assert found.estimate == pytest.approx(judged.figures()[Figure.MACRO_F1])
    assert found.low < found.estimate < found.high


@pytest.mark.parametrize("wrong", [{"resamples": 99}, {"coverage": 0.0}, {"coverage": 1.0}])
def test_too_few_resamples_are_refused(wrong: dict[str, float]) -> None:
    """A tail needs resamples to be seen."""
    with pytest.raises(TrainingError, match="at least 100"):
        Resampling(**wrong)  # type: ignore[arg-type]  # one wrong value at a time
