"""Soft labels over many outcomes: the k most likely, and one tail bucket for all the rest.

A vocabulary's distribution is too large to keep. Its k most likely tokens are, with the mass of the
rest as one more outcome: dropping the rest instead would tell the student that it cannot happen,
and at temperature 2 it is most of the mass. The divergence to a student is then that of two
distributions over k + 1 outcomes, which is never more than the divergence of the whole ones.

The labels are at the temperature at which they will be used, a constant of the plan: the tail of
another temperature cannot be had from a bucket. With k ≥ K nothing is left out, and the labels
are the distribution itself, bit by bit.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import log_softmax

from distillation.errors import TeacherError, TrainingError
from distillation.objectives.label import cross_entropy_of
from distillation.objectives.objective import Objective
from distillation.objectives.values import mean_over_own


@dataclass(frozen=True, slots=True)
class TopK:
    """The teacher's k most likely outcomes at every position; leading axes as one likes.

    Attributes:
        ids: Outcomes in rising order, (..., k), int64.
        log_probs: Their log-probabilities at ``temperature``, (..., k), float32.
        log_tail: Log of the mass of all other outcomes, (...), float32; −∞ if there are none.
        temperature: At which the probabilities are.
    """

    ids: Tensor
    log_probs: Tensor
    log_tail: Tensor
    temperature: float = 1.0

    def __post_init__(self) -> None:
        shapes = (self.ids.shape, self.log_probs.shape, (*self.log_tail.shape, self.ids.shape[-1]))
        if len({tuple(shape) for shape in shapes}) > 1:
            raise TeacherError(f"expected top-k labels of one shape, got {shapes}")

    @classmethod
    def of(cls, log_probs: Tensor, *, k: int, temperature: float = 1.0) -> "TopK":
        """Keep the k most likely of (..., K) log-probabilities at temperature 1.

        Raises:
            TeacherError: If k < 1.
        """
        if k < 1:
            raise TeacherError(f"expected to keep k >= 1 outcomes, got {k}")
        values = log_probs.float()
        if temperature != 1:
            values = log_softmax(values / temperature, dim=-1)
        outcomes = values.shape[-1]
        if k >= outcomes:
            ids = torch.arange(outcomes).expand(values.shape)
            return cls(ids, values, torch.full(values.shape[:-1], -torch.inf), temperature)
        ids = values.topk(k, dim=-1).indices.sort(dim=-1).values
        tail = values.scatter(-1, ids, -torch.inf).logsumexp(dim=-1)
        return cls(ids, values.gather(-1, ids), tail, temperature)

    def __getitem__(self, rows: Tensor | int) -> "TopK":
        """Return these records' labels."""
        return TopK(self.ids[rows], self.log_probs[rows], self.log_tail[rows], self.temperature)

    def __len__(self) -> int:
        return len(self.ids)

    def divergence(self, logits: Tensor) -> Tensor:
        """Return T² · KL(teacher ‖ student) over k + 1 outcomes at every position, (...).

        Args:
            logits: The student's, (..., K).
        """
        student = log_softmax(logits / self.temperature, dim=-1)
        top = student.gather(-1, self.ids)
        probs = self.log_probs.exp()
        total = (torch.xlogy(probs, probs) - probs * top).sum(dim=-1)
        if self.ids.shape[-1] < logits.shape[-1]:
            rest = student.scatter(-1, self.ids, -torch.inf).logsumexp(dim=-1)
            tail = self.log_tail.exp()
            total = total + torch.xlogy(tail, tail) - tail * rest
        return self.temperature**2 * total

    def choice(self) -> Tensor:
        """Return the most likely outcome of every position, (...)."""
        best = self.log_probs.argmax(dim=-1, keepdim=True)
        return self.ids.gather(-1, best).squeeze(-1)


@dataclass(frozen=True, slots=True)
class TokenTargets:
    """What is known of B records with up to T positions over a vocabulary.

    Attributes:
        labels: Top-k soft labels, (B, T, k).
        reference: The next token, (B, T), int64; `UNLABELLED` where there is none.
        mask: Which positions belong to the record, (B, T), bool.
    """

    labels: TopK
    reference: Tensor
    mask: Tensor

    def __getitem__(self, rows: Tensor) -> "TokenTargets":
        """Return the targets of these records."""
        return TokenTargets(self.labels[rows], self.reference[rows], self.mask[rows])

    def __len__(self) -> int:
        return len(self.mask)


def require_token_objective(objective: Objective, labels: TopK) -> None:
    """Check that the objective can be had from top-k labels.

    Raises:
        TrainingError: If it has other terms than soft, hard and label, or another temperature.
    """
    if objective.more:
        raise TrainingError(
            "expected an objective of soft, hard and label alone for top-k labels: other terms "
            "need the teacher's whole distribution"
        )
    if objective.soft and objective.temperature != labels.temperature:
        raise TrainingError(
            f"expected soft labels at temperature {objective.temperature}, got some at "
            f"{labels.temperature}: let the teacher answer again"
        )


def per_record(logits: Tensor, targets: TokenTargets, objective: Objective) -> Tensor:
    """Return one loss a record, (B,), from whole logits (B, T, V): what the fused loss equals.

    Raises:
        TrainingError: As `require_token_objective`.
    """
    require_token_objective(objective, targets.labels)
    per_position = torch.zeros_like(targets.mask, dtype=logits.dtype)
    if objective.soft:
        per_position = per_position + objective.soft * targets.labels.divergence(logits)
    if objective.hard:
        chosen = cross_entropy_of(logits, targets.labels.choice())
        per_position = per_position + objective.hard * chosen
    if objective.label:
        named = cross_entropy_of(logits, targets.reference)
        per_position = per_position + objective.label * named
    return mean_over_own(per_position, targets.mask)
