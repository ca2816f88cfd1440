"""What a plan is charged, and the ledger entry that charges it.

A steward's account limits ε and δ in one or more units and relations; a plan is charged in each
of them. A person-level plan covers each record, since a record belongs to one person. A
record-level plan says something about persons only where it declares how many records one person
has at most; without that it cannot be approved where persons are limited.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from decimal import Decimal

from privacy.accounting_check import CrossCheck, cross_check, price
from privacy.errors import PlanRefusedError
from privacy.events import Composed, Event, for_persons
from privacy.guarantee import NOTHING, Bound, Guarantee, Neighbours, Unit
from privacy.ledger_entries import Approval
from privacy.lineage import admit
from privacy.plan import Plan


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
    event = charged_event(plan, region, unit=unit)
    epsilon = charged_epsilon(event, delta=plan.delta, neighbours=neighbours)
    return _total(plan, region, epsilon, unit=unit, neighbours=neighbours)


def charged_event(plan: Plan, region: str, *, unit: Unit) -> Event:
    """Return all that the plan may ever release about one region, as one unit sees it.

    Raises:
        PlanRefusedError: If the region is not in the plan, or nothing can be said in this unit.
    """
    terms = plan.region(region)
    event = Composed(tuple(part.event for part in terms.components))
    if unit is Unit.RECORD or plan.unit is Unit.PERSON:
        return event
    if terms.max_records_per_person is None:
        raise PlanRefusedError(
            "the account limits what one person may lose, and a plan whose unit is the record "
            "says nothing about persons; make the plan with unit = person, or let it declare the "
            f"most records that one person has in {region}"
        )
    return for_persons(event, records=terms.max_records_per_person)


def admission_check(
    plan: Plan, region: str, *, unit: Unit | None = None, neighbours: Neighbours | None = None
) -> CrossCheck:
    """Return what every accountant says of the plan's steps in one region, for whoever admits it.

    Args:
        plan: The plan.
        region: One of its cohort.
        unit: The privacy unit; the plan's own if left out.
        neighbours: The relation; the plan's own if left out.

    Raises:
        PlanRefusedError: As ``charge``.
        UnsupportedEventError: If the accountants do not agree about it.
    """
    event = charged_event(plan, region, unit=unit or plan.unit)
    return cross_check(event, delta=plan.delta, neighbours=neighbours or plan.neighbours)


def approve(
    plan: Plan,
    *,
    region: str,
    lineage: str,
    limits: Sequence[Bound],
    approved_by: str,
    plans_on_record: Collection[str] = (),
) -> Approval:
    """Return the entry that admits ``plan`` against an account with these ``limits``.

    Guarantees: every limit is charged with a bound on all that the plan may ever release.

    Args:
        plan: The plan.
        region: One of its cohort.
        lineage: The account that pays.
        limits: Its limits.
        approved_by: Who read the plan.
        plans_on_record: Hashes of the plans that the account paid for already.

    Raises:
        LineageRefusedError: If the teacher may depend on the region's records.
        PlanRefusedError: If the region is not in the plan, nobody approves, the account has no
            limit in the plan's unit and relation, or a limit cannot be charged.
        UnsupportedEventError: If the accountants do not agree about it.
    """
    admit(plan.teacher, plans_on_record=plans_on_record)
    if not approved_by.strip():
        raise PlanRefusedError("expected the name of who approves the plan, got an empty one")
    if plan.promise.relation not in {limit.relation for limit in limits}:
        raise PlanRefusedError(
            f"the plan promises {plan.unit}, {plan.neighbours}, in which the account {lineage!r} "
            "has no limit; open an account with one"
        )
    terms = plan.region(region)
    return Approval(
        plan=plan.hash,
        lineage=lineage,
        unit=plan.unit,
        max_records_per_person=terms.max_records_per_person,
        components={part.name: part.event for part in terms.components},
        charges=tuple(
            _charged(plan, region, unit=limit.unit, neighbours=limit.neighbours) for limit in limits
        ),
        approved_by=approved_by,
    )


def _charged(plan: Plan, region: str, *, unit: Unit, neighbours: Neighbours) -> Bound:
    epsilon = admission_check(plan, region, unit=unit, neighbours=neighbours).charged
    cost = _total(plan, region, epsilon, unit=unit, neighbours=neighbours)
    return Bound(unit, neighbours, cost.epsilon, cost.delta)


def _total(
    plan: Plan, region: str, epsilon: Decimal, *, unit: Unit, neighbours: Neighbours
) -> Guarantee:
    """Hold the steps' ε against the promise and add the teacher's part."""
    # A record-level promise is none to persons; each other unit is covered by it.
    promised = neighbours is plan.neighbours and (unit is plan.unit or unit is Unit.RECORD)
    if promised and epsilon > plan.epsilon:
        raise PlanRefusedError(
            f"the plan promises {plan.promise}, and its steps in {region} cost ε = {epsilon}; "
            "raise the promise or the noise multiplier"
        )
    steps = Guarantee(epsilon, plan.delta)
    return steps + _surcharge(plan, unit=unit, neighbours=neighbours)


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

    Needs no Opacus, so that an auditor can ask it too; ``admission_check`` has a third opinion.

    Raises:
        UnsupportedEventError: If the computations do not agree, or no finite ε exists.
        InvalidBudgetError: If ``delta`` is not in (0, 1).
    """
    return price(event, delta=delta, neighbours=neighbours).charged
