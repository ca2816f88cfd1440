"""Held-out public text: how well a language student predicts it, how near it is to its teacher.

All figures are means over the tokens that count. The divergence is over the teacher's k most likely
tokens and one bucket for the rest, so it is never more than the whole one.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from distillation.errors import TrainingError
from distillation.language.part import LanguagePart
from distillation.language.targets import token_targets
from distillation.language.teacher import Marks
from distillation.layout import Vector
from distillation.objectives.label import cross_entropy_of
from distillation.tokens import Tokens
from distillation.top_k import TokenTargets
from distillation.trained_part import FrozenInputs

_TOKENS = 256
"""Tokens at a time: at a vocabulary of 49,152 their logits are 50 MB."""


@dataclass(frozen=True, slots=True)
class LanguageQuality:
    """What one model shows on one test set.

    Attributes:
        perplexity: exp of the mean negative log-likelihood of a token; 1 or more.
        accuracy: Share of the tokens that are the most likely one.
        agreement: Share of the tokens at which student and teacher find the same one most likely.
        teacher_kl: Mean KL(teacher ‖ student) over k + 1 outcomes, nats a token.
    """

    perplexity: float
    accuracy: float
    agreement: float
    teacher_kl: float

    @property
    def nll(self) -> float:
        """Mean negative log-likelihood, nats a token."""
        return math.log(self.perplexity)

    def to_dict(self) -> dict[str, float]:
        """Return the figures by name."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class LanguageHeldOut:
    """Held-out public records of a language study.

    Attributes:
        part: The trained part; its tensors are overwritten by each measurement.
        inputs: Frozen inputs of the n records.
        targets: The next tokens, and the teacher's labels at temperature 1.
        following: The teacher's log-probability of each next token, (n, T).
    """

    part: LanguagePart
    inputs: FrozenInputs
    targets: TokenTargets
    following: Tensor

    def quality(self, weights: Vector) -> LanguageQuality:
        """Measure the student with these trained tensors, (d,)."""
        self.part.load(weights)
        total = torch.zeros(4, dtype=torch.float64)
        for logits, targets in self._chunks():
            best, choice = logits.argmax(dim=-1), targets.labels.choice()
            figures = (
                cross_entropy_of(logits, targets.reference),
                best == targets.reference,
                best == choice,
                targets.labels.divergence(logits),
            )
            total += torch.stack([figure.double().sum() for figure in figures])
        return _quality(total, self.targets.mask)

    def teacher_quality(self) -> LanguageQuality:
        """Measure the teacher on the same records."""
        mask, labels = self.targets.mask, self.targets.labels
        right = (labels.choice() == self.targets.reference)[mask].double().sum()
        count = mask.sum().double()
        nll = -self.following[mask].double().sum()
        return _quality(torch.stack([nll, right, count, torch.zeros_like(count)]), mask)

    @torch.no_grad()
    def _chunks(self) -> Iterator[tuple[Tensor, TokenTargets]]:
        """Yield logits (c, V) and targets of the tokens that count, (c,)."""
        size = max(1, _TOKENS // self.part.length)
        for rows in torch.arange(len(self.inputs)).split(size):
            hidden = self.part.hidden(self.part.module, self.inputs[rows])
            some = self.targets[rows]
            own = some.mask
            yield (
                hidden[own] @ self.part.head.T,
                TokenTargets(some.labels[own], some.reference[own], own[own]),
            )


def language_held_out(
    part: LanguagePart, tokens: Tokens, marks: Sequence[Marks]
) -> LanguageHeldOut:
    """Return the test set.

    Args:
        part: The student's trained part.
        tokens: Of the n records.
        marks: What the teacher says of them, at temperature 1.

    Raises:
        TrainingError: If the marks are of other records or at another temperature.
    """
    labels = [mark.label for mark in marks]
    if any(label.temperature != 1 for label in labels):
        raise TrainingError("expected the teacher's labels at temperature 1 for a test set")
    targets = token_targets(tokens, labels, length=part.length)
    following = torch.zeros(targets.mask.shape)
    for row, mark in enumerate(marks):
        following[row, : len(mark.following)] = mark.following
    return LanguageHeldOut(part, part.inputs(tokens), targets, following)


def _quality(total: Tensor, mask: Tensor) -> LanguageQuality:
    nll, right, agreed, divergence = (total / mask.sum()).tolist()
    return LanguageQuality(math.exp(nll), right, agreed, divergence)
