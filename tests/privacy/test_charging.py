from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import pytest

from privacy.accountant import PldAccountant
from privacy.accounting_prv import PrvAccountant
from privacy.charging import admission_check, approve, charge, charged_epsilon
from privacy.errors import LineageRefusedError, PlanRefusedError, UnsupportedEventError
from privacy.events import Composed, Event, Gaussian, MixtureOfGaussians, SampledGaussian
from privacy.guarantee import Bound, Neighbours, Unit
from privacy.ledger_entries import Approval
from privacy.lineage import Declaration, TeacherLineage
from privacy.plan import Component, ComponentKind, Plan
from tests.privacy.builders import small_plan

ADD, SWAP = Neighbours.ADD_OR_REMOVE_ONE, Neighbours.REPLACE_ONE
DELTA = Decimal("0.00001")


def limit(unit: Unit = Unit.RECORD, neighbours: Neighbours = ADD) -> Bound:
    return Bound(unit, neighbours, Decimal(50), Decimal("0.01"))


def approved(plan: Plan, *limits: Bound) -> Approval:
    return approve(plan, region="north", lineage="patients", limits=limits, approved_by="me")


def test_the_charge_is_the_bound_on_all_steps_rounded_up() -> None:
    """Rounds and slack together, on the grid of 0.001, at the plan's δ."""
    plan = small_plan()
    event = SampledGaussian(Decimal(8), Fraction(1, 10), 10)
    cost = charge(plan, "north")
    exact = PldAccountant().epsilon(event, 1e-5)
    assert 0 <= float(cost.epsilon) - exact <= 0.001
    assert cost.delta == plan.delta


def test_a_plan_that_costs_more_than_it_promises_is_refused() -> None:
    """A hand-written noise multiplier does not get past the accountant."""
    with pytest.raises(PlanRefusedError, match="promises"):
        charge(small_plan(noise_multiplier="0.9"), "north")


@pytest.mark.slow
def test_each_limit_is_charged_in_its_own_relation() -> None:
    """A record-level plan is charged for adding or removing and for replacing."""
    entry = approved(small_plan(), limit(), limit(neighbours=SWAP))
    assert [bound.relation for bound in entry.charges] == [
        (Unit.RECORD, ADD),
        (Unit.RECORD, SWAP),
    ]
    assert entry.charges[0].epsilon < entry.charges[1].epsilon


def test_a_person_level_plan_covers_the_records() -> None:
    """A record belongs to one person, so the person's bound is charged for both."""
    entry = approved(small_plan(unit=Unit.PERSON), limit(Unit.PERSON), limit())
    assert entry.charges[0].guarantee == entry.charges[1].guarantee


def test_a_record_level_plan_does_not_cover_persons() -> None:
    """Where persons are limited, a limit that cannot be charged is not ignored."""
    with pytest.raises(PlanRefusedError, match="persons"):
        approved(small_plan(), limit(), limit(Unit.PERSON))


def with_cap(plan: Plan, cap: int) -> Plan:
    """The plan with a declared cap on the records of one person."""
    regions = tuple(replace(region, max_records_per_person=cap) for region in plan.regions)
    return replace(plan, regions=regions)


@pytest.mark.slow
def test_a_declared_cap_covers_persons() -> None:
    """A record-level plan is then charged to persons as a mixture of Gaussians."""
    plan = with_cap(small_plan(), 3)
    entry = approved(plan, limit(), limit(Unit.PERSON), limit(Unit.PERSON, SWAP))
    record, person, replaced = entry.charges
    mixture = MixtureOfGaussians(Decimal(8), Fraction(1, 10), 3, 10)
    assert person.epsilon == charged_epsilon(mixture, delta=DELTA, neighbours=ADD)
    assert record.epsilon < person.epsilon < replaced.epsilon
    assert record == approved(small_plan(), limit()).charges[0]


@pytest.mark.slow
def test_a_person_may_cost_more_than_a_record_was_promised() -> None:
    """The promise of a record-level plan is to records; the person's limit decides."""
    plan = with_cap(small_plan(epsilon="0.4"), 4)
    assert charge(plan, "north").epsilon <= Decimal("0.4")
    assert charge(plan, "north", unit=Unit.PERSON).epsilon > Decimal("0.4")


def test_a_cap_of_one_makes_the_person_a_record() -> None:
    """Declared, not assumed: then both units cost the same."""
    plan = with_cap(small_plan(), 1)
    assert charge(plan, "north", unit=Unit.PERSON) == charge(plan, "north")


def test_all_components_are_charged_together() -> None:
    """A score and a count beside the training cost more than it, and less than the sum."""
    score = Component("score", Decimal(20), Fraction(1), 5, ComponentKind.SCALAR)
    count = Component("count", Decimal(50), Fraction(1), 1, ComponentKind.COUNT)
    regions = tuple(
        replace(region, components=(*region.components, score, count))
        for region in small_plan().regions
    )
    plan = replace(small_plan(), regions=regions)
    entry = approved(plan, limit())
    parts = [charged_epsilon(e, delta=DELTA, neighbours=ADD) for e in entry.components.values()]
    assert list(entry.components) == ["train", "score", "count"]
    assert max(parts) < entry.charges[0].epsilon < sum(parts)
    together = Composed(
        (
            SampledGaussian(Decimal(8), Fraction(1, 10), 10),
            Gaussian(Decimal(20), 5),
            Gaussian(Decimal(50), 1),
        )
    )
    assert entry.charges[0].epsilon == charged_epsilon(together, delta=DELTA, neighbours=ADD)


@pytest.mark.slow
def test_whoever_admits_a_plan_sees_what_the_accountants_said() -> None:
    """Three opinions on the plan's own promise, and the same charge."""
    found = admission_check(small_plan(), "north")
    assert found.renyi is not None
    assert found.prv is not None
    assert found.pld <= found.renyi
    assert abs(found.prv - found.pld) <= 0.01
    assert found.charged == charge(small_plan(), "north").epsilon


def test_an_accountant_that_disagrees_keeps_the_plan_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is charged while one of the computations must be wrong."""

    def astray(accountant: PrvAccountant, event: Event, delta: float) -> float:
        return 7.0

    monkeypatch.setattr(PrvAccountant, "epsilon", astray)
    with pytest.raises(UnsupportedEventError, match="agree"):
        approved(small_plan(), limit())


def test_the_plans_own_relation_must_be_limited() -> None:
    """An account that limits something else does not pay for this promise."""
    with pytest.raises(PlanRefusedError, match="no limit"):
        approved(small_plan(), limit(neighbours=SWAP))


def test_a_region_outside_the_cohort_is_refused() -> None:
    """A plan is approved by those it names."""
    with pytest.raises(PlanRefusedError, match="south"):
        charge(small_plan(), "south")


def test_a_teacher_that_saw_the_records_is_refused() -> None:
    """The lineage is checked before anything is computed."""
    with pytest.raises(LineageRefusedError):
        approved(small_plan(teacher=Declaration(TeacherLineage.REGION_PRIVATE)), limit())


def test_a_teacher_that_may_know_the_same_people_is_charged() -> None:
    """Without attested disjointness the teacher's (ε, δ) is added to the plan's."""
    trained = Bound(Unit.RECORD, ADD, Decimal(1), Decimal("0.000001"))
    overlapping = Declaration(
        TeacherLineage.EXTERNAL_DP, population="somebody", guarantees=(trained,)
    )
    apart = replace(overlapping, disjoint_attested_by="a data protection officer")
    alone = charge(small_plan(teacher=apart), "north")
    both = charge(small_plan(teacher=overlapping), "north")
    assert both == alone + trained.guarantee


def test_a_teacher_that_promises_in_another_relation_is_refused() -> None:
    """What it cost in the charged relation is not known, so it is not guessed."""
    trained = Bound(Unit.RECORD, SWAP, Decimal(1), Decimal("0.000001"))
    teacher = Declaration(TeacherLineage.EXTERNAL_DP, population="somebody", guarantees=(trained,))
    with pytest.raises(PlanRefusedError, match="declares no guarantee"):
        charge(small_plan(teacher=teacher), "north")
