"""From exact terms to the floats that accountants take, always rounded to the costly side.

Knows events, not accountants: every accountant reads its numbers here, so that all of them price
the same thing.
"""

from __future__ import annotations

import math
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import TypeAlias

from privacy.errors import InvalidBudgetError
from privacy.events import Composed, Event, Gaussian, Mechanism, MixtureOfGaussians

_Key: TypeAlias = tuple[str, Decimal, Fraction, int]


def mechanisms(event: Event) -> tuple[Mechanism, ...]:
    """Return the event's mechanisms, each once with all its steps, in one order.

    Composition is commutative, so whoever lists the parts otherwise gets the same tuple, the
    same bound to the last digit, and the same place in a cache.
    """
    found: dict[_Key, Mechanism] = {}
    for leaf in _leaves(event):
        key = _key(leaf)
        steps = leaf.steps + (found[key].steps if key in found else 0)
        found[key] = replace(leaf, steps=steps)
    return tuple(found[key] for key in sorted(found))


def noise(mechanism: Mechanism) -> float:
    """Return σ as a float, rounded down: never less cost than the exact value has."""
    return round_down(Fraction(mechanism.noise_multiplier))


def rate(mechanism: Mechanism) -> float:
    """Return q as a float, rounded up."""
    exact = _exact_rate(mechanism)
    value = float(exact)
    return value if Fraction(value) >= exact else math.nextafter(value, 1.0)


def records(mechanism: Mechanism) -> int:
    """Return how many records one unit may have in the mechanism."""
    return mechanism.records_per_unit if isinstance(mechanism, MixtureOfGaussians) else 1


def round_down(exact: Fraction) -> float:
    """Return the largest float that is at most ``exact``."""
    value = float(exact)
    return value if Fraction(value) <= exact else math.nextafter(value, 0.0)


def check_delta(delta: float) -> None:
    """Refuse a δ for which no ε is asked.

    Raises:
        InvalidBudgetError: If ``delta`` is not in (0, 1).
    """
    if not 0 < delta < 1:
        raise InvalidBudgetError(f"expected a δ in (0, 1), got {delta}")


def check_epsilon(epsilon: float) -> None:
    """Refuse an ε for which no δ is asked.

    Raises:
        InvalidBudgetError: If ``epsilon`` is negative or not finite.
    """
    if not (math.isfinite(epsilon) and epsilon >= 0):
        raise InvalidBudgetError(f"expected a finite ε >= 0, got {epsilon}")


def _leaves(event: Event) -> tuple[Mechanism, ...]:
    if isinstance(event, Composed):
        return tuple(leaf for part in event.events for leaf in _leaves(part))
    return (event,)


def _key(mechanism: Mechanism) -> _Key:
    return (
        type(mechanism).__name__,
        mechanism.noise_multiplier,
        _exact_rate(mechanism),
        records(mechanism),
    )


def _exact_rate(mechanism: Mechanism) -> Fraction:
    return Fraction(1) if isinstance(mechanism, Gaussian) else mechanism.sample_rate
