"""Where a value goes on paper: round ticks, a linear scale, and labels that do not overlap."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Scale:
    """A linear map of values to places.

    Attributes:
        low: The value at ``start``.
        high: The value at ``end``; above ``low``.
        start: Where ``low`` goes, in the units of the drawing.
        end: Where ``high`` goes; below ``start`` for an axis that points up.
    """

    low: float
    high: float
    start: float
    end: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise ValueError(f"expected a finite range of values, got {self.low} to {self.high}")

    def __call__(self, value: float) -> float:
        """Return the place of ``value``; a value out of range goes to the nearer end."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)


def nice_ticks(low: float, high: float, *, most: int = 6) -> tuple[float, ...]:
    """Return at least two and at most ``most`` round, equally spaced values around [low, high].

    The first is at most ``low``, the last at least ``high``; steps are 1, 2 or 5 times a power
    of ten.

    Raises:
        ValueError: If a limit is not finite, ``low`` exceeds ``high``, or ``most`` is below 4.
    """
    if not (math.isfinite(low) and math.isfinite(high) and low <= high and most >= 4):
        raise ValueError(f"expected finite limits in order and 4 ticks, got {low}, {high}, {most}")
    width = high - low
    if width <= 1e-6 * max(abs(low), abs(high), 1.0):  # no spread to show: one value, in its size
        width = max(abs(high), 1.0)
    power = math.floor(math.log10(width / most))
    for exponent in (power, power + 1, power + 2):
        for factor in (1, 2, 5):
            ticks = _multiples(low, high, Decimal(factor).scaleb(exponent))
            if len(ticks) <= most:
                return ticks
    raise ValueError(f"no round ticks for {low} to {high}")


def tick_texts(ticks: Sequence[float]) -> list[str]:
    """Return the ticks as text, all with as many decimals as the one that needs most."""
    plain = [f"{Decimal(f'{tick:.6g}'):f}" for tick in ticks]
    places = max(len(text.partition(".")[2]) for text in plain)
    return [f"{Decimal(text):.{places}f}" for text in plain]


def _multiples(low: float, high: float, step: Decimal) -> tuple[float, ...]:
    """Return the multiples of ``step`` from just below ``low`` to just above ``high``."""
    # A few units in the last place must not cost a tick: 0.6000000000000001 is 0.6 here.
    first = math.floor(low / float(step) + 1e-9)
    last = max(math.ceil(high / float(step) - 1e-9), first + 1)
    return tuple(float(step * i) for i in range(first, last + 1))


def spread(places: Sequence[float], *, gap: float, low: float, high: float) -> list[float]:
    """Return ``places`` moved as little as is simple, so that each two are ``gap`` apart.

    Args:
        places: Where labels would like to be, in any order.
        gap: The least distance of two; shrinks if they do not fit.
        low: The least place.
        high: The largest place.
    """
    if len(places) > 1:
        gap = min(gap, (high - low) / (len(places) - 1))
    order = sorted(range(len(places)), key=places.__getitem__)
    moved = list(places)
    floor = low
    for i in order:
        moved[i] = max(places[i], floor)
        floor = moved[i] + gap
    ceiling = high
    for i in reversed(order):
        moved[i] = min(moved[i], ceiling)
        ceiling = moved[i] - gap
    return moved
