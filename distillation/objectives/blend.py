"""Blend: part teacher, part reference, as knowledge distillation is most often used.

    α · T² · KL(p_T ‖ q_T) + (1 − α) · (−log q(y))

Source: Hinton, Vinyals, Dean 2015, section 2. A position without a label has the first part only.
"""

from dataclasses import dataclass

from torch import Tensor

from distillation.objectives.checks import require_positive, require_share
from distillation.objectives.label import Label
from distillation.objectives.soft import ForwardKl
from distillation.objectives.values import Outputs, Targets


@dataclass(frozen=True, slots=True, kw_only=True)
class Blend:
    """A weighted mean of the soft term and the label term."""

    alpha: float = 0.5
    temperature: float = 1.0

    def __post_init__(self) -> None:
        require_share("alpha", self.alpha)
        require_positive("temperature", self.temperature)

    def per_position(self, outputs: Outputs, targets: Targets) -> Tensor:
        """Return the blend at every position, (B, T)."""
        soft = ForwardKl(temperature=self.temperature).per_position(outputs, targets)
        return self.alpha * soft + (1 - self.alpha) * Label().per_position(outputs, targets)
