"""Reverse: the student may leave out what it cannot represent, but must not invent.

    T² · KL(q_T ‖ p_T)

Source: Gu, Dong, Wei, Huang 2023 ("MiniLLM"), section 2.1, here on the teacher's or the region's
own texts, not on texts sampled from the student.
"""

from dataclasses import dataclass

from torch import Tensor

from distillation.objectives.checks import require_positive
from distillation.objectives.soft import softened
from distillation.objectives.values import Outputs, Targets


@dataclass(frozen=True, slots=True, kw_only=True)
class ReverseKl:
    """The reverse divergence: the student's mass stays where the teacher's is."""

    temperature: float = 1.0

    def __post_init__(self) -> None:
        require_positive("temperature", self.temperature)

    def per_position(self, outputs: Outputs, targets: Targets) -> Tensor:
        """Return T² · KL(q_T ‖ p_T) of every position, (B, T)."""
        teacher, student = softened(outputs, targets, self.temperature)
        return self.temperature**2 * (student.exp() * (student - teacher)).sum(dim=-1)
