"""What a plan is charged, and the ledger entry that charges it.

A steward's account limits ε and δ in one or more units and relations; a plan is charged in each
of them. A record-level plan says nothing about persons, so it cannot be approved where persons
are limited; a person-level plan covers each record, since a record belongs to one person.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

from privacy.accountant import INTERVAL, PldAccountant, RdpAccountant, round_down
from privacy.errors import PlanRefusedError, UnsupportedEventError
from privacy.events import Composed, Event
from privacy.guarantee import Bound, Guarantee, Neighbours, Unit, round_up
from privacy.ledger_entries import Approval
from privacy.lineage import admit
from privacy.plan import Plan

AGREEMENT = 0.01
_RENYI_SLACK = 1e-6


def charge(plan: Plan, region: str) -> Guarantee:
    """Return what the plan costs one region, in the plan's own unit and relation.

    Raises:
        PlanRefusedError: If the region is not in the plan, or the plan costs more than it
            promises.
        UnsupportedEventError: If the accountants do not agree about it.
    """
    cost = _bound(plan, region, unit=plan.unit, neighbours=plan.neighbours).guarantee
    if not plan.promise.guarantee.covers(cost):
        raise PlanRefusedError(
            f"the plan promises {plan.promise}, and costs ε = {cost.epsilon}, δ = {cost.delta} in "
            f"{region}; raise the promise or the noise multiplier"
        )
    return cost


def approve(
    plan: Plan, *, region: str, lineage: str, limits: Sequence[Bound], approved_by: str
) -> Approval:
    """Return the entry that admits ``plan`` against an account with these ``limits``.

    Guarantees: every limit is charged with a bound on all that the plan may ever release.

    Raises:
        LineageRefusedError: If the teacher may depend on the region's records.
        PlanRefusedError: If the region is not in the plan, nobody approves, the account has no
            limit in the plan's unit and relation, or a limit cannot be charged.
        UnsupportedEventError: If the accountants do not agree about it.
    """
    admit(plan.teacher)
    charge(plan, region)
    if not approved_by.strip():
        raise PlanRefusedError("expected the name of who approves the plan, got an empty one")
    if plan.promise.relation not in {limit.relation for limit in limits}:
        raise PlanRefusedError(
            f"the plan promises {plan.unit}, {plan.neighbours}, in which the account {lineage!r} "
            "has no limit; open an account with one"
        )
    return Approval(
        plan=plan.hash,
        lineage=lineage,
        components={part.name: part.event for part in plan.region(region).components},
        charges=tuple(
            _bound(plan, region, unit=limit.unit, neighbours=limit.neighbours) for limit in limits
        ),
        approved_by=approved_by,
    )


def _bound(plan: Plan, region: str, *, unit: Unit, neighbours: Neighbours) -> Bound:
    """Return the plan's cost in one unit and relation, the teacher's included."""
    if unit is Unit.PERSON and plan.unit is Unit.RECORD:
        raise PlanRefusedError(
            "the account limits what one person may lose, and a plan whose unit is the record "
            "says nothing about persons; make the plan with unit = person"
        )
    event = Composed(tuple(part.event for part in plan.region(region).components))
    cost = Guarantee(charged_epsilon(event, delta=plan.delta, neighbours=neighbours), plan.delta)
    if plan.teacher.surcharge:
        cost = cost + _surcharge(plan, unit=unit, neighbours=neighbours)
    return Bound(unit, neighbours, cost.epsilon, cost.delta)


def _surcharge(plan: Plan, *, unit: Unit, neighbours: Neighbours) -> Guarantee:
    """Return what the teacher's training has cost the same people, if it has cost them."""
    for bound in plan.teacher.surcharge:
        if bound.relation == (unit, neighbours):
            return bound.guarantee
    raise PlanRefusedError(
        f"the teacher declares no guarantee for {unit}, {neighbours}, in which this plan is "
        "charged; declare it, or have somebody attest that the teacher's people are others"
    )


def charged_epsilon(event: Event, *, delta: Decimal, neighbours: Neighbours) -> Decimal:
    """Return the ε that ``event`` is charged, rounded up to 0.001.

    No single computation is trusted. For add-or-remove-one the PLD must not exceed the Rényi
    bound; where its grid is too coarse for that, a finer one is used and the smaller bound
    charged, which is valid because both are. For replace-one, which the Rényi accountant does
    not cover, two grids must agree within 0.01.

    Raises:
        UnsupportedEventError: If the computations do not agree, or no finite ε exists.
        InvalidBudgetError: If ``delta`` is not in (0, 1).
    """
    tail = round_down(Fraction(delta))
    if neighbours is Neighbours.ADD_OR_REMOVE_ONE:
        bound = _below_renyi(event, tail)
    else:
        bound = _agreed(event, neighbours, tail)
    if not math.isfinite(bound):
        raise UnsupportedEventError(
            f"no finite ε at δ = {delta} for this event; use more noise or fewer steps"
        )
    return round_up(bound)


def _below_renyi(event: Event, delta: float) -> float:
    bound = PldAccountant().epsilon(event, delta)
    check = RdpAccountant().epsilon(event, delta)
    if bound > check + _RENYI_SLACK:
        bound = min(check, PldAccountant(interval=INTERVAL / 4).epsilon(event, delta))
    return bound


def _agreed(event: Event, neighbours: Neighbours, delta: float) -> float:
    coarse = PldAccountant(neighbours).epsilon(event, delta)
    for halvings in (1, 2):
        fine = PldAccountant(neighbours, interval=INTERVAL / 2**halvings).epsilon(event, delta)
        if abs(coarse - fine) <= AGREEMENT:
            return fine
        coarse = fine
    raise UnsupportedEventError(
        f"expected ε on two grids to agree within {AGREEMENT}, it does not ({neighbours}); "
        "use fewer steps, or limit the account in another relation"
    )
