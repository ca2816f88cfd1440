"""A language test set in the terms of every report: each token that counts is one answer.

Accuracy is that of the next token, agreement that of the most likely token with the teacher's, and
perplexity is exp of the mean negative log-likelihood. What only texts have (the divergence from
the teacher) is asked of `LanguageHeldOut` itself.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import log_softmax

from distillation.evaluation import Quality, calibration_error, macro_f1
from distillation.language.held_out import LanguageHeldOut
from distillation.layout import Vector

_TOKENS = 256
"""Tokens at a time: at a vocabulary of 49,152 their logits are 50 MB."""


@dataclass(frozen=True, slots=True)
class _Answers:
    """What one model says at the n tokens that count.

    Attributes:
        chosen: The most likely token, (n,).
        confidence: Its probability, (n,).
        named: Log-probability of the token that does follow, (n,).
        squares: Sum of all squared probabilities, (n,).
    """

    chosen: Tensor
    confidence: Tensor
    named: Tensor
    squares: Tensor

    def against(self, reference: Tensor, teacher: Tensor) -> Quality:
        """Return the figures."""
        chosen, labels = _integers(self.chosen), _integers(reference)
        named = self.named.double()
        return Quality(
            accuracy=float((chosen == labels).mean()),
            macro_f1=macro_f1(chosen, labels),
            agreement=float((chosen == _integers(teacher)).mean()),
            calibration_error=calibration_error(self.confidence.double().numpy(), chosen == labels),
            brier=float((self.squares.double() - 2 * named.exp() + 1).mean()),
            nll=float(-named.mean()),
        )


@dataclass(frozen=True, slots=True)
class MeasuredText:
    """Held-out public text.

    Attributes:
        text: Inputs, next tokens and the teacher's marks.
    """

    text: LanguageHeldOut

    def quality(self, weights: Vector) -> Quality:
        """Measure the student with these trained tensors, (d,)."""
        self.text.part.load(weights)
        targets = self.text.targets
        return self._answers().against(
            targets.reference[targets.mask], targets.labels.choice()[targets.mask]
        )

    def teacher_quality(self) -> Quality:
        """Measure the teacher on the same tokens; its squares are those of its top k and the rest.

        So its Brier score takes all other tokens for one.
        """
        targets, own = self.text.targets, self.text.targets.mask
        probs = targets.labels.log_probs[own].exp()
        tail = targets.labels.log_tail[own].exp()
        choice = targets.labels.choice()[own]
        answers = _Answers(
            chosen=choice,
            confidence=probs.amax(dim=-1),
            named=self.text.following[own],
            squares=probs.square().sum(dim=-1) + tail.square(),
        )
        return answers.against(targets.reference[own], choice)

    def divergence(self, weights: Vector) -> float:
        """Return the mean KL(teacher ‖ student) a token, over the top k and the rest, in nats."""
        return self.text.quality(weights).teacher_kl

    @torch.no_grad()
    def _answers(self) -> _Answers:
        part, inputs, targets = self.text.part, self.text.inputs, self.text.targets
        found: list[tuple[Tensor, ...]] = []
        for rows in torch.arange(len(inputs)).split(max(1, _TOKENS // part.length)):
            own = targets.mask[rows]
            hidden = part.hidden(part.module, inputs[rows])[own]
            found.append(_said(hidden @ part.head.T, targets.reference[rows][own]))
        return _Answers(*(torch.cat(column) for column in zip(*found, strict=True)))


def _said(logits: Tensor, reference: Tensor) -> tuple[Tensor, ...]:
    """Return choice, confidence, named and squares at c tokens, from (c, V)."""
    log_probs = log_softmax(logits.float(), dim=-1)
    best = log_probs.max(dim=-1)
    named = log_probs.gather(-1, reference.unsqueeze(-1)).squeeze(-1)
    return best.indices, best.values.exp(), named, log_probs.exp().square().sum(dim=-1)


def _integers(values: Tensor) -> NDArray[np.int64]:
    return np.asarray(values.numpy(), dtype=np.int64)
