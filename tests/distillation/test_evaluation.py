"""The figures of quality are what their definitions say."""

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
