"""The objective of a plan: a weighted sum of terms, then the mean over a record's own positions.

A mean over all tokens of a batch, as language-model code often takes it, would let one long record
scale its neighbours: clipping would then bound nothing.
"""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from distillation.errors import TrainingError
from distillation.objectives.checks import require_positive
from distillation.objectives.features import STATE_TERMS
from distillation.objectives.hard import TeacherChoice
from distillation.objectives.label import Label
from distillation.objectives.soft import ForwardKl
from distillation.objectives.values import Outputs, Targets, Term, mean_over_own


@dataclass(frozen=True, slots=True)
class Weighted:
    """A term and its weight, a constant of the plan."""

    weight: float
    term: Term


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """A weighted sum of terms; weights and temperature are constants of the plan.

    Attributes:
        soft: Weight of T² · KL(teacher ‖ student), both at ``temperature``.
        hard: Weight of the cross-entropy with the teacher's most likely class.
        label: Weight of the cross-entropy with the reference; zero for unlabelled positions.
        temperature: T > 0, for the soft term.
        more: Any further terms of the registry, each with its weight and its own constants.
    """

    soft: float = 0.0
    hard: float = 0.0
    label: float = 0.0
    temperature: float = 1.0
    more: tuple[Weighted, ...] = ()

    def __post_init__(self) -> None:
        weights = (self.soft, self.hard, self.label, *(each.weight for each in self.more))
        if not all(math.isfinite(w) and w >= 0 for w in weights) or sum(weights) == 0:
            raise TrainingError(f"expected weights >= 0, one of them > 0, got {weights}")
        require_positive("temperature", self.temperature)

    @property
    def terms(self) -> tuple[Weighted, ...]:
        """The terms that count, in the order in which they are added."""
        first = (
            Weighted(self.soft, ForwardKl(temperature=self.temperature)),
            Weighted(self.hard, TeacherChoice()),
            Weighted(self.label, Label()),
        )
        return tuple(each for each in (*first, *self.more) if each.weight)

    @property
    def matches_states(self) -> bool:
        """Whether a term compares hidden states, so that targets need the teacher's."""
        return any(isinstance(each.term, STATE_TERMS) for each in self.terms)

    def without_states(self) -> "Objective":
        """Return the same without terms on hidden states, for inputs that have none.

        Where nothing else is left, the soft term takes their place.
        """
        more = tuple(each for each in self.more if not isinstance(each.term, STATE_TERMS))
        rest = self.soft + self.hard + self.label + sum(each.weight for each in more)
        return replace(self, soft=self.soft if rest else 1.0, more=more)

    def per_record(
        self, logits: Tensor, targets: Targets, *, features: tuple[Tensor, ...] = ()
    ) -> Tensor:
        """Return one loss a record, (B,).

        Guarantees: a record's loss depends on its own rows of the arguments and on constants.

        Args:
            logits: The student's, (B, T, K).
            targets: Of the same B records.
            features: The student's hidden states for the feature terms, each (B, T, H).

        Raises:
            TrainingError: If a feature term is asked for and the states do not pair up.
        """
        outputs = Outputs(logits, features)
        per_position = torch.zeros_like(targets.mask, dtype=logits.dtype)
        for each in self.terms:
            per_position = per_position + each.weight * each.term.per_position(outputs, targets)
        return mean_over_own(per_position, targets.mask)
