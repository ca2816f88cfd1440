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
from privacy.guarantee import GRID, NOTHING, Bound, Guarantee, Neighbours, Unit, round_up
from privacy.ledger_entries import Approval
from privacy.lineage import admit
from privacy.plan import Plan

AGREEMENT = 0.01
_RENYI_SLACK = 1e-6


def charge(
    plan: Plan,
    region: str,
    *,
    unit: Unit | None = None,
    neighbours: Neighbours | None = None,
) -> Guarantee:
    """Return what the plan costs one region's units: all its steps, and the teacher's training.

    The teacher's part is zero unless it was trained with differential privacy on people who may
    also be in a region (see ``lineage``).

    Args:
        plan: The plan.
        region: One of its cohort.
        unit: The privacy unit; the plan's own if left out.
        neighbours: The relation; the plan's own if left out.

    Raises:
        PlanRefusedError: If the region is not in the plan, the steps cost more than the plan
            promises, or nothing can be said in this unit and relation.
        UnsupportedEventError: If the accountants do not agree about it.
    """
    unit, neighbours = unit or plan.unit, neighbours or plan.neighbours
    if unit is Unit.PERSON and plan.unit is Unit.RECORD:
        raise PlanRefusedError(
            "the account limits what one person may lose, and a plan whose unit is the record "
            "says nothing about persons; make the plan with unit = person"
        )
    event = Composed(tuple(part.event for part in plan.region(region).components))
    epsilon = charged_epsilon(event, delta=plan.delta, neighbours=neighbours)
    if neighbours is plan.neighbours and epsilon > plan.epsilon:
        raise PlanRefusedError(
            f"the plan promises {plan.promise}, and its steps in {region} cost ε = {epsilon}; "
            "raise the promise or the noise multiplier"
        )
    steps = Guarantee(epsilon, plan.delta)
    return steps + _surcharge(plan, unit=unit, neighbours=neighbours)


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
            _charged(plan, region, unit=limit.unit, neighbours=limit.neighbours) for limit in limits
        ),
        approved_by=approved_by,
    )


def _charged(plan: Plan, region: str, *, unit: Unit, neighbours: Neighbours) -> Bound:
    cost = charge(plan, region, unit=unit, neighbours=neighbours)
    return Bound(unit, neighbours, cost.epsilon, cost.delta)


def _surcharge(plan: Plan, *, unit: Unit, neighbours: Neighbours) -> Guarantee:
    """Return what the teacher's training has cost the same people."""
    if not plan.teacher.surcharge:
        return NOTHING
    for bound in plan.teacher.surcharge:
        if bound.relation == (unit, neighbours):
            return bound.guarantee
    raise PlanRefusedError(
        f"the teacher declares no guarantee for {unit}, {neighbours}, in which this plan is "
        "charged; declare it, or have somebody attest that the teacher's people are others"
    )


def charged_epsilon(event: Event, *, delta: Decimal, neighbours: Neighbours) -> Decimal:
    """Return the ε that ``event`` is charged, rounded up to 0.001 and at least that.

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
    return max(round_up(bound), GRID)  # no release is free, whatever its bound at this δ


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
