"""Generalised Jensen–Shannon divergence: from forward to reverse by one constant.

    β · KL(p_T ‖ m) + (1 − β) · KL(q_T ‖ m),   m = β · p_T + (1 − β) · q_T

and, as the limit of the value over β or 1 − β, KL(p_T ‖ q_T) for β = 0 and KL(q_T ‖ p_T) for β = 1.

Source: Agarwal and others 2023 ("On-Policy Distillation of Language Models", GKD), section 3 and
appendix A. As there, and as in TRL's generalized_jsd_loss, no factor T² is applied: whoever wants
one puts it in the weight.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from distillation.objectives.checks import require_positive, require_share
from distillation.objectives.soft import softened
from distillation.objectives.values import Outputs, Targets


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneralisedJsd:
    """A divergence between forward (β = 0) and reverse (β = 1)."""

    beta: float = 0.5
    temperature: float = 1.0

    def __post_init__(self) -> None:
        require_share("beta", self.beta)
        require_positive("temperature", self.temperature)

    def per_position(self, outputs: Outputs, targets: Targets) -> Tensor:
        """Return the divergence of every position, (B, T)."""
        teacher, student = softened(outputs, targets, self.temperature)
        if self.beta == 0:
            return _kl(teacher, student)
        if self.beta == 1:
            return _kl(student, teacher)
        mixture = torch.logaddexp(teacher + math.log(self.beta), student + math.log1p(-self.beta))
        return self.beta * _kl(teacher, mixture) + (1 - self.beta) * _kl(student, mixture)


def _kl(of: Tensor, to: Tensor) -> Tensor:
    return (of.exp() * (of - to)).sum(dim=-1)
