"""What a lineage's charges mean for one unit: the curve of (ε, δ), and an attacker's odds.

The claim is the charged (ε, δ). The curve comes from the same plans: each plan's whole event is
accounted for at δ / n, and the n ε's add up, so no plan needs to be known before another began
(basic composition). Figures are rounded towards the attacker.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from enum import StrEnum
from fractions import Fraction

from privacy.accountant import PldAccountant
from privacy.accounting_check import CrossCheck, price
from privacy.accounting_terms import round_down
from privacy.events import Event
from privacy.guarantee import NOTHING, Bound, Guarantee, Neighbours, Unit, round_up
from privacy.report.tradeoff import (
    Curve,
    dominating_mu,
    most_right_guesses,
    most_true_positives,
)

DELTAS = tuple(Decimal(1).scaleb(-power) for power in range(3, 9))
FALSE_POSITIVES = (Decimal("0.001"), Decimal("0.01"), Decimal("0.1"))
# Of δ, from 1 down to 1e-8. Close together where δ is large: the Gaussian that dominates the
# curve rests on each step's height, and costs most there.
_POINTS_A_DECADE = (24, 12, 8, 8, 6, 6, 6, 6)
_FOUR = Decimal("0.0001")


class Basis(StrEnum):
    """Where an (ε, δ) comes from."""

    CHARGED = "charged"
    COMPUTED = "computed"


@dataclass(frozen=True, slots=True)
class Odds:
    """The most true positives of any attack, at one rate of false positives."""

    false_positives: Decimal
    true_positives: Decimal


@dataclass(frozen=True, slots=True)
class Opinion:
    """What one accountant says the reported plan costs, at the plan's δ."""

    accountant: str
    epsilon: Decimal


@dataclass(frozen=True, slots=True)
class Point:
    """One point of the curve: all charges together are (ε, δ)-DP."""

    delta: Decimal
    epsilon: Decimal


@dataclass(frozen=True, slots=True)
class Protection:
    """What all charges of a lineage mean in one unit and relation.

    Attributes:
        bound: The (ε, δ) with its unit and relation.
        basis: Whether the ledger charged it, or it follows from the same plans.
        opinions: What each accountant says of the reported plan alone.
        profile: ε at other values of δ; empty where a charge has no curve.
        mu: The Gaussian mechanism that dominates the profile down to δ = 1e-8.
        odds: What an attacker can reach.
        right_guesses: The largest share of right guesses where both answers are equally likely.
        tier: What the literature calls such an ε.
        note: What else must be known about these figures; may be empty.
    """

    bound: Bound
    basis: Basis
    opinions: tuple[Opinion, ...]
    profile: tuple[Point, ...]
    mu: Decimal | None
    odds: tuple[Odds, ...]
    right_guesses: Decimal
    tier: str
    note: str


def protection_of(
    bound: Bound, basis: Basis, events: Sequence[Event], *, note: str = ""
) -> Protection:
    """Return what the charges mean.

    Args:
        bound: The claim in this unit and relation.
        basis: Where it comes from.
        events: Each charged plan's event as one unit sees it, the reported plan's first; empty
            where they do not tell all that was charged.
        note: What else must be known.
    """
    relation = bound.neighbours
    known = ((float(bound.epsilon), float(bound.delta)),)
    curve = _curve(events, relation) if events else known
    return Protection(
        bound=bound,
        basis=basis,
        opinions=_opinions(events[0], bound) if events else (),
        profile=tuple(Point(delta, _epsilon(events, relation, delta)) for delta in DELTAS)
        if events
        else (),
        mu=_up(dominating_mu(curve)) if events else None,
        odds=tuple(
            Odds(rate, _share(most_true_positives((*curve, *known), float(rate))))
            for rate in FALSE_POSITIVES
        ),
        right_guesses=_share(most_right_guesses((*curve, *known))),
        tier=tier_of(bound),
        note=note,
    )


def computed(
    plans: Sequence[tuple[Event, Decimal]], *, unit: Unit, neighbours: Neighbours
) -> Bound:
    """Return what the plans cost in a relation that the account does not limit.

    Args:
        plans: Each plan's event as one unit sees it, and the δ that it was charged at.
        unit: The unit.
        neighbours: The relation.

    Raises:
        UnsupportedEventError: If the accountants do not agree about it.
    """
    total = NOTHING
    for event, delta in plans:
        charged = price(event, delta=delta, neighbours=neighbours).charged
        total += Guarantee(charged, delta)
    return Bound(unit, neighbours, total.epsilon, total.delta)


def tier_of(bound: Bound) -> str:
    """Return the tier of Ponomareva et al. 2023 (arXiv 2303.00654), which speak of ε alone."""
    if bound.epsilon <= 1:
        return "tier 1 of 3 (ε at most 1)"
    if bound.epsilon <= 10:
        return "tier 2 of 3 (ε at most 10)"
    return "tier 3 of 3 (ε above 10: little or no protection by itself)"


def _curve(events: Sequence[Event], neighbours: Neighbours) -> Curve:
    """Return points from ε = 0 to the ε at δ = 1e-8, close together."""
    accountant = PldAccountant(neighbours)
    points = [(0.0, min(1.0, sum(accountant.delta(event, 0.0) for event in events)))]
    for delta in _deltas():
        share = delta / len(events)
        epsilon = sum(accountant.epsilon(event, share) for event in events)
        if math.isfinite(epsilon) and epsilon > points[-1][0]:
            points.append((epsilon, delta))
    return points


def _deltas() -> tuple[float, ...]:
    return tuple(
        10.0 ** -(decade + step / points)
        for decade, points in enumerate(_POINTS_A_DECADE)
        for step in range(1, points + 1)
    )


def _epsilon(events: Sequence[Event], neighbours: Neighbours, delta: Decimal) -> Decimal:
    share = round_down(Fraction(delta) / len(events))
    return sum(
        (round_up(PldAccountant(neighbours).epsilon(event, share)) for event in events), Decimal(0)
    )


def _opinions(event: Event, bound: Bound) -> tuple[Opinion, ...]:
    found: CrossCheck = price(event, delta=bound.delta, neighbours=bound.neighbours)
    said = (("PLD", found.pld), ("PLD, finer grid", found.refined), ("Rényi", found.renyi))
    return tuple(Opinion(name, round_up(value)) for name, value in said if value is not None)


def _share(value: float) -> Decimal:
    return min(Decimal(1), _up(value))


def _up(value: float) -> Decimal:
    return Decimal(value).quantize(_FOUR, rounding=ROUND_CEILING).normalize() + 0
