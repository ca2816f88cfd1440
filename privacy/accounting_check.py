"""No single computation is trusted: what an event is charged, and what the accountants said.

The price is the official PLD, held against a second computation. For add-or-remove-one that is
the Rényi bound, which the PLD must not exceed; where its grid is too coarse for that, a finer one
is used and the smaller bound charged, which is valid because both are. Where the Rényi
accountant says nothing (replacing a unit, units of several records), two grids must agree.

Whoever admits a plan asks for a third opinion, Opacus' PRV accountant, within 0.01 of the PLD.
It can refuse an event and never changes its price: an auditor without Opacus finds the same one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction

from privacy.accountant import INTERVAL, PldAccountant, RdpAccountant
from privacy.accounting_prv import PrvAccountant, PrvUnavailableError
from privacy.accounting_terms import mechanisms, round_down
from privacy.errors import UnsupportedEventError
from privacy.events import Event, MixtureOfGaussians
from privacy.guarantee import GRID, Neighbours, round_up

AGREEMENT = 0.01
_RENYI_SLACK = 1e-6
_HALVINGS = (1, 2)  # of the grid of losses, where two grids must agree


@dataclass(frozen=True, slots=True)
class CrossCheck:
    """What the accountants said of one event, at one δ and in one relation.

    Attributes:
        charged: The ε that is charged: rounded up to 0.001, and at least that.
        pld: The official PLD, on the grid of 1e-4.
        refined: The PLD on a finer grid, where it was needed.
        renyi: The Rényi bound, where there is one.
        prv: Opacus' PRV, where it was asked for and had an answer.
        notes: Why an opinion is missing, for the report.
    """

    charged: Decimal
    pld: float
    refined: float | None = None
    renyi: float | None = None
    prv: float | None = None
    notes: tuple[str, ...] = ()


def price(event: Event, *, delta: Decimal, neighbours: Neighbours) -> CrossCheck:
    """Return what ``event`` is charged, by the official accountant and its check.

    Raises:
        UnsupportedEventError: If the computations do not agree, or no finite ε exists.
        InvalidBudgetError: If ``delta`` is not in (0, 1).
    """
    tail = round_down(Fraction(delta))
    if _has_renyi(event, neighbours):
        return _below_renyi(event, tail)
    return _agreed(event, neighbours, tail)


def cross_check(event: Event, *, delta: Decimal, neighbours: Neighbours) -> CrossCheck:
    """Return what ``event`` is charged, by all accountants that know it.

    Raises:
        UnsupportedEventError: If the computations do not agree, or no finite ε exists.
        InvalidBudgetError: If ``delta`` is not in (0, 1).
    """
    found = price(event, delta=delta, neighbours=neighbours)
    if not _has_renyi(event, neighbours):
        note = f"no third opinion: the PRV accountant knows no such loss ({neighbours})"
        return replace(found, notes=(note,))
    tail = round_down(Fraction(delta))
    try:
        opinion = PrvAccountant().epsilon(event, tail)
    except PrvUnavailableError as error:
        return replace(found, notes=(f"no third opinion: {error}",))
    if abs(opinion - (found.pld if found.refined is None else found.refined)) > AGREEMENT:
        # A coarse grid adds up over many steps; a finer one tells that from a disagreement.
        finer = PldAccountant(interval=INTERVAL / 4).epsilon(event, tail)
        if abs(opinion - finer) > AGREEMENT:
            raise UnsupportedEventError(
                f"expected the PLD and PRV accountants to agree within {AGREEMENT}, got "
                f"ε = {finer:.4f} and {opinion:.4f}; use fewer steps or more noise"
            )
        found = replace(found, refined=finer)
    return replace(found, prv=opinion)


def _has_renyi(event: Event, neighbours: Neighbours) -> bool:
    several = any(isinstance(part, MixtureOfGaussians) for part in mechanisms(event))
    return neighbours is Neighbours.ADD_OR_REMOVE_ONE and not several


def _below_renyi(event: Event, delta: float) -> CrossCheck:
    bound = PldAccountant().epsilon(event, delta)
    check = RdpAccountant().epsilon(event, delta)
    if bound <= check + _RENYI_SLACK:
        return CrossCheck(_rounded(bound, delta), pld=bound, renyi=check)
    finer = PldAccountant(interval=INTERVAL / 4).epsilon(event, delta)
    return CrossCheck(_rounded(min(check, finer), delta), pld=bound, refined=finer, renyi=check)


def _agreed(event: Event, neighbours: Neighbours, delta: float) -> CrossCheck:
    official = coarse = PldAccountant(neighbours).epsilon(event, delta)
    _ = _rounded(official, delta)  # refuses what is infinite before a second computation
    for halvings in _HALVINGS:
        fine = PldAccountant(neighbours, interval=INTERVAL / 2**halvings).epsilon(event, delta)
        if abs(coarse - fine) <= AGREEMENT:
            return CrossCheck(_rounded(fine, delta), pld=official, refined=fine)
        coarse = fine
    raise UnsupportedEventError(
        f"expected ε on two grids to agree within {AGREEMENT}, it does not ({neighbours}); "
        "use fewer steps, or limit the account in another relation"
    )


def _rounded(bound: float, delta: float) -> Decimal:
    if not math.isfinite(bound):
        raise UnsupportedEventError(
            f"no finite ε at δ = {delta} for this event; use more noise or fewer steps"
        )
    return max(round_up(bound), GRID)  # no release is free, whatever its bound at this δ
