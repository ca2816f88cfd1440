"""Label: cross-entropy with the given label or next token.

    −log q(y), zero where there is no label

A position without a label still counts in its record's mean: the divisor stays the record's own
number of positions, whether or not somebody labelled them.
"""

from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import cross_entropy

from distillation.objectives.values import UNLABELLED, Outputs, Targets


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """The student names what the reference names."""

    def per_position(self, outputs: Outputs, targets: Targets) -> Tensor:
        """Return −log q of the reference at every position, (B, T)."""
        return cross_entropy_of(outputs.logits, targets.reference)


def cross_entropy_of(logits: Tensor, classes: Tensor) -> Tensor:
    """Return the loss of each position, (B, T); `UNLABELLED` positions give zero."""
    return cross_entropy(logits.movedim(-1, 1), classes, ignore_index=UNLABELLED, reduction="none")
