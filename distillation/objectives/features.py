"""Features: hidden states of chosen layers point where the teacher's point.

    cosine:    Σ over pairs of 1 − cos(W h_s, h_t)
    distance:  Σ over pairs of the mean of (norm(W h_s) − norm(h_t))², norm = LayerNorm without gain

Source: the hints of Romero and others 2015 ("FitNets"), and the cosine of Sanh and others 2019
("DistilBERT"), section 2. W belongs to the student and is trained privately like any parameter,
so the terms are given W h_s. No statistic is taken over the batch.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, layer_norm

from distillation.errors import TrainingError
from distillation.objectives.values import Outputs, Targets


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureCosine:
    """Directions match; lengths are free."""

    def per_position(self, outputs: Outputs, targets: Targets) -> Tensor:
        """Return Σ 1 − cos at every position, (B, T)."""
        each = [1 - cosine_similarity(s, t, dim=-1) for s, t in _pairs(outputs, targets)]
        return torch.stack(each).sum(dim=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureDistance:
    """Normalised hidden states match coordinate by coordinate."""

    def per_position(self, outputs: Outputs, targets: Targets) -> Tensor:
        """Return Σ of the mean squared distance at every position, (B, T)."""
        each = [(_norm(s) - _norm(t)).square().mean(dim=-1) for s, t in _pairs(outputs, targets)]
        return torch.stack(each).sum(dim=0)


STATE_TERMS = (FeatureCosine, FeatureDistance)
"""The terms that compare hidden states."""


def _norm(hidden: Tensor) -> Tensor:
    return layer_norm(hidden, hidden.shape[-1:])


def _pairs(outputs: Outputs, targets: Targets) -> Iterator[tuple[Tensor, Tensor]]:
    ours, theirs = outputs.features, targets.features
    if not ours or [s.shape for s in ours] != [t.shape for t in theirs]:
        raise TrainingError(
            "expected the student's and the teacher's hidden states in pairs of one shape, got "
            f"{[tuple(s.shape) for s in ours]} and {[tuple(t.shape) for t in theirs]}"
        )
    return zip(ours, theirs, strict=True)
