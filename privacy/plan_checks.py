"""Whether the parts of a plan fit together; each part is checked by itself in ``plan_terms``."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from privacy.errors import InvalidBudgetError, PlanRefusedError
from privacy.guarantee import GRID, Neighbours, Unit
from privacy.plan_builder import TRAIN, slack_rounds
from privacy.plan_components import ComponentKind
from privacy.plan_terms import RegionTerms

if TYPE_CHECKING:
    from privacy.plan import Plan


def check_regions(plan: Plan) -> None:
    """Refuse a cohort, weights or a sum that contradict each other.

    Raises:
        PlanRefusedError: With what was expected.
    """
    names = plan.cohort
    if not names or list(names) != sorted(set(names)):
        raise PlanRefusedError(
            f"expected regions with different names in ascending order, got {', '.join(names)}"
        )
    if sum(region.weight for region in plan.regions) != 1:
        raise PlanRefusedError("expected weights of the regions that add up to exactly 1")
    terms = plan.sum
    lone = len(names) + terms.assumed_colluders
    if not (2 * terms.threshold > lone and terms.threshold <= terms.min_survivors):
        raise PlanRefusedError(
            f"expected a threshold above half of {len(names)} regions and "
            f"{terms.assumed_colluders} colluders, and at most the smallest number of survivors, "
            f"got {terms.threshold} and {terms.min_survivors}: assume fewer colluders, or let a "
            f"sum hold at least {terms.threshold} regions"
        )
    if terms.min_survivors > len(names):
        raise PlanRefusedError(
            f"expected at most {len(names)} survivors, got a minimum of {terms.min_survivors}: "
            "lower it, or add regions"
        )


def check_promise(plan: Plan) -> None:
    """Refuse an (ε, δ) that is no promise.

    Raises:
        InvalidBudgetError: With what was expected.
    """
    _ = plan.promise  # refuses zero, negative, infinite and NaN
    if Fraction(plan.epsilon) % Fraction(GRID):
        raise InvalidBudgetError(
            f"expected ε in steps of {GRID}, in which it is charged, got {plan.epsilon}; round it"
        )
    for region in plan.regions:
        if Fraction(plan.delta) * region.public_size > 1:
            raise InvalidBudgetError(
                f"expected δ of at most 1/{region.public_size}, one over the public size of "
                f"{region.name}, got {plan.delta}: a larger one allows to publish a whole record"
            )


def check_schedule(plan: Plan) -> None:
    """Refuse rounds and training steps that do not fit.

    Raises:
        PlanRefusedError: With what was expected.
    """
    if not plan.study or plan.rounds < 1 or plan.local_steps < 1:
        raise PlanRefusedError("expected a named study with at least one round of one step")
    if plan.slack_rounds < slack_rounds(plan.rounds):
        raise PlanRefusedError(
            f"expected at least {slack_rounds(plan.rounds)} rounds of slack for {plan.rounds} "
            f"rounds, got {plan.slack_rounds}: without it one crash would end the study early"
        )
    needed = (plan.rounds + plan.slack_rounds) * plan.local_steps
    for region in plan.regions:
        if region.component(TRAIN).kind is not ComponentKind.TRAIN:
            raise PlanRefusedError(f"{region.name}: expected the component {TRAIN!r} to train")
        for part in region.components:
            if part.kind is ComponentKind.TRAIN and part.max_steps != needed:
                raise PlanRefusedError(
                    f"{region.name}: expected {needed} steps of {part.name} for {plan.rounds} "
                    f"rounds and {plan.slack_rounds} of slack, got {part.max_steps}"
                )


def check_audit(plan: Plan) -> None:
    """Refuse an audit of what no canary stands for.

    Raises:
        PlanRefusedError: With what was expected.
    """
    if plan.audit is None:
        return
    if plan.unit is not Unit.RECORD or plan.neighbours is not Neighbours.ADD_OR_REMOVE_ONE:
        raise PlanRefusedError(
            "expected an audit of records that are added or removed, since a canary is one record; "
            f"this plan protects {plan.unit}, {plan.neighbours}: declare no audit"
        )
    for region in plan.regions:
        if 2 * plan.audit.canaries > region.public_size:
            raise PlanRefusedError(
                f"expected at most half as many canaries as the public size {region.public_size} "
                f"of {region.name}, got {plan.audit.canaries}: they would be most of the training"
            )


def check_components(plan: Plan) -> None:
    """Refuse regions that release different things, and caps that say the same twice.

    Raises:
        PlanRefusedError: With what was expected.
    """
    first = _released(plan.regions[0])
    for region in plan.regions:
        if _released(region) != first:
            raise PlanRefusedError(
                f"expected every region to release {', '.join(name for name, _ in first)}, as "
                f"{plan.regions[0].name} does; {region.name} releases something else"
            )
        if plan.unit is Unit.PERSON and region.max_records_per_person is not None:
            raise PlanRefusedError(
                f"{region.name}: where the unit is the person, the cap on a person's records is "
                "max_records_per_unit; leave max_records_per_person out"
            )


def _released(region: RegionTerms) -> list[tuple[str, ComponentKind]]:
    return [(part.name, part.kind) for part in region.components]
