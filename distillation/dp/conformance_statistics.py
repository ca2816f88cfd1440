"""How surprising a count, a variance or a distribution is, with a bound that always holds.

Each function returns a surprise x ≥ 0 in nats, such that the right mechanism gives x or more with
probability at most 2·exp(-x). These are Chernoff's bounds, not approximations, so that the
false-alarm probability of a test can be stated; in return they see a little less than exact tails.

Sources: Chernoff 1952 for the binomial and the chi-square; Massart 1990 for the constant in the
inequality of Dvoretzky, Kiefer and Wolfowitz. Nothing here knows training.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float64]


def limit(false_alarm: float, statistics: int) -> float:
    """Return the surprise that none of so many statistics passes, but for ``false_alarm``."""
    return math.log(2 * statistics / false_alarm)


def spread(values: Samples, variance: float = 1.0) -> float:
    """Return how surprising these are as independent samples of N(0, ``variance``)."""
    ratio = float(np.square(values).mean()) / variance
    if not (math.isfinite(ratio) and ratio > 0):
        return math.inf
    return max(0.0, values.size / 2 * (ratio - 1 - math.log(ratio)))


def frequency(count: int, trials: int, chance: float) -> float:
    """Return how surprising ``count`` is as a sum of independent coins of one chance."""
    share = count / trials
    total = 0.0
    for seen, expected in ((share, chance), (1 - share, 1 - chance)):
        if seen > 0:
            total += seen * math.log(seen / expected) if expected > 0 else math.inf
    return max(0.0, trials * total)


def shape(values: Samples) -> float:
    """Return how surprising these are as independent samples of N(0, 1), in distribution."""
    if not np.isfinite(values).all():
        return math.inf
    ordered, size = np.sort(values.ravel()), values.size
    expected = np.array([math.erfc(-value / math.sqrt(2)) / 2 for value in ordered.tolist()])
    places = np.arange(size + 1) / size
    distance = max(np.max(places[1:] - expected), np.max(expected - places[:-1]))
    return 2 * size * float(distance) ** 2


def counts(values: Sequence[int], trials: int, chance: float) -> tuple[float, int]:
    """Return how surprising these are as independent Binomial(``trials``, ``chance``) counts.

    The share of counts up to each of some quantiles is itself a sum of coins.

    Returns:
        The largest surprise, and of how many statistics.
    """
    chances = _cumulative(trials, chance, max(max(values), 1))
    edges = {int(np.searchsorted(chances, level)) for level in (0.05, 0.1, 0.25, 0.5, 0.75, 0.9)}
    seen = np.asarray(values)
    surprises = [
        frequency(int((seen <= edge).sum()), len(seen), float(chances[edge]))
        for edge in edges
        if edge < len(chances)
    ]
    return max(surprises, default=math.inf), max(1, len(surprises))


def _cumulative(trials: int, chance: float, highest: int) -> Samples:
    """Return the chances of at most 0, 1, … successes, far beyond the mean and ``highest``."""
    mean = trials * chance
    last = min(trials, max(highest, math.ceil(mean + 10 * math.sqrt(mean + 1))))
    if chance >= 1:
        return np.where(np.arange(trials + 1) < trials, 0.0, 1.0)
    terms = [
        math.exp(
            math.lgamma(trials + 1) - math.lgamma(k + 1) - math.lgamma(trials - k + 1)
            + k * math.log(chance) + (trials - k) * math.log1p(-chance)
        )
        for k in range(last + 1)
    ]  # fmt: skip
    chances: Samples = np.minimum(np.cumsum(terms), 1.0)
    return chances
