"""What one training run with m coin-flipped canaries can prove about ε, from guesses alone.

Each of m canaries is in the training set or not, by a fair coin of its own. The attacker guesses r
of the coins and leaves the others alone; v guesses are right. A mechanism that kept its promise
makes many right guesses unlikely. Sources:

- Steinke, Nasr, Jagielski 2023, "Privacy auditing with one (1) training run", arXiv 2305.08846,
  theorem 5.2 and the code in its appendix: for any (ε, δ)-DP mechanism.
- Mahloujifar, Melis, Chaudhuri 2024, "Auditing f-differential privacy in one run", arXiv
  2410.22235, algorithm `audit_rh_with_cap`: for a mechanism within a trade-off curve, here the
  Gaussian one through (ε, δ); it sees more, because it assumes more.

r has to be fixed before a score is seen (``power``): the best of many r is no bound.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, expit, ndtr, ndtri

from distillation.audit.errors import AuditError
from distillation.audit.gaussian_tradeoff import bisect, gaussian_mu


@dataclass(frozen=True, slots=True, kw_only=True)
class Guesses:
    """What an attacker made of one run.

    Attributes:
        canaries: m, how many coins were flipped, >= 1.
        made: r, how many of them were guessed, from 1 to m.
        right: v, how many of these guesses were right.
    """

    canaries: int
    made: int
    right: int

    def __post_init__(self) -> None:
        if not 0 <= self.right <= self.made <= self.canaries or self.made < 1:
            raise AuditError(
                "expected 0 <= right <= made <= canaries and a guess, got "
                f"{self.right}, {self.made} and {self.canaries}"
            )

    @property
    def all_right(self) -> "Guesses":
        """The same number of guesses, none of them wrong: the most that any run can show."""
        return Guesses(canaries=self.canaries, made=self.made, right=self.made)


def steinke_p_value(guesses: Guesses, *, epsilon: float, delta: float) -> float:
    """Return the chance of so many right guesses under any (ε, δ)-DP mechanism, at most.

    Theorem 5.2: v is dominated by Binomial(r, e^ε / (1 + e^ε)), plus δ's share of the canaries.
    """
    m, r, v = guesses.canaries, guesses.made, guesses.right
    chance = float(expit(epsilon))
    at_least = _binomial_tail(v - np.arange(v + 1), r, chance)  # P[X >= v], P[X >= v - 1], …
    beta = float(at_least[0])
    if delta == 0 or v == 0:
        return beta
    alpha = float(np.max((at_least[1:] - beta) / np.arange(1, v + 1)))
    return min(1.0, beta + 2 * m * delta * max(0.0, alpha))


def steinke_bound(guesses: Guesses, *, delta: float, confidence: float) -> float:
    """Return the largest ε that the guesses refute, or 0: a lower bound of the true one.

    Guarantees: for an (ε, δ)-DP mechanism it exceeds ε with probability at most 1 - confidence.
    """
    _check(confidence)

    def refuted(epsilon: float) -> bool:
        return steinke_p_value(guesses, epsilon=epsilon, delta=delta) <= 1 - confidence

    return _largest(refuted)


def gaussian_refuted(guesses: Guesses, *, mu: float, confidence: float, slack: float = 0.0) -> bool:
    """Return whether so many right guesses refute that the run was μ-Gaussian-private.

    The recursion of `audit_rh_with_cap` for coins (two equally likely choices): ``hit`` and
    ``miss`` bound the joint chance that a guess is right or wrong and at least i are right. If the
    least values they can have sum to more than r / m, the hypothesis falls.

    Args:
        guesses: The guesses.
        mu: The Gaussian curve.
        confidence: A run within the curve is refuted with probability at most one minus it.
        slack: The run's curve may lie below the Gaussian one by so much.
    """
    m, r, v = guesses.canaries, guesses.made, guesses.right
    hit = (1 - confidence) * v / m
    miss = (1 - confidence) * (r - v) / m
    for i in range(v - 1, -1, -1):
        miss_before = miss
        # from Φ(Φ⁻¹(x) - μ), the inverse of one minus the curve
        miss = max(miss, float(ndtr(ndtri(max(0.0, hit - slack)) - mu)))
        if miss == miss_before:
            break  # neither can change any more
        hit = min(1.0, hit + i / (r - i) * (miss - miss_before))
    return hit + miss > r / m


def gaussian_bound(
    guesses: Guesses, *, delta: float, confidence: float, slack: float = 0.0
) -> float:
    """Return the largest ε whose Gaussian curve the guesses refute, or 0.

    Guarantees: for a mechanism that is within the Gaussian curve through (ε, δ), but for
    ``slack``, it exceeds ε with probability at most 1 - confidence.
    """
    _check(confidence)

    def refuted(epsilon: float) -> bool:
        mu = gaussian_mu(epsilon, delta)
        return gaussian_refuted(guesses, mu=mu, confidence=confidence, slack=slack)

    return _largest(refuted)


def _largest(refuted: Callable[[float], bool]) -> float:
    if not refuted(0.0):
        return 0.0
    high = 1.0
    while refuted(high):
        high *= 2
    return bisect(refuted, high / 2 if high > 1 else 0.0, high)


def _binomial_tail(least: NDArray[np.int64], n: int, chance: float) -> NDArray[np.float64]:
    """Return P[Binomial(n, chance) >= k] for each k in ``least``."""
    k = np.clip(least, 1, n)
    tail = betainc(k, n - k + 1, chance)
    found: NDArray[np.float64] = np.where(least <= 0, 1.0, tail)
    return found


def _check(confidence: float) -> None:
    if not 0.5 < confidence < 1:
        raise AuditError(f"expected a confidence between 0.5 and 1, got {confidence}")
