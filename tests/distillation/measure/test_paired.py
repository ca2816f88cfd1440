"""Two students are told apart when they differ, and not when they do not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distillation.errors import TrainingError
from distillation.measure.bootstrap import Resampling
from distillation.measure.judged import Figure, Judged
from distillation.measure.paired import compare, mcnemar
from tests.distillation.measure import made_up

_FEW = Resampling(resamples=200)


def _worse(judged: Judged, share: float, *, seed: int = 1) -> Judged:
    """Return the same with the probabilities of some records rolled to another class."""
    rng = np.random.default_rng(seed)
    moved = judged.probabilities.copy()
    rows = rng.random(len(judged)) < share
    moved[rows] = np.roll(moved[rows], 1, axis=1)
    return Judged(probabilities=moved, labels=judged.labels, teacher=judged.teacher)


def test_a_student_is_not_better_than_itself() -> None:
    """Every difference is zero, with p = 1."""
    judged = made_up.answers(100)
    found = compare(judged, judged, _FEW)

    assert found.mcnemar_p == 1
    assert {d.interval.estimate for d in found.differences.values()} == {0}
    assert {d.p_value for d in found.differences.values()} == {1}


def test_a_worse_student_is_found() -> None:
    """A tenth of 2,000 answers made worse shows in every figure that has labels."""
    judged = made_up.answers(2000)
    found = compare(judged, _worse(judged, 0.1), _FEW)

    assert found.mcnemar_p < 1e-6
    for figure in (Figure.ACCURACY, Figure.MACRO_F1):
        assert found.differences[figure].interval.low > 0
        assert found.differences[figure].p_value < 0.01
    for figure in (Figure.NLL, Figure.BRIER):
        assert found.differences[figure].interval.high < 0


def test_swapping_the_students_turns_the_signs() -> None:
    """A minus B is minus (B minus A); the p-values stay."""
    first = made_up.answers(150)
    second = _worse(first, 0.2)
    there, back = compare(first, second, _FEW), compare(second, first, _FEW)

    for figure, one in there.differences.items():
        other = back.differences[figure]
        assert one.interval.estimate == pytest.approx(-other.interval.estimate)
        assert one.interval.low == pytest.approx(-other.interval.high)
        assert one.p_value == pytest.approx(other.p_value, abs=0.05)
    assert there.mcnemar_p == back.mcnemar_p


@pytest.mark.slow
def test_alike_students_are_seldom_told_apart() -> None:
    """Over 100 pairs that err alike, p < .05 comes about five times, for both kinds of test."""
    exact = swapped = 0
    for seed in range(100):
        judged = made_up.answers(120, seed=seed)
        pair = [_worse(judged, 0.3, seed=2 * seed + side) for side in (0, 1)]
        found = compare(pair[0], pair[1], Resampling(resamples=100, seed=seed))
        exact += found.mcnemar_p < 0.05
        swapped += found.differences[Figure.MACRO_F1].p_value < 0.05

    assert exact <= 12
    assert 0 < swapped <= 12


@given(first=st.integers(0, 30), second=st.integers(0, 30))
def test_mcnemar_is_a_fair_coin(first: int, second: int) -> None:
    """Twice the smaller tail of a binomial at ½, by adding up its exact counts."""
    number = first + second
    ways, chance = 1, 0.0
    for k in range(min(first, second) + 1):
        chance += ways / 2**number
        ways = ways * (number - k) // (k + 1)

    assert mcnemar(first, second) == pytest.approx(min(1.0, 2 * chance))


def test_other_records_are_refused() -> None:
    """Pairs need the same records."""
    with pytest.raises(TrainingError, match="same records"):
        compare(made_up.answers(20, seed=1), made_up.answers(20, seed=2), _FEW)
