from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privacy.errors import InvalidBudgetError
from privacy.fields import Fields
from privacy.guarantee import Bound, Guarantee, Neighbours, Unit, describe, round_up

EPSILONS = st.decimals("0.001", 1000, places=3)
DELTAS = st.decimals("0.000000000001", "0.1", places=12)
BOUNDS = st.builds(Bound, st.sampled_from(Unit), st.sampled_from(Neighbours), EPSILONS, DELTAS)


@given(parts=st.lists(st.tuples(EPSILONS, DELTAS), min_size=1, max_size=9))
def test_sums_are_exact(parts: list[tuple[Decimal, Decimal]]) -> None:
    """Adding charges loses nothing, whatever their sizes."""
    total = Guarantee(Decimal(0), Decimal(0))
    for epsilon, delta in parts:
        total = total + Guarantee(epsilon, delta / 100)
    assert Fraction(total.epsilon) == sum(Fraction(epsilon) for epsilon, _ in parts)
    assert Fraction(total.delta) == sum(Fraction(delta) / 100 for _, delta in parts)


@given(bound=BOUNDS)
def test_a_bound_survives_the_round_trip(bound: Bound) -> None:
    """Bounds are read as they were written."""
    assert Bound.from_fields(Fields(bound.to_json(), where="bound")) == bound


@given(epsilon=st.floats(0, 1e6))
def test_rounding_never_lowers_epsilon(epsilon: float) -> None:
    """What is charged and shown is at least the bound, and at most 0.001 more."""
    shown = round_up(epsilon)
    assert Fraction(epsilon) <= Fraction(shown) < Fraction(epsilon) + Fraction(1, 1000)


@pytest.mark.parametrize("epsilon", [-1.0, float("inf"), float("nan")])
def test_what_is_no_epsilon_is_not_rounded(epsilon: float) -> None:
    """Negative, infinite and NaN are refused."""
    with pytest.raises(InvalidBudgetError):
        round_up(epsilon)


@pytest.mark.parametrize(
    ("epsilon", "delta"),
    [
        ("0", "0.1"),
        ("-1", "0.1"),
        ("NaN", "0.1"),
        ("sNaN", "0.1"),
        ("Infinity", "0.1"),
        ("1", "0"),
        ("1", "-0.1"),
        ("1", "1"),
        ("1", "NaN"),
    ],
)
def test_a_budget_that_is_no_promise_is_refused(epsilon: str, delta: str) -> None:
    """Zero, negative, infinite and NaN budgets do not exist as values."""
    with pytest.raises(InvalidBudgetError):
        Bound(Unit.RECORD, Neighbours.REPLACE_ONE, Decimal(epsilon), Decimal(delta))


@pytest.mark.parametrize(("epsilon", "delta"), [("-1", "0"), ("NaN", "0"), ("0", "1"), ("0", "-1")])
def test_a_guarantee_out_of_range_is_refused(epsilon: str, delta: str) -> None:
    """A guarantee has 0 <= ε < ∞ and 0 <= δ < 1."""
    with pytest.raises(InvalidBudgetError):
        Guarantee(Decimal(epsilon), Decimal(delta))


def test_a_guarantee_is_said_with_unit_and_relation() -> None:
    """The one line that reports and errors use."""
    line = describe(
        Guarantee(Decimal("3.000"), Decimal("0.00001")),
        unit=Unit.RECORD,
        neighbours=Neighbours.ADD_OR_REMOVE_ONE,
    )
    assert line == "(ε = 3, δ = 1e-5), record, add-or-remove-one"


def test_what_is_left_is_never_negative() -> None:
    """A ceiling that is overdrawn has nothing left, and does not cover."""
    ceiling = Guarantee(Decimal(1), Decimal("0.1"))
    spent = Guarantee(Decimal(2), Decimal("0.01"))
    assert ceiling.minus(spent) == Guarantee(Decimal(0), Decimal("0.09"))
    assert not ceiling.covers(spent)
