"""What an event costs, ε for a δ and δ for an ε; and how much noise a promise takes.

Official is the privacy loss distribution (PLD) of dp_accounting, rounded pessimistically on a
grid of 1e-4 (Doroshenko et al. 2022, "Connect the dots", arXiv 2207.04380). Rényi accounting
(Mironov 2017, arXiv 1702.07476) is an independent check: a bound of another derivation.

The noise multiplier of an event is relative to what one unit *adds* to the sum, C. Replacing a
unit moves the sum by up to 2C; dp_accounting's PLD takes that into account for REPLACE_ONE, its
Rényi accountant (0.6.0) does not, so the latter is used for add-or-remove-one only.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

from privacy.errors import InvalidBudgetError
from privacy.events import Composed, Event, Gaussian, Mechanism, SampledGaussian
from privacy.guarantee import Bound, Neighbours, Unit

if TYPE_CHECKING:
    from dp_accounting.dp_event import DpEvent
    from dp_accounting.pld.privacy_loss_distribution import PrivacyLossDistribution
    from dp_accounting.rdp import RdpAccountant as Accumulator

INTERVAL = 1e-4
# Noise multipliers lie on a grid of 0.001, so that a plan can be read and retyped.
_GRID = 1000
_LOWEST = 200  # σ = 0.2: below, ε is in the hundreds and no promise
_HIGHEST = 1_000_000
# Whole orders only: the fractional ones do not converge for large sample rates, and every set
# of orders gives a valid bound.
_ORDERS = (*range(2, 64), 80, 96, 128, 192, 256, 384, 512, 768, 1024)


class Accountant(Protocol):
    """Bounds the privacy loss of an event. Both answers are upper bounds."""

    def epsilon(self, event: Event, delta: float) -> float:
        """Return an ε for which ``event`` is (ε, δ)-DP; infinite if there is none."""
        ...

    def delta(self, event: Event, epsilon: float) -> float:
        """Return a δ for which ``event`` is (ε, δ)-DP."""
        ...


class PldAccountant:
    """Accounts by privacy loss distributions; the bound that is charged.

    Args:
        neighbours: The relation to bound for.
        interval: Width of the grid of losses; finer is tighter and slower.
    """

    def __init__(
        self,
        neighbours: Neighbours = Neighbours.ADD_OR_REMOVE_ONE,
        *,
        interval: float = INTERVAL,
    ) -> None:
        self._neighbours = neighbours
        self._interval = interval

    def epsilon(self, event: Event, delta: float) -> float:
        """Return the smallest ε on the grid for which ``event`` is (ε, ``delta``)-DP.

        Raises:
            InvalidBudgetError: If ``delta`` is not in (0, 1).
        """
        _check_delta(delta)
        return _pld_epsilon(event, self._neighbours, self._interval, delta)

    def delta(self, event: Event, epsilon: float) -> float:
        """Return the δ for which ``event`` is (``epsilon``, δ)-DP.

        Raises:
            InvalidBudgetError: If ``epsilon`` is negative or not finite.
        """
        _check_epsilon(epsilon)
        distribution = _pld(event, self._neighbours, self._interval)
        return min(1.0, float(distribution.get_delta_for_epsilon(epsilon)))


class RdpAccountant:
    """Accounts by Rényi divergences of whole orders, for add-or-remove-one."""

    def epsilon(self, event: Event, delta: float) -> float:
        """Return an ε for which ``event`` is (ε, ``delta``)-DP.

        Raises:
            InvalidBudgetError: If ``delta`` is not in (0, 1).
        """
        _check_delta(delta)
        return float(_renyi(event).get_epsilon(delta))

    def delta(self, event: Event, epsilon: float) -> float:
        """Return a δ for which ``event`` is (``epsilon``, δ)-DP.

        Raises:
            InvalidBudgetError: If ``epsilon`` is negative or not finite.
        """
        _check_epsilon(epsilon)
        return float(_renyi(event).get_delta(epsilon))


@lru_cache(maxsize=256)
def solve_noise_multiplier(
    *,
    epsilon: Decimal,
    delta: Decimal,
    sample_rate: Fraction,
    steps: int,
    neighbours: Neighbours = Neighbours.ADD_OR_REMOVE_ONE,
) -> Decimal:
    """Return the smallest noise multiplier on the grid of 0.001 that keeps the promise.

    Guarantees: with the result, ``PldAccountant`` bounds all ``steps`` by ``epsilon``; with
    0.001 less it does not (unless the result is 0.2, the least that is ever returned).

    Args:
        epsilon: The promise for all steps together, > 0.
        delta: Its δ, in (0, 1).
        sample_rate: Chance that one unit is in one step, in (0, 1].
        steps: All steps of the plan, slack included, >= 1.
        neighbours: The relation of the promise.

    Raises:
        InvalidBudgetError: If the promise is none, or takes a noise multiplier above 1,000.
        UnsupportedEventError: If ``sample_rate`` or ``steps`` is out of range.
    """
    # The unit does not matter here; the bound checks that (ε, δ) is a promise.
    _ = Bound(Unit.RECORD, neighbours, epsilon, delta)
    target = round_down(Fraction(epsilon))

    def cost(point: int, interval: float = INTERVAL) -> float:
        event = SampledGaussian(Decimal(point) / _GRID, sample_rate, steps)
        accountant = PldAccountant(neighbours, interval=interval)
        return accountant.epsilon(event, round_down(Fraction(delta)))

    def rough_cost(point: int) -> float:
        return cost(point, 10 * INTERVAL)

    tail = math.sqrt(2 * math.log(1.25 / float(delta)))  # Dwork and Roth 2014, theorem 3.22
    rough = float(sample_rate) * math.sqrt(steps) * tail / target
    # A coarse grid of losses is ten times as fast and mostly gives the same point.
    start = _approach(rough_cost, target, start=round(rough * _GRID))
    start = _search(rough_cost, target, start=start)
    point = _search(cost, target, start=start)
    if cost(point) > target:
        raise InvalidBudgetError(
            f"no noise multiplier up to {_HIGHEST // _GRID} keeps ε = {epsilon} at δ = {delta}; "
            "take fewer steps, a smaller sample rate or a larger ε"
        )
    return Decimal(point) / _GRID


@lru_cache(maxsize=4096)
def _pld_epsilon(event: Event, neighbours: Neighbours, interval: float, delta: float) -> float:
    return float(_pld(event, neighbours, interval).get_epsilon_for_delta(delta))


@lru_cache(maxsize=8)  # a distribution holds up to some megabytes
def _pld(event: Event, neighbours: Neighbours, interval: float) -> PrivacyLossDistribution:
    # Imported on first use: it takes a second, and most commands account for nothing.
    from dp_accounting import NeighboringRelation
    from dp_accounting.pld import privacy_loss_distribution as pld

    relation = {
        Neighbours.ADD_OR_REMOVE_ONE: NeighboringRelation.ADD_OR_REMOVE_ONE,
        Neighbours.REPLACE_ONE: NeighboringRelation.REPLACE_ONE,
    }[neighbours]
    total = pld.identity(value_discretization_interval=interval)
    for mechanism in _mechanisms(event):
        one = pld.from_gaussian_mechanism(
            standard_deviation=_noise(mechanism),
            value_discretization_interval=interval,
            sampling_prob=_rate(mechanism),
            neighboring_relation=relation,
        )
        total = total.compose(one.self_compose(mechanism.steps))
    return total


@lru_cache(maxsize=256)
def _renyi(event: Event) -> Accumulator:
    from dp_accounting.dp_event import ComposedDpEvent
    from dp_accounting.rdp import RdpAccountant as Accumulator

    accumulator = Accumulator(_ORDERS)
    accumulator.compose(ComposedDpEvent(list(map(_dp_event, _mechanisms(event)))))
    return accumulator


def _dp_event(mechanism: Mechanism) -> DpEvent:
    from dp_accounting.dp_event import GaussianDpEvent, PoissonSampledDpEvent, SelfComposedDpEvent

    sampled = PoissonSampledDpEvent(_rate(mechanism), GaussianDpEvent(_noise(mechanism)))
    return SelfComposedDpEvent(sampled, mechanism.steps)


def _mechanisms(event: Event) -> tuple[Mechanism, ...]:
    """Return the event's leaves."""
    if isinstance(event, Composed):
        return tuple(leaf for part in event.events for leaf in _mechanisms(part))
    return (event,)


def _noise(mechanism: Mechanism) -> float:
    """Return σ as a float, rounded down: never less cost than the exact value has."""
    return round_down(Fraction(mechanism.noise_multiplier))


def _rate(mechanism: Mechanism) -> float:
    """Return q as a float, rounded up."""
    if isinstance(mechanism, Gaussian):
        return 1.0
    rate = float(mechanism.sample_rate)
    return rate if Fraction(rate) >= mechanism.sample_rate else math.nextafter(rate, 1.0)


def round_down(exact: Fraction) -> float:
    """Return the largest float that is at most ``exact``."""
    value = float(exact)
    return value if Fraction(value) <= exact else math.nextafter(value, 0.0)


def _check_delta(delta: float) -> None:
    if not 0 < delta < 1:
        raise InvalidBudgetError(f"expected a δ in (0, 1), got {delta}")


def _check_epsilon(epsilon: float) -> None:
    if not (math.isfinite(epsilon) and epsilon >= 0):
        raise InvalidBudgetError(f"expected a finite ε >= 0, got {epsilon}")


def _approach(cost: Callable[[int], float], target: float, *, start: int) -> int:
    """Return a point near the solution: ε falls about as 1/σ, so scale by the ratio."""
    point = min(max(start, _LOWEST), _HIGHEST)
    for _ in range(8):
        ratio = min(max(cost(point) / target, 0.5), 2.0)
        following = min(max(round(point * ratio), _LOWEST), _HIGHEST)
        if abs(following - point) <= 2:
            break
        point = following
    return point


def _search(cost: Callable[[int], float], target: float, *, start: int) -> int:
    """Return the least point that keeps the target, or the highest: gallop, then halve."""
    low, high, stride = start, start, 1
    while cost(high) > target:
        if high >= _HIGHEST:
            return high
        low, high, stride = high, min(high + stride, _HIGHEST), 4 * stride
    if low == high:  # the start keeps the promise: look below for one that does not
        while low > _LOWEST and cost(low) <= target:
            high, low, stride = low, max(low - stride, _LOWEST), 4 * stride
        if cost(low) <= target:
            return low
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if cost(middle) <= target else (middle, high)
    return high
