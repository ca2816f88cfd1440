from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import pytest

from privacy import charging
from privacy.accountant import PldAccountant, RdpAccountant
from privacy.charging import approve, charge, charged_epsilon
from privacy.errors import LineageRefusedError, PlanRefusedError, UnsupportedEventError
from privacy.events import Event, SampledGaussian
from privacy.guarantee import Bound, Neighbours, Unit
from privacy.ledger_entries import Approval
from privacy.lineage import Declaration, TeacherLineage
from privacy.plan import Plan
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


def test_a_grid_too_coarse_for_many_small_steps_is_refined() -> None:
    """20,000 steps of q = .0005, σ = 10: the PLD at 1e-4 exceeds Rényi, so it is not charged."""
    event = SampledGaussian(Decimal(10), Fraction(1, 2000), 20_000)
    renyi = RdpAccountant().epsilon(event, 1e-6)
    assert PldAccountant().epsilon(event, 1e-6) > renyi
    assert charged_epsilon(event, delta=Decimal("1e-6"), neighbours=ADD) <= Decimal("0.027")


def test_where_renyi_says_nothing_two_grids_must_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    """If they never do, nothing is charged and nothing is approved."""
    event = SampledGaussian(Decimal(6), Fraction(1, 10), 10)
    assert charged_epsilon(event, delta=DELTA, neighbours=SWAP) > charged_epsilon(
        event, delta=DELTA, neighbours=ADD
    )
    monkeypatch.setattr(charging, "AGREEMENT", -1.0)
    with pytest.raises(UnsupportedEventError, match="agree"):
        charged_epsilon(event, delta=DELTA, neighbours=SWAP)


def test_an_infinite_bound_is_no_charge(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no finite ε exists the event is refused."""

    def unbounded(event: Event, delta: float) -> float:
        return float("inf")

    monkeypatch.setattr(charging, "_below_renyi", unbounded)
    event = SampledGaussian(Decimal(2), Fraction(1, 10), 10)
    with pytest.raises(UnsupportedEventError, match="no finite"):
        charged_epsilon(event, delta=DELTA, neighbours=ADD)


def test_no_release_is_free() -> None:
    """An event whose ε at this δ is zero is still charged 0.001."""
    event = SampledGaussian(Decimal(1000), Fraction(1, 1000), 1)
    assert charged_epsilon(event, delta=DELTA, neighbours=ADD) == Decimal("0.001")


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
