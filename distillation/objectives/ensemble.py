"""Ensemble: the distribution that several teachers have on average, to be used as one teacher's.

    p = Σ w_i · p_i,   w_i ≥ 0 public constants, scaled to Σ w_i = 1

Source: Hinton, Vinyals, Dean 2015, section 5 (the arithmetic mean). All teachers name the same
outcomes in the same order, or share a tokenizer. Every objective works on the mixture.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from distillation.errors import TrainingError


def mixture(log_probs: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """Return the log-probabilities of the weighted mean, (B, T, K).

    Args:
        log_probs: One (B, T, K) a teacher, at temperature 1.
        weights: One a teacher, >= 0, one of them > 0; constants of the plan.

    Raises:
        TrainingError: If weights or shapes make no mixture.
    """
    if len(weights) != len(log_probs) or not weights:
        raise TrainingError(
            f"expected one weight a teacher, got {len(weights)} for {len(log_probs)} teachers"
        )
    total = math.fsum(weights)
    if not all(math.isfinite(w) and w >= 0 for w in weights) or not total > 0:
        raise TrainingError(f"expected weights >= 0, one of them > 0, got {tuple(weights)}")
    if len({values.shape for values in log_probs}) > 1:
        shapes = [tuple(values.shape) for values in log_probs]
        raise TrainingError(f"expected teachers over the same positions and outcomes, got {shapes}")
    used = [
        values + math.log(weight / total)
        for values, weight in zip(log_probs, weights, strict=True)
        if weight > 0
    ]
    return torch.logsumexp(torch.stack(used), dim=0)
