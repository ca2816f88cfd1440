"""Held-out public records, ready to measure any state of the trained tensors in milliseconds."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import softmax

from distillation.evaluation import Quality, evaluate
from distillation.layout import Vector
from distillation.trained_part import FrozenInputs, TrainedPart

_LEAST = 1e-12
"""Under this a probability's logarithm says nothing; as in `evaluate`."""


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Held-out public records of a classification study.

    Attributes:
        part: The trained part; its tensors are overwritten by each measurement.
        inputs: Frozen inputs of the n records.
        labels: Class indices, (n,).
        teacher: The teacher's probabilities, (n, K).
    """

    part: TrainedPart
    inputs: FrozenInputs
    labels: NDArray[np.int64]
    teacher: NDArray[np.float64]

    def quality(self, weights: Vector) -> Quality:
        """Measure the student with these trained tensors, (d,)."""
        return evaluate(self.probabilities(weights), self.labels, teacher=self.teacher)

    def teacher_quality(self) -> Quality:
        """Measure the teacher on the same records."""
        return evaluate(self.teacher, self.labels, teacher=self.teacher)

    def divergence(self, weights: Vector) -> float:
        """Return the mean KL(teacher ‖ student) a record, in nats."""
        student = np.maximum(self.probabilities(weights), _LEAST)
        theirs = np.maximum(self.teacher, _LEAST)
        return float((self.teacher * (np.log(theirs) - np.log(student))).sum(axis=1).mean())

    @torch.no_grad()
    def probabilities(self, weights: Vector) -> NDArray[np.float64]:
        """Return the student's probabilities, (n, K)."""
        self.part.load(weights)
        rows = torch.arange(len(self.inputs)).split(512)
        logits = [self.part.logits(self.part.module, self.inputs[some]) for some in rows]
        return _softmax(torch.cat(logits).squeeze(1))


def held_out(
    part: TrainedPart, inputs: FrozenInputs, labels: Sequence[int], teacher_log_probs: Tensor
) -> HeldOut:
    """Return the test set from the teacher's log-probabilities, (n, 1, K)."""
    teacher = _softmax(teacher_log_probs.squeeze(1))
    return HeldOut(part, inputs, np.asarray(labels, dtype=np.int64), teacher)


def _softmax(logits: Tensor) -> NDArray[np.float64]:
    return np.asarray(softmax(logits.double(), dim=-1).numpy(), dtype=np.float64)
