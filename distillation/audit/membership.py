"""How well scores tell members from others: the ROC curve, its area, hits at few false alarms.

Each figure has a 95 % interval and stands beside the most that (ε, δ)-DP lets anybody reach
(Wasserman and Zhou 2010; Kairouz, Oh, Viswanath 2015, arXiv 1311.0776: the trade-off region).
Hits at a low rate of false alarms say more than the area: Carlini et al. 2022, "Membership
inference attacks from first principles", arXiv 2112.03570.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv, ndtri
from scipy.stats import rankdata

from distillation.audit.errors import AuditError

FALSE_ALARMS = (0.001, 0.01, 0.1)
_ALPHA = 0.05


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with its 95 % interval.

    Attributes:
        value: The figure.
        low: Lower end.
        high: Upper end.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Hits:
    """Members found, at one rate of false alarms.

    Attributes:
        false_alarms: Share of non-members that may be called members.
        found: Share of the members above the threshold; Clopper-Pearson's interval, the threshold
            taken as given.
        most: What (ε, δ)-DP lets anybody reach.
    """

    false_alarms: float
    found: Interval
    most: float


@dataclass(frozen=True, slots=True)
class Membership:
    """How well scores tell members from others.

    Attributes:
        members: How many were in.
        others: How many were not.
        area: Area under the ROC curve; 0.5 is chance. DeLong's interval.
        most_area: What (ε, δ)-DP lets anybody reach.
        hits: One for each of `FALSE_ALARMS`.
        curve: The ROC curve: shares of false alarms and of hits, ascending, ties as one step.
    """

    members: int
    others: int
    area: Interval
    most_area: float
    hits: tuple[Hits, ...]
    curve: tuple[tuple[float, float], ...]


def membership(
    scores: NDArray[np.float64], coins: NDArray[np.bool_], *, epsilon: float, delta: float
) -> Membership:
    """Return how well the scores tell who was in.

    Args:
        scores: One a canary, (m,); high where it seems to have been in.
        coins: Whether it was in, (m,).
        epsilon: The claim's ε.
        delta: The claim's δ.

    Raises:
        AuditError: If a score is not finite, or nobody was in, or nobody out.
    """
    inside, outside = scores[coins], scores[~coins]
    if not len(inside) or not len(outside) or not np.isfinite(scores).all():
        raise AuditError("expected finite scores of members and of others")
    return Membership(
        members=len(inside),
        others=len(outside),
        area=_area(inside, outside),
        most_area=most_area(epsilon, delta),
        hits=tuple(_hits(inside, outside, rate, epsilon, delta) for rate in FALSE_ALARMS),
        curve=_curve(scores, coins),
    )


def most_hits(false_alarms: float, epsilon: float, delta: float) -> float:
    """Return the largest share of members that anybody can find under (ε, δ)-DP."""
    up = math.exp(epsilon) * false_alarms + delta
    down = 1 - math.exp(-epsilon) * (1 - delta - false_alarms)
    return min(1.0, up, down)


def most_area(epsilon: float, delta: float) -> float:
    """Return the largest area under a ROC curve that (ε, δ)-DP allows."""
    corner = (1 - delta) / (1 + math.exp(epsilon))  # false alarms; the hits are one minus it
    up = corner * (delta + 1 - corner) / 2
    down = (1 - delta - corner) * (2 - corner) / 2
    return up + down + delta


def clopper_pearson(count: int, total: int) -> Interval:
    """Return a share with its exact 95 % interval (Clopper, Pearson 1934)."""
    low = 0.0 if count == 0 else float(betaincinv(count, total - count + 1, _ALPHA / 2))
    high = 1.0 if count == total else float(betaincinv(count + 1, total - count, 1 - _ALPHA / 2))
    return Interval(count / total, low, high)


def _area(inside: NDArray[np.float64], outside: NDArray[np.float64]) -> Interval:
    """Return the area with the interval of DeLong, DeLong, Clarke-Pearson 1988."""
    together = rankdata(np.concatenate([inside, outside]))
    n, k = len(inside), len(outside)
    beaten = (together[:n] - rankdata(inside)) / k  # of the others, by each member
    missed = 1 - (together[n:] - rankdata(outside)) / n
    area = float(beaten.mean())
    variance = sum(
        float(part.var(ddof=1)) / len(part) for part in (beaten, missed) if len(part) > 1
    )
    half = float(ndtri(1 - _ALPHA / 2)) * math.sqrt(variance)
    return Interval(area, max(0.0, area - half), min(1.0, area + half))


def _hits(
    inside: NDArray[np.float64],
    outside: NDArray[np.float64],
    rate: float,
    epsilon: float,
    delta: float,
) -> Hits:
    allowed = math.floor(rate * len(outside) + 1e-9)
    threshold = np.sort(outside)[::-1][allowed] if allowed < len(outside) else -math.inf
    found = int((inside > threshold).sum())
    return Hits(rate, clopper_pearson(found, len(inside)), most_hits(rate, epsilon, delta))


def _curve(
    scores: NDArray[np.float64], coins: NDArray[np.bool_]
) -> tuple[tuple[float, float], ...]:
    order = np.argsort(-scores, kind="stable")
    hits, alarms = np.cumsum(coins[order]), np.cumsum(~coins[order])
    last = np.append(np.diff(scores[order]) != 0, True)
    rates, found = alarms[last] / alarms[-1], hits[last] / hits[-1]
    return ((0.0, 0.0), *zip(rates.tolist(), found.tolist(), strict=True))
