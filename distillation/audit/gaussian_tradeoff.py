"""The Gaussian trade-off curve: what one number μ says about (ε, δ), and the other way round.

A mechanism is μ-Gaussian-private if telling a unit's presence from its absence is no easier than
telling N(μ, 1) from N(0, 1) (Dong, Roth, Su 2019, arXiv 1905.02383; corollary 2.13 for δ(ε)).
It knows no audit, only the curve.
"""

import math
from collections.abc import Callable

import numpy as np
from scipy.special import log_ndtr, ndtr, ndtri

from distillation.audit.errors import AuditError

_TOLERANCE = 1e-9
_MOST_MU = 1e4


def gaussian_delta(mu: float, epsilon: float) -> float:
    """Return the δ for which μ-Gaussian privacy is (``epsilon``, δ)-DP.

    Args:
        mu: >= 0.
        epsilon: In nats, >= 0.
    """
    if mu <= 0:
        return 0.0
    first = float(log_ndtr(mu / 2 - epsilon / mu))
    second = epsilon + float(log_ndtr(-mu / 2 - epsilon / mu))
    # e^first - e^second without the loss of digits where both are tiny
    return math.exp(first) * -math.expm1(min(0.0, second - first))


def gaussian_epsilon(mu: float, delta: float) -> float:
    """Return the ε for which μ-Gaussian privacy is (ε, ``delta``)-DP.

    Raises:
        AuditError: If δ is not in (0, 1).
    """
    _check_delta(delta)
    if gaussian_delta(mu, 0.0) <= delta:
        return 0.0
    high = 1.0
    while gaussian_delta(mu, high) > delta:
        high *= 2
    return bisect(lambda epsilon: gaussian_delta(mu, epsilon) > delta, 0.0, high)


def gaussian_mu(epsilon: float, delta: float) -> float:
    """Return the largest μ that is (``epsilon``, ``delta``)-DP.

    Raises:
        AuditError: If δ is not in (0, 1), or ε is negative or not finite.
    """
    _check_delta(delta)
    if not (math.isfinite(epsilon) and epsilon >= 0):
        raise AuditError(f"expected a finite ε >= 0, got {epsilon}")
    return bisect(lambda mu: gaussian_delta(mu, epsilon) <= delta, 0.0, _MOST_MU)


def least_false_negatives(mu: float, false_positives: float) -> float:
    """Return the trade-off curve: the smallest rate of misses at this rate of false alarms."""
    return float(ndtr(ndtri(1 - false_positives) - mu))


def most_true_positives(mu: float, false_positives: float) -> float:
    """Return the largest rate of hits that anybody can have at this rate of false alarms."""
    return float(ndtr(ndtri(false_positives) + mu))


def bisect(holds: Callable[[float], bool], low: float, high: float) -> float:
    """Return the last value, from ``low`` on, for which ``holds`` is true; it is rounded down.

    Args:
        holds: True up to some value and false beyond it.
        low: Returned if ``holds`` is false everywhere above it.
        high: Where ``holds`` is false.
    """
    while high - low > _TOLERANCE * max(1.0, high):
        middle = (low + high) / 2
        if holds(middle):
            low = middle
        else:
            high = middle
    return low


def delta_slack(mu: float, delta_at: Callable[[float], float], *, most_epsilon: float) -> float:
    """Return by how much another mechanism's δ(ε) exceeds the Gaussian one's, at most.

    An audit that reads a claim as a Gaussian curve is fair to a mechanism whose curve lies within
    it; what it exceeds it by is a slack on each canary, like a δ.

    Args:
        mu: The Gaussian curve.
        delta_at: The other mechanism's δ at an ε.
        most_epsilon: From 0 to here is compared.
    """
    points = np.linspace(0.0, most_epsilon, 9).tolist()
    return max(0.0, *(delta_at(point) - gaussian_delta(mu, point) for point in points))


def _check_delta(delta: float) -> None:
    if not 0 < delta < 1:
        raise AuditError(f"expected a δ in (0, 1), got {delta}: a Gaussian has no ε at δ = 0")
