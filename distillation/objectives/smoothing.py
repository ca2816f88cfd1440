"""Smoothing: cross-entropy with a label that is softer where the teacher is less sure.

    (1 − s) · (−log q(y)) + s · mean over classes of −log q,   s = strength · H(p) / log K

Source: label smoothing is Szegedy and others 2016, section 7; here its amount comes from the
teacher's entropy H(p) at that very position, so that one record's labels depend on it alone.
"""

import math
from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import log_softmax

from distillation.objectives.checks import require_share
from distillation.objectives.label import cross_entropy_of
from distillation.objectives.values import UNLABELLED, Outputs, Targets


@dataclass(frozen=True, slots=True, kw_only=True)
class EntropySmoothing:
    """A label smoothed by up to ``strength``, which is reached where the teacher knows nothing."""

    strength: float = 0.1

    def __post_init__(self) -> None:
        require_share("strength", self.strength)

    def per_position(self, outputs: Outputs, targets: Targets) -> Tensor:
        """Return the loss of every position, (B, T); zero where unlabelled."""
        teacher = targets.log_probs
        # a class of probability zero has entropy zero, not 0 · −∞
        entropy = -(teacher.exp() * teacher.clamp(min=-1e4)).sum(dim=-1)
        share = self.strength * entropy / math.log(max(teacher.shape[-1], 2))
        known = (targets.reference != UNLABELLED).to(outputs.logits.dtype)
        uniform = -log_softmax(outputs.logits, dim=-1).mean(dim=-1)
        named = cross_entropy_of(outputs.logits, targets.reference)
        return (1 - share) * named + share * uniform * known
