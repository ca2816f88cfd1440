"""Figures by weights are those of the plain definition, on the records that the weights repeat."""

import math

import numpy as np
import pytest
from hypothesis import given, settings

from distillation.errors import TrainingError
from distillation.evaluation import evaluate
from distillation.measure.judged import Figure, Judged, class_f1_of, divergence
from tests.distillation.measure import made_up


@settings(max_examples=30)
@given(records=made_up.sizes, seed=made_up.seeds)
def test_figures_are_those_of_the_engine(records: int, seed: int) -> None:
    """With each record once, `distillation.evaluation` says the same."""
    judged = made_up.answers(records, seed=seed)
    assert judged.teacher is not None
    expected = evaluate(judged.probabilities, judged.labels, teacher=judged.teacher)
    found = judged.figures()

    for figure in set(Figure) - {Figure.TEACHER_KL, Figure.CLASS_F1}:
        assert found[figure] == pytest.approx(getattr(expected, figure.value))


@settings(max_examples=30)
@given(records=made_up.sizes, seed=made_up.seeds)
def test_a_weight_is_a_repetition(records: int, seed: int) -> None:
    """Weights 2, 0, 1 give what the first record twice and the third once give."""
    judged = made_up.answers(records, seed=seed)
    weights = np.random.default_rng(seed).multinomial(records, np.full(records, 1 / records))
    repeated = judged.subset(np.repeat(np.arange(records), weights))
    found = judged.weighted(weights[None].astype(np.float64))

    assert {f: v[0] for f, v in found.items()} == pytest.approx(repeated.figures())


def test_divergence_is_zero_for_equals_and_known_for_a_coin() -> None:
    """KL of a fair coin from one of a quarter is log 2 − log 3 / 2."""
    fair, skewed = np.array([[0.5, 0.5]]), np.array([[0.25, 0.75]])

    assert divergence(fair, fair)[0] == 0
    assert divergence(fair, skewed)[0] == pytest.approx(math.log(2) - math.log(3) / 2)


def test_a_class_that_nobody_names_has_no_score() -> None:
    """Its F1 is 0, and macro-F1 leaves it out."""
    judged = Judged(
        probabilities=np.array([[0.9, 0.1, 0.0], [0.2, 0.8, 0.0]]), labels=np.array([0, 1])
    )

    assert class_f1_of(judged.counts().sum(axis=0, keepdims=True)).tolist() == [[1, 1, 0]]
    assert judged.figures()[Figure.MACRO_F1] == 1
    assert Figure.AGREEMENT not in judged.figures()


@pytest.mark.parametrize(
    ("probabilities", "labels", "message"),
    [
        ([[0.5, 0.5]], [0, 1], "as many rows"),
        ([[2.0, -1.0]], [0], "logits"),
        ([[3.0, 1.0]], [0], "logits"),
        ([[0.5, 0.5]], [2], "labels in"),
        ([[0.5, 0.5]], [-1], "labels in"),
    ],
)
def test_what_is_no_answer_is_refused(
    probabilities: list[list[float]], labels: list[int], message: str
) -> None:
    """Shapes, sums and labels are looked at before any figure is."""
    with pytest.raises(TrainingError, match=message):
        Judged(probabilities=np.array(probabilities), labels=np.array(labels))
