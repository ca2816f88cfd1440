"""Hard: cross-entropy with the class (or token) that the teacher finds most likely.

    −log q(argmax p)

Source: Hinton, Vinyals, Dean 2015, the limit of the soft term for a low teacher temperature. It is
data distillation with the teacher's labels.
"""

from dataclasses import dataclass

from torch import Tensor

from distillation.objectives.label import cross_entropy_of
from distillation.objectives.values import Outputs, Targets


@dataclass(frozen=True, slots=True, kw_only=True)
class TeacherChoice:
    """The student names what the teacher would name."""

    def per_position(self, outputs: Outputs, targets: Targets) -> Tensor:
        """Return −log q of the teacher's choice at every position, (B, T)."""
        return cross_entropy_of(outputs.logits, targets.log_probs.argmax(dim=-1))
