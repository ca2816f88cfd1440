"""What a student is asked to match: the teacher's distribution, its choice, or a given label.

Every objective gives each record one value that depends on that record, its own targets and
public constants alone: the mean over that record's own positions. A mean over all tokens of a
batch, as language-model code often takes it, would let one long record scale its neighbours.

Source of the soft term: Hinton, Vinyals, Dean 2015, with the factor T² of section 2.
"""

import math
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, log_softmax

from distillation.errors import TrainingError

UNLABELLED = -1


@dataclass(frozen=True, slots=True)
class Targets:
    """What is known of B records with up to T positions over K classes (or tokens).

    A classifier has T = 1. Positions that are padding are false in ``mask``.

    Attributes:
        log_probs: The teacher's log-probabilities at temperature 1, (B, T, K), float32.
        reference: The given label or next token, (B, T), int64; `UNLABELLED` where there is none.
        mask: Which positions belong to the record, (B, T), bool.
    """

    log_probs: Tensor
    reference: Tensor
    mask: Tensor

    @classmethod
    def of_classes(cls, log_probs: Tensor, reference: Tensor) -> Self:
        """Return the targets of a classifier: one position a record, from (B, K) and (B,)."""
        mask = torch.ones(len(log_probs), 1, dtype=torch.bool)
        return cls(log_probs.unsqueeze(1), reference.unsqueeze(1), mask)

    def __getitem__(self, rows: Tensor) -> "Targets":
        """Return the targets of these records."""
        return Targets(self.log_probs[rows], self.reference[rows], self.mask[rows])

    def __len__(self) -> int:
        return len(self.log_probs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """A weighted sum of the three terms; weights and temperature are constants of the plan.

    Attributes:
        soft: Weight of T² · KL(teacher ‖ student), both at ``temperature``.
        hard: Weight of the cross-entropy with the teacher's most likely class.
        label: Weight of the cross-entropy with the reference; zero for unlabelled positions.
        temperature: T > 0, for the soft term.
    """

    soft: float
    hard: float = 0.0
    label: float = 0.0
    temperature: float = 1.0

    def __post_init__(self) -> None:
        weights = (self.soft, self.hard, self.label)
        if not all(math.isfinite(w) and w >= 0 for w in weights) or sum(weights) == 0:
            raise TrainingError(f"expected weights >= 0, one of them > 0, got {weights}")
        if not (math.isfinite(self.temperature) and self.temperature > 0):
            raise TrainingError(f"expected a temperature > 0, got {self.temperature}")

    def per_record(self, logits: Tensor, targets: Targets) -> Tensor:
        """Return one loss a record, (B,), from the student's logits (B, T, K)."""
        per_position = torch.zeros_like(targets.mask, dtype=logits.dtype)
        if self.soft:
            per_position = per_position + self.soft * _soft(logits, targets, self.temperature)
        if self.hard:
            choice = targets.log_probs.argmax(dim=-1)
            per_position = per_position + self.hard * _cross_entropy(logits, choice)
        if self.label:
            per_position = per_position + self.label * _cross_entropy(logits, targets.reference)
        own = targets.mask.to(logits.dtype)
        return (per_position * own).sum(dim=1) / own.sum(dim=1).clamp(min=1)


def _soft(logits: Tensor, targets: Targets, temperature: float) -> Tensor:
    teacher = log_softmax(targets.log_probs / temperature, dim=-1)
    student = log_softmax(logits / temperature, dim=-1)
    return temperature**2 * (teacher.exp() * (teacher - student)).sum(dim=-1)


def _cross_entropy(logits: Tensor, classes: Tensor) -> Tensor:
    """Return the loss of each position, (B, T); `UNLABELLED` positions give zero."""
    return cross_entropy(logits.movedim(-1, 1), classes, ignore_index=UNLABELLED, reduction="none")
