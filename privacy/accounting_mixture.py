"""Units of several records: the loss of adding, removing and replacing all of them at once.

To add or remove a unit is the mixture of Gaussians of dp_accounting (Choquette-Choo et al. 2023,
"Privacy amplification for matrix mechanisms", arXiv 2310.15526). To replace one, both data sets
have a mixture; dp_accounting has no dominating pair for that. It is bounded here through the data
set without the unit. With P, Q, R the distributions of all releases with the old unit, with none
and with the new one, and H(e^ε; P, R) = sup over S of P(S) − e^ε R(S), for every 0 <= a <= ε:

    P(S) <= e^a Q(S) + H(e^a; P, Q)  and  Q(S) <= e^(ε−a) R(S) + H(e^(ε−a); Q, R),  so
    H(e^ε; P, R) <= H(e^a; P, Q) + e^a H(e^(ε−a); Q, R).

A valid bound for any a, not the tightest one: it is applied to the whole composition, once.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from privacy.accounting_terms import noise, rate
from privacy.events import MixtureOfGaussians

if TYPE_CHECKING:
    from dp_accounting.pld.privacy_loss_distribution import PrivacyLossDistribution

_Numbers: TypeAlias = NDArray[np.float64]

_SPLITS = 101  # values of a that are tried; each gives a valid bound
_POINTS = 1001  # of the grid on which ε is sought


def mixture(event: MixtureOfGaussians, *, interval: float) -> PrivacyLossDistribution:
    """Return the privacy loss of one step, for adding or removing a unit.

    Args:
        event: The mechanism; its steps are not composed here.
        interval: Width of the grid of losses.
    """
    # Imported on first use, as in ``accountant``.
    from dp_accounting.pld import privacy_loss_distribution as pld
    from scipy.stats import binom

    sampled = np.arange(event.records_per_unit + 1)
    return pld.from_mixture_gaussian_mechanism(
        standard_deviation=noise(event),
        sensitivities=sampled.astype(float),
        sampling_probs=binom.pmf(sampled, event.records_per_unit, rate(event)),
        value_discretization_interval=interval,
    )


def replaced_delta(distribution: PrivacyLossDistribution, epsilon: float) -> float:
    """Return a δ for which replacing a unit is (``epsilon``, δ)-DP.

    Args:
        distribution: The loss of all releases, for adding or removing the unit.
        epsilon: In nats, finite and >= 0.
    """
    points = np.linspace(0.0, epsilon, _SPLITS)
    return _through_none(points, _deltas(distribution, points))


def replaced_epsilon(distribution: PrivacyLossDistribution, delta: float) -> float:
    """Return an ε for which replacing a unit is (ε, ``delta``)-DP; infinite if there is none.

    Args:
        distribution: The loss of all releases, for adding or removing the unit.
        delta: In (0, 1).
    """
    first = float(distribution.get_epsilon_for_delta(delta / 2))
    # e^−a is zero, and no second ε finite, where the first is large.
    second = float(distribution.get_epsilon_for_delta(delta / 2 * math.exp(-first)))
    if not math.isfinite(first + second):
        return math.inf
    points = np.linspace(0.0, max(first + second, 0.001), _POINTS)
    deltas = _deltas(distribution, points)
    low, high = -1, _POINTS - 1  # the last point keeps δ, by the two ε above
    while high - low > 1:
        middle = (low + high) // 2
        bound = _through_none(points[: middle + 1], deltas[: middle + 1])
        low, high = (low, middle) if bound <= delta else (middle, high)
    return float(points[high])


def _deltas(distribution: PrivacyLossDistribution, points: _Numbers) -> _Numbers:
    """Return the larger δ of the two directions at each ε, never increasing."""
    found = np.asarray(distribution.get_delta_for_epsilon(points), dtype=float)
    # Rounding may let a later one exceed an earlier one; the larger is valid for both.
    return np.maximum.accumulate(found[::-1])[::-1]


def _through_none(points: _Numbers, deltas: _Numbers) -> float:
    """Return the least bound at the last point: ε − a is the same grid from the other end."""
    return min(1.0, float((deltas + np.exp(points) * deltas[::-1]).min()))
