"""From a curve of (ε, δ) to what an attacker can reach: upper bounds for every attack.

A mechanism that is (ε, δ)-DP at many points at once bounds the two errors of every test of "was
this unit used?" (Kairouz, Oh and Viswanath 2015, theorem 2.1): with false positive rate α and
true positive rate τ, τ <= e^ε α + δ and 1 − α <= e^ε (1 − τ) + δ, for each point and both ways
round. It knows nothing of ledgers and accountants.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TypeAlias

Curve: TypeAlias = Sequence[tuple[float, float]]
"""Points (ε, δ), ascending by ε, each of which the mechanism keeps."""

_MOST_EPSILON = 700.0  # e to the power of more is no float
_MOST_MU = 1000.0
_HALVINGS = 60


def most_true_positives(curve: Curve, false_positives: float) -> float:
    """Return the largest true positive rate that any attack with this false positive rate has."""
    best = 1.0
    for epsilon, delta in curve:
        odds = math.exp(min(epsilon, _MOST_EPSILON))
        best = min(best, odds * false_positives + delta, 1 - (1 - delta - false_positives) / odds)
    return max(best, false_positives)


def most_right_guesses(curve: Curve) -> float:
    """Return how often the best guess is right where both answers are equally likely.

    It is (1 + TV) / 2, with TV the total variation, δ at ε = 0, bounded from each point where the
    curve does not reach down to there.
    """
    best = 1.0
    for epsilon, delta in curve:
        odds = math.exp(min(epsilon, _MOST_EPSILON))
        best = min(best, 1 - (1 - delta) / (1 + odds))
    return best


def dominating_mu(curve: Curve) -> float:
    """Return a μ such that N(0, 1) against N(μ, 1) is as easy to tell apart, or easier.

    Guarantees: for every ε up to the curve's last one, the Gaussian's δ is at least the
    mechanism's. Between two points the mechanism's δ is at most that of the left one, and the
    Gaussian's at least its own at the right one: those two are compared.

    Args:
        curve: At least two points, the first at ε = 0.
    """
    largest = 0.0
    for (_, delta), (epsilon, _) in pairwise(curve):
        if gaussian_delta(largest, epsilon) >= delta:
            continue
        low, high = largest, _MOST_MU
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            low, high = (
                (low, middle) if gaussian_delta(middle, epsilon) >= delta else (middle, high)
            )
        largest = high
    return largest


def gaussian_delta(mu: float, epsilon: float) -> float:
    """Return δ at ``epsilon`` of N(0, 1) against N(μ, 1) (Balle and Wang 2018, theorem 8)."""
    if mu <= 0:
        return 0.0
    rest = _normal(-epsilon / mu - mu / 2)
    odds = math.exp(min(epsilon, _MOST_EPSILON))
    return max(0.0, _normal(-epsilon / mu + mu / 2) - odds * rest)


def _normal(x: float) -> float:
    return math.erfc(-x / math.sqrt(2)) / 2
