from __future__ import annotations

import contextlib
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privacy.accountant import PldAccountant
from privacy.canonical import dumps, loads
from privacy.errors import (
    InvalidBudgetError,
    MalformedDocumentError,
    PlanRefusedError,
    PrivacyError,
    UnsupportedEventError,
)
from privacy.events import Gaussian
from privacy.guarantee import Neighbours, Unit
from privacy.lineage import Declaration, TeacherLineage
from privacy.plan import (
    Artifacts,
    Component,
    ComponentKind,
    OptimizerName,
    OptimizerTerms,
    Plan,
    RegionTerms,
    SumTerms,
    slack_rounds,
)
from tests.privacy.builders import DIGEST, small_plan

PLAN = small_plan()


def created(*, epsilon: str = "3", delta: str = "0.00001", rounds: int = 20) -> Plan:
    return Plan.create(
        study="demo",
        unit=Unit.RECORD,
        neighbours=Neighbours.ADD_OR_REMOVE_ONE,
        epsilon=Decimal(epsilon),
        delta=Decimal(delta),
        clip_norm=Decimal(1),
        rounds=rounds,
        local_steps=2,
        sample_rate=Fraction(1, 2),
        public_sizes={"west": 300, "east": 600},
        weights={"west": Fraction(1, 3), "east": Fraction(2, 3)},
        max_records_per_unit={"west": 4},
        sum_terms=SumTerms(threshold=2, min_survivors=2, bits=32, value_range=Decimal("0.5")),
        optimizer=OptimizerTerms(OptimizerName.SGD, Decimal(1), Decimal(0)),
        artifacts=Artifacts(*[DIGEST] * 7),
        teacher=Declaration(TeacherLineage.PUBLIC),
    )


@pytest.fixture(scope="module")
def plan() -> Plan:
    return created()


def test_the_solved_plan_keeps_its_promise_with_slack(plan: Plan) -> None:
    """Twenty rounds of two steps and one round of slack cost at most what was promised."""
    for region in plan.regions:
        (train,) = region.components
        assert train.max_steps == 42
        assert PldAccountant().epsilon(train.event, 1e-5) <= 3


def test_a_created_plan_is_in_order(plan: Plan) -> None:
    """Regions ascend by name and weigh in proportion to their public sizes."""
    assert plan.cohort == ("east", "west")
    assert [region.weight for region in plan.regions] == [Fraction(2, 3), Fraction(1, 3)]
    assert [region.max_records_per_unit for region in plan.regions] == [1, 4]
    assert plan.slack_rounds == 1


@pytest.mark.parametrize("unit", list(Unit))
@pytest.mark.parametrize("rounds", [1, 20, 21, 400])
def test_a_plan_survives_the_round_trip(unit: Unit, rounds: int) -> None:
    """A plan is read as it was written, under the same hash."""
    plan = small_plan(rounds=rounds, unit=unit)
    assert Plan.from_bytes(plan.to_bytes(), expected_hash=plan.hash) == plan


def test_an_edited_plan_is_not_the_approved_one() -> None:
    """One digit more and the hash is another."""
    edited = PLAN.to_bytes().replace(b'"local_steps":2', b'"local_steps":3')
    with pytest.raises(PlanRefusedError, match="edited"):
        Plan.from_bytes(edited, expected_hash=PLAN.hash)


@given(place=st.integers(0, 10**6), byte=st.integers(0, 255))
def test_a_damaged_plan_is_read_or_refused(place: int, byte: int) -> None:
    """A flipped byte gives a PrivacyError or another plan with another hash."""
    data = bytearray(PLAN.to_bytes())
    data[place % len(data)] = byte
    with contextlib.suppress(PrivacyError):
        read = Plan.from_bytes(bytes(data))
        assert (read.hash == PLAN.hash) == (bytes(data) == PLAN.to_bytes())


@given(data=st.binary(max_size=64))
def test_garbage_is_no_plan(data: bytes) -> None:
    """Nothing but a MalformedDocumentError comes of bytes that are no plan."""
    with pytest.raises(MalformedDocumentError):
        Plan.from_bytes(data)


@pytest.mark.parametrize(
    "members",
    [
        {"format": "stillroom-plan/1"},
        {"format": "stillroom-plan/3"},
        {"extra": 1},
        {"rounds": "4"},
        {"artifacts": {}},
        {"clip_norm": "1.0"},
    ],
)
def test_another_form_is_no_plan(members: dict[str, Any]) -> None:
    """A later format, an unknown field or another type is refused."""
    value = loads(PLAN.to_bytes())
    assert isinstance(value, dict)
    with pytest.raises(MalformedDocumentError):
        Plan.from_bytes(dumps({**value, **members}))


@pytest.mark.parametrize(
    ("epsilon", "delta"),
    [
        ("0", "0.00001"),
        ("-1", "0.00001"),
        ("NaN", "0.00001"),
        ("3", "0"),
        ("3", "0.01"),
        ("2.7185", "0.00001"),
    ],
)
def test_a_budget_that_is_no_promise_makes_no_plan(epsilon: str, delta: str) -> None:
    """Zero, negative, NaN, a δ above 1 / public size, and an ε off the grid are refused."""
    with pytest.raises(InvalidBudgetError):
        small_plan(epsilon=epsilon, delta=delta)


def test_delta_may_be_one_over_the_public_size() -> None:
    """The bound itself is allowed: δ = 1/600 is above 0.0016."""
    assert small_plan(delta="0.0016").delta == Decimal("0.0016")
    with pytest.raises(InvalidBudgetError, match="1/600"):
        small_plan(delta="0.0017")


@pytest.mark.parametrize(
    "members",
    [
        {"regions": ()},
        {"regions": PLAN.regions[:2]},
        {"regions": PLAN.regions[::-1]},
        {"regions": (PLAN.regions[0],) * 3},
        {"sum": replace(PLAN.sum, threshold=1)},
        {"sum": replace(PLAN.sum, threshold=3, min_survivors=2)},
        {"sum": replace(PLAN.sum, min_survivors=4)},
        {"clip_norm": Decimal(0)},
        {"clip_norm": Decimal("NaN")},
        {"study": ""},
        {"rounds": 0},
        {"local_steps": 0},
        {"local_steps": 3},
        {"slack_rounds": 0},
        {"slack_rounds": 2},
    ],
)
def test_a_plan_that_contradicts_itself_is_refused(members: dict[str, Any]) -> None:
    """Regions, weights, thresholds, rounds and steps must fit together."""
    with pytest.raises(PlanRefusedError):
        replace(PLAN, **members)


@pytest.mark.parametrize(
    ("value", "members"),
    [
        (PLAN.regions[0], {"name": ""}),
        (PLAN.regions[0], {"public_size": 0}),
        (PLAN.regions[0], {"max_records_per_unit": 0}),
        (PLAN.regions[0], {"weight": Fraction(0)}),
        (PLAN.regions[0], {"components": ()}),
        (PLAN.regions[0], {"components": PLAN.regions[0].components * 2}),
        (PLAN.regions[0], {"max_records_per_person": 0}),
        (PLAN.regions[0].components[0], {"kind": ComponentKind.SCALAR}),
        (PLAN.regions[0].components[0], {"name": ""}),
        (PLAN.sum, {"bits": 24}),
        (PLAN.sum, {"value_range": Decimal(0)}),
        (PLAN.optimizer, {"learning_rate": Decimal(0)}),
        (PLAN.optimizer, {"momentum": Decimal(1)}),
        (PLAN.artifacts, {"teacher": "AB" * 32}),
        (PLAN.artifacts, {"code": ""}),
    ],
)
def test_a_part_that_is_wrong_by_itself_is_refused(value: Any, members: dict[str, Any]) -> None:
    """No part of a plan exists with a value out of range."""
    with pytest.raises(PlanRefusedError):
        replace(value, **members)


def test_a_plan_trains_by_sampled_noise_only() -> None:
    """Another event in a component of a plan is refused."""
    value = loads(PLAN.to_bytes())
    text = dumps(value).replace(
        b'"kind":"sampled-gaussian","noise_multiplier":"8","sample_rate":"1/10","steps":10',
        b'"kind":"gaussian","noise_multiplier":"8","steps":10',
    )
    with pytest.raises(UnsupportedEventError, match="sampled-gaussian"):
        Plan.from_bytes(text)


def test_a_kind_has_its_event() -> None:
    """A score of sampled units, or of a kind that this release does not know, is refused."""
    data = PLAN.to_bytes()
    with pytest.raises(UnsupportedEventError, match="gaussian one for a scalar"):
        Plan.from_bytes(data.replace(b'"kind":"train"', b'"kind":"scalar"'))
    with pytest.raises(MalformedDocumentError, match="kind"):
        Plan.from_bytes(data.replace(b'"kind":"train"', b'"kind":"histogram"'))


def with_component(plan: Plan, *parts: Component, only: str | None = None) -> Plan:
    """The plan with more components, in every region or in one."""
    regions = tuple(
        replace(region, components=(*region.components, *parts))
        if only in (None, region.name)
        else region
        for region in plan.regions
    )
    return replace(plan, regions=regions)


SCORE = Component("score", Decimal(20), Fraction(1), 5, ComponentKind.SCALAR)
COUNT = Component("count", Decimal(50), Fraction(1), 1, ComponentKind.COUNT)


def test_a_plan_holds_every_release() -> None:
    """A sweep of two runs, a score and a count survive the round trip with their kinds."""
    second = replace(PLAN.regions[0].component("train"), name="train-2")
    plan = with_component(PLAN, second, SCORE, COUNT)
    assert Plan.from_bytes(plan.to_bytes(), expected_hash=plan.hash) == plan
    assert [part.kind for part in plan.regions[0].components] == [
        ComponentKind.TRAIN,
        ComponentKind.TRAIN,
        ComponentKind.SCALAR,
        ComponentKind.COUNT,
    ]
    assert SCORE.event == Gaussian(Decimal(20), 5)


def test_components_fit_the_plan() -> None:
    """Runs of another length, other releases in one region, and a plan without training."""
    train = PLAN.regions[0].component("train")
    with pytest.raises(PlanRefusedError, match="train-2"):
        with_component(PLAN, replace(train, name="train-2", max_steps=3))
    with pytest.raises(PlanRefusedError, match="something else"):
        with_component(PLAN, SCORE, only="west")
    untrained = tuple(
        replace(region, components=(replace(SCORE, name="train", max_steps=10),))
        for region in PLAN.regions
    )
    with pytest.raises(PlanRefusedError, match="to train"):
        replace(PLAN, regions=untrained)


def test_a_cap_on_a_persons_records_is_for_plans_of_records() -> None:
    """It survives the round trip; where the unit is the person there is another field for it."""
    regions = tuple(replace(region, max_records_per_person=4) for region in PLAN.regions)
    plan = replace(PLAN, regions=regions)
    assert Plan.from_bytes(plan.to_bytes(), expected_hash=plan.hash) == plan
    assert plan.hash != PLAN.hash
    with pytest.raises(PlanRefusedError, match="max_records_per_unit"):
        replace(plan, unit=Unit.PERSON)


def test_regions_and_components_are_found_by_name() -> None:
    """Whoever asks for what the plan does not have is told what it has."""
    region = PLAN.region("north")
    assert isinstance(region, RegionTerms)
    assert isinstance(region.component("train"), Component)
    with pytest.raises(PlanRefusedError, match="east, north, west"):
        PLAN.region("south")
    with pytest.raises(PlanRefusedError, match="count"):
        region.component("count")


@given(rounds=st.integers(1, 10**6))
def test_slack_is_five_per_cent_and_at_least_one_round(rounds: int) -> None:
    """Never less than a twentieth, and not a round more than that needs."""
    slack = slack_rounds(rounds)
    assert slack >= 1
    assert rounds <= 20 * slack < rounds + 20 or slack == 1
