"""Soft: the student's distribution follows the teacher's, both softened by a temperature.

    T² · KL(p_T ‖ q_T),   p_T = softmax(log p / T),   q_T = softmax(z / T)

Source: Hinton, Vinyals, Dean 2015, section 2. The factor T² keeps the size of the gradient when T
changes.
"""

from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import log_softmax

from distillation.objectives.checks import require_positive
from distillation.objectives.values import Outputs, Targets


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardKl:
    """The forward divergence: the student must cover all that the teacher finds possible."""

    temperature: float = 1.0

    def __post_init__(self) -> None:
        require_positive("temperature", self.temperature)

    def per_position(self, outputs: Outputs, targets: Targets) -> Tensor:
        """Return T² · KL(p_T ‖ q_T) of every position, (B, T)."""
        teacher, student = softened(outputs, targets, self.temperature)
        return self.temperature**2 * (teacher.exp() * (teacher - student)).sum(dim=-1)


def softened(outputs: Outputs, targets: Targets, temperature: float) -> tuple[Tensor, Tensor]:
    """Return log p_T of the teacher and log q_T of the student, each (B, T, K)."""
    teacher = log_softmax(targets.log_probs / temperature, dim=-1)
    return teacher, log_softmax(outputs.logits / temperature, dim=-1)
