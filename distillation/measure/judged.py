"""One model's answers to labelled public records, and every figure of it on any reweighting.

A bootstrap is a matrix of weights, one row a resample; written so, thousands of resamples are a
few matrix products. With all weights one, the figures are those of `distillation.evaluation`.
Pure numpy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from distillation.errors import TrainingError

Floats: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int64]

_LEAST = 1e-12
"""Probabilities below are taken as this, in logarithms; as in `distillation.evaluation`."""


class Figure(StrEnum):
    """A figure of quality; the last three are better when smaller.

    ``CLASS_F1`` is for slices by class alone: the mean F1 of some classes, over all records.
    """

    ACCURACY = "accuracy"
    MACRO_F1 = "macro_f1"
    CLASS_F1 = "class_f1"
    AGREEMENT = "agreement"
    TEACHER_KL = "teacher_kl"
    NLL = "nll"
    BRIER = "brier"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A model's answers to n labelled public records over K classes.

    Attributes:
        probabilities: (n, K), rows sum to 1.
        labels: (n,), in [0, K).
        teacher: The teacher's probabilities, (n, K); None: no teacher to compare with.
    """

    probabilities: Floats
    labels: Integers
    teacher: Floats | None = None

    def __post_init__(self) -> None:
        shape = self.probabilities.shape
        if len(shape) != 2 or not len(self.labels) or self.labels.shape != shape[:1]:
            raise TrainingError(
                "expected as many rows of probabilities as labels, at least one; got "
                f"{shape} and {self.labels.shape}"
            )
        if self.teacher is not None and self.teacher.shape != shape:
            raise TrainingError(
                f"expected the teacher's probabilities of shape {shape}, got {self.teacher.shape}"
            )
        if not 0 <= self.labels.min() <= self.labels.max() < shape[1]:
            raise TrainingError(f"expected labels in [0, {shape[1]})")
        rows = self.probabilities.sum(axis=1)
        if not np.allclose(rows, 1.0, atol=1e-4) or self.probabilities.min() < 0:
            raise TrainingError("expected probabilities, rows that sum to 1; are these logits?")

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def chosen(self) -> Integers:
        """The most likely class of each record, (n,)."""
        return np.asarray(self.probabilities.argmax(axis=1), dtype=np.int64)

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether it is the label, (n,)."""
        return np.asarray(self.chosen == self.labels, dtype=np.bool_)

    def subset(self, rows: Integers) -> Judged:
        """Return the answers to these records."""
        return Judged(
            probabilities=self.probabilities[rows],
            labels=self.labels[rows],
            teacher=None if self.teacher is None else self.teacher[rows],
        )

    def figures(self) -> dict[Figure, float]:
        """Return every figure on the records as they are."""
        found = self.weighted(np.ones((1, len(self))))
        return {figure: float(values[0]) for figure, values in found.items()}

    def weighted(self, weights: Floats) -> dict[Figure, Floats]:
        """Return every figure for each row of weights, (B,) each.

        Args:
            weights: (B, n), how often each record counts; every row has a positive sum.
        """
        totals = weights.sum(axis=1)
        found = {f: weights @ values / totals for f, values in self.per_record().items()}
        found[Figure.MACRO_F1] = macro_f1_of(weights @ self.counts())
        return {figure: found[figure] for figure in Figure if figure in found}

    def per_record(self) -> Mapping[Figure, Floats]:
        """Return the figures that are means over records, (n,) each: all but macro-F1."""
        rows = np.arange(len(self))
        one_hot = np.eye(self.probabilities.shape[1])[self.labels]
        found = {
            Figure.ACCURACY: self.right.astype(np.float64),
            Figure.NLL: -np.log(np.maximum(self.probabilities[rows, self.labels], _LEAST)),
            Figure.BRIER: ((self.probabilities - one_hot) ** 2).sum(axis=1),
        }
        if self.teacher is not None:
            same = self.chosen == self.teacher.argmax(axis=1)
            found[Figure.AGREEMENT] = same.astype(np.float64)
            found[Figure.TEACHER_KL] = divergence(self.teacher, self.probabilities)
        return found

    def counts(self) -> Floats:
        """Return what macro-F1 adds up: hits, choices and labels by class, (n, 3 K)."""
        classes = np.eye(self.probabilities.shape[1])
        chosen, labelled = classes[self.chosen], classes[self.labels]
        return np.concatenate([chosen * labelled, chosen, labelled], axis=1)


def macro_f1_of(counts: Floats) -> Floats:
    """Return macro-F1, (B,), from sums of `Judged.counts`, (B, 3 K).

    The mean is over the classes that occur in choices or labels of that row.
    """
    _, chosen, labelled = np.split(counts, 3, axis=1)
    occurs = (chosen + labelled) > 0
    mean: Floats = class_f1_of(counts).sum(axis=1) / np.maximum(occurs.sum(axis=1), 1)
    return mean


def class_f1_of(counts: Floats) -> Floats:
    """Return the F1 of each class, (B, K), from the same; 0 for a class that does not occur."""
    hits, chosen, labelled = np.split(counts, 3, axis=1)
    either = chosen + labelled
    return np.divide(2 * hits, either, out=np.zeros_like(hits), where=either > 0)


def divergence(teacher: Floats, student: Floats) -> Floats:
    """Return KL(teacher ‖ student) of each row in nats, (n,)."""
    ratio = np.log(np.maximum(teacher, _LEAST)) - np.log(np.maximum(student, _LEAST))
    total: Floats = (teacher * ratio).sum(axis=1)
    return total
