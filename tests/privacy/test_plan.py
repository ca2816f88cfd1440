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
from privacy.guarantee import Neighbours, Unit
from privacy.lineage import Declaration, TeacherLineage
from privacy.plan import (
    Artifacts,
    Component,
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
        {"format": "stillroom-plan/2"},
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
