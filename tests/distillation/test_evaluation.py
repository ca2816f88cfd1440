"""The figures of quality are what their definitions say."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distillation.errors import TrainingError
from distillation.evaluation import calibration_error, evaluate, macro_f1

_PAIRS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40)


@given(pairs=_PAIRS)
def test_macro_f1_is_the_mean_over_classes(pairs: list[tuple[int, int]]) -> None:
    """Precision and recall by counting, class by class, give the same."""
    chosen, labels = (np.array(side) for side in zip(*pairs, strict=True))
    scores = []
    for kind in {*chosen.tolist(), *labels.tolist()}:
        hits = sum(c == kind == y for c, y in pairs)
        precision = hits / max(1, sum(c == kind for c, _ in pairs))
        recall = hits / max(1, sum(y == kind for _, y in pairs))
        scores.append(0.0 if not hits else 2 * precision * recall / (precision + recall))

    assert macro_f1(chosen, labels) == pytest.approx(sum(scores) / len(scores))


_SURE = st.lists(st.tuples(st.integers(0, 20), st.booleans()), min_size=1, max_size=60)


@given(pairs=_SURE)
def test_the_calibration_error_is_what_its_definition_says(pairs: list[tuple[int, bool]]) -> None:
    """Sort by confidence, cut into fifteen bins as equal as can be, weigh each bin's gap."""
    ordered = sorted(((sure / 20, right) for sure, right in pairs), key=lambda pair: pair[0])
    bins = min(15, len(ordered))
    size, longer = divmod(len(ordered), bins)
    expected, start = 0.0, 0
    for number in range(bins):
        stop = start + size + (number < longer)
        some = ordered[start:stop]
        gap = sum(sure for sure, _ in some) / len(some) - sum(r for _, r in some) / len(some)
        expected += abs(gap) * len(some) / len(ordered)
        start = stop
    confidence, right = (np.array(side) for side in zip(*pairs, strict=True))

    assert calibration_error(confidence / 20, right) == pytest.approx(expected, abs=1e-12)


@given(rows=st.lists(st.lists(st.integers(1, 9), min_size=3, max_size=3), min_size=1, max_size=9))
def test_brier_and_likelihood_are_sums_over_classes(rows: list[list[int]]) -> None:
    """Record by record and class by class, they come to the same."""
    probabilities = np.array(rows, dtype=np.float64)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    labels = np.arange(len(rows)) % 3
    found = evaluate(probabilities, labels, teacher=np.roll(probabilities, 1, axis=1))
    brier = [
        sum((p - (kind == label)) ** 2 for kind, p in enumerate(record))
        for record, label in zip(probabilities, labels, strict=True)
    ]
    nll = [-math.log(p[label]) for p, label in zip(probabilities, labels, strict=True)]

    assert found.brier == pytest.approx(sum(brier) / len(rows))
    assert found.nll == pytest.approx(sum(nll) / len(rows))
    assert 0 <= found.brier <= 2
    assert found.agreement in (0, *np.arange(1, len(rows) + 1) / len(rows))


def test_a_label_that_was_thought_impossible_has_a_finite_price() -> None:
    """A probability of zero does not make the likelihood infinite."""
    certain = np.array([[1.0, 0.0]])

    assert 20 < evaluate(certain, np.array([1]), teacher=certain).nll < 30


def test_a_confident_and_right_model_is_calibrated() -> None:
    """Certain and right: no error. Certain and wrong: all error. Half and half right: none."""
    certain = np.ones(30)
    assert calibration_error(certain, np.ones(30, dtype=bool)) == 0
    assert calibration_error(certain, np.zeros(30, dtype=bool)) == 1
    assert calibration_error(np.full(30, 0.5), np.arange(30) % 2 == 0) == pytest.approx(0, abs=1e-9)


def test_a_perfect_student_has_perfect_figures() -> None:
    """The labels themselves as predictions."""
    labels = np.array([0, 1, 2, 1])
    perfect = np.eye(3)[labels]
    found = evaluate(perfect, labels, teacher=perfect)

    assert (found.accuracy, found.macro_f1, found.agreement) == (1, 1, 1)
    assert (found.calibration_error, found.brier, found.nll) == (0, 0, 0)


def test_predictions_that_do_not_fit_are_refused() -> None:
    """No records, or another number of them, is an error."""
    with pytest.raises(TrainingError):
        evaluate(np.zeros((0, 3)), np.zeros(0, dtype=np.int64), teacher=np.zeros((0, 3)))
    with pytest.raises(TrainingError):
        evaluate(np.eye(3), np.zeros(2, dtype=np.int64), teacher=np.eye(3))
