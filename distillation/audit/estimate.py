"""An estimate of ε from the distance of two bell curves: more telling than a bound, and no bound.

Present and absent canaries' scores are read as two Gaussians of one variance (the idea of Andrew et
al. 2023, "One-shot empirical privacy estimation for federated learning", arXiv 2302.03098). If they
are none, or the attack is not the best one, the number is wrong; so nothing is decided by it.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from distillation.audit.errors import AuditError
from distillation.audit.gaussian_tradeoff import gaussian_epsilon

_MOST_MU = 100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class GaussianEstimate:
    """An estimated ε; **not** a bound.

    Attributes:
        epsilon: The estimate at ``delta``.
        low: Lower end of its interval, if the scores are Gaussian.
        delta: δ.
        confidence: Of the lower end.
    """

    epsilon: float
    low: float
    delta: float
    confidence: float


def gaussian_estimate(
    scores: NDArray[np.float64], coins: NDArray[np.bool_], *, delta: float, confidence: float = 0.95
) -> GaussianEstimate:
    """Return ε as if the scores of present and absent canaries were N(a + μ, s²) and N(a, s²).

    Args:
        scores: One a canary, (m,).
        coins: Whether it was in, (m,).
        delta: δ, in (0, 1).
        confidence: Of the lower end.

    Raises:
        AuditError: If either group has fewer than 10 canaries, or a score is not finite.
    """
    inside, outside = scores[coins], scores[~coins]
    if min(len(inside), len(outside)) < 10 or not np.isfinite(scores).all():
        raise AuditError("expected finite scores of at least 10 canaries that are in, and 10 out")
    spread = math.sqrt((inside.var(ddof=1) + outside.var(ddof=1)) / 2)
    gap = float(inside.mean() - outside.mean())
    mu = min(_MOST_MU, max(0.0, gap / spread)) if spread > 0 else _MOST_MU * (gap > 0)
    # the large-sample error of a standardised difference (Hedges, Olkin 1985, chapter 5)
    error = math.sqrt(1 / len(inside) + 1 / len(outside) + mu**2 / (2 * len(scores)))
    low = max(0.0, mu - float(ndtri(confidence)) * error)
    return GaussianEstimate(
        epsilon=gaussian_epsilon(mu, delta),
        low=gaussian_epsilon(low, delta),
        delta=delta,
        confidence=confidence,
    )
