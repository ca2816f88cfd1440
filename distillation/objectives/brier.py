"""Brier: a proper score that does not reward certainty as cross-entropy does.

    Σ over classes of (q − y)², y = 1 for the reference and 0 elsewhere; zero where unlabelled

Source: Brier 1950; as a training loss beside others: Hui and Belkin 2020. Calibration error itself
is a statistic of many records and cannot be a private loss; this score is each record's own.
"""

from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import softmax

from distillation.objectives.values import UNLABELLED, Outputs, Targets


@dataclass(frozen=True, slots=True, kw_only=True)
class Brier:
    """The squared distance between the student's distribution and the reference."""

    def per_position(self, outputs: Outputs, targets: Targets) -> Tensor:
        """Return the score of every position, (B, T), in [0, 2]."""
        student = softmax(outputs.logits, dim=-1)
        known = targets.reference != UNLABELLED
        named = student.gather(-1, targets.reference.clamp(min=0).unsqueeze(-1)).squeeze(-1)
        return (student.square().sum(dim=-1) - 2 * named + 1) * known.to(student.dtype)
