"""How much noise a promise takes: the least noise multiplier on a grid that keeps it.

Knows the official accountant and nothing of plans.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache

from privacy.accountant import INTERVAL, PldAccountant
from privacy.accounting_terms import round_down
from privacy.errors import InvalidBudgetError
from privacy.events import Composed, Event, SampledGaussian
from privacy.guarantee import Bound, Neighbours, Unit

# Noise multipliers lie on a grid of 0.001, so that a plan can be read and retyped.
_GRID = 1000
_LOWEST = 200  # σ = 0.2: below, ε is in the hundreds and no promise
_HIGHEST = 1_000_000


@lru_cache(maxsize=256)
def solve_noise_multiplier(
    *,
    epsilon: Decimal,
    delta: Decimal,
    sample_rate: Fraction,
    steps: int,
    neighbours: Neighbours = Neighbours.ADD_OR_REMOVE_ONE,
    beside: Event | None = None,
) -> Decimal:
    """Return the smallest noise multiplier on the grid of 0.001 that keeps the promise.

    Guarantees: with the result, ``PldAccountant`` bounds all ``steps`` and ``beside`` together by
    ``epsilon``; with 0.001 less it does not (unless the result is 0.2, the least that is ever
    returned).

    Args:
        epsilon: The promise for everything together, > 0.
        delta: Its δ, in (0, 1).
        sample_rate: Chance that one unit is in one step, in (0, 1].
        steps: All steps of the plan, slack included, >= 1.
        neighbours: The relation of the promise.
        beside: What else the promise covers, its noise given.

    Raises:
        InvalidBudgetError: If the promise is none, takes a noise multiplier above 1,000, or
            ``beside`` alone breaks it.
        UnsupportedEventError: If ``sample_rate`` or ``steps`` is out of range.
    """
    # The unit does not matter here; the bound checks that (ε, δ) is a promise.
    _ = Bound(Unit.RECORD, neighbours, epsilon, delta)
    target, tail = round_down(Fraction(epsilon)), round_down(Fraction(delta))
    rest = () if beside is None else (beside,)
    _check_rest(rest, target=target, delta=tail, neighbours=neighbours)

    def cost(point: int, interval: float = INTERVAL) -> float:
        event = SampledGaussian(Decimal(point) / _GRID, sample_rate, steps)
        accountant = PldAccountant(neighbours, interval=interval)
        return accountant.epsilon(Composed((event, *rest)), tail)

    def rough_cost(point: int) -> float:
        return cost(point, 10 * INTERVAL)

    width = math.sqrt(2 * math.log(1.25 / tail))  # Dwork and Roth 2014, theorem 3.22
    rough = float(sample_rate) * math.sqrt(steps) * width / target
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


def _check_rest(
    rest: tuple[Event, ...], *, target: float, delta: float, neighbours: Neighbours
) -> None:
    """Refuse what no noise of the training could make up for, before a long search."""
    if not rest:
        return
    alone = PldAccountant(neighbours).epsilon(Composed(rest), delta)
    if alone >= target:
        raise InvalidBudgetError(
            f"what is released beside the training costs ε = {alone:.3f} of {target:g} by itself; "
            "give it more noise, release it less often, or promise a larger ε"
        )


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
