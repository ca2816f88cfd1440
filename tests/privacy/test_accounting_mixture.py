"""Several records of one person: recorded values, and bounds that hold."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest

from privacy.accountant import PldAccountant
from privacy.events import Composed, Gaussian, MixtureOfGaussians, SampledGaussian, for_persons
from privacy.guarantee import Neighbours

SWAP = Neighbours.REPLACE_ONE
pytestmark = pytest.mark.slow  # a mixture is inverted by bisection: seconds each


def persons(records: int, *, steps: int = 1000, sigma: str = "1") -> MixtureOfGaussians:
    return MixtureOfGaussians(Decimal(sigma), Fraction(1, 100), records, steps)


@pytest.mark.parametrize(("records", "epsilon"), [(1, 1.83), (2, 3.98), (4, 8.90), (8, 20.9)])
def test_the_price_of_a_person_matches_the_recorded_values(records: int, epsilon: float) -> None:
    """Q = 0.01, σ = 1, 1,000 steps, δ = 1e-5, for adding or removing all of a person's records."""
    assert PldAccountant().epsilon(persons(records), 1e-5) == pytest.approx(epsilon, abs=0.05)


def test_a_mixture_of_one_record_is_a_sampled_gaussian() -> None:
    """Two constructions of the same distribution agree."""
    one = MixtureOfGaussians(Decimal(2), Fraction(1, 10), 1, 10)
    same = SampledGaussian(Decimal(2), Fraction(1, 10), 10)
    accountant = PldAccountant(interval=1e-3)
    assert accountant.epsilon(one, 1e-5) == pytest.approx(accountant.epsilon(same, 1e-5), abs=1e-3)


@pytest.mark.parametrize("neighbours", list(Neighbours))
def test_more_records_cost_more(neighbours: Neighbours) -> None:
    """So a cap covers everybody who has fewer."""
    accountant = PldAccountant(neighbours, interval=1e-3)
    costs = [accountant.epsilon(persons(k, steps=5, sigma="2"), 1e-5) for k in (1, 2, 3, 5)]
    assert costs == sorted(costs)
    assert costs[0] < costs[-1]


@pytest.mark.parametrize("q", ["1/100", "1/3", "1"])
def test_replacing_a_unit_is_bounded_above_its_exact_value(q: str) -> None:
    """With one record dp_accounting knows the exact pair: the bound through no unit is above it."""
    one = MixtureOfGaussians(Decimal(4), Fraction(q), 1, 5)
    same = SampledGaussian(Decimal(4), Fraction(q), 5)
    accountant = PldAccountant(SWAP, interval=1e-3)
    exact = accountant.epsilon(same, 1e-5)
    assert exact <= accountant.epsilon(one, 1e-5) + 5e-3
    assert accountant.epsilon(one, 1e-5) <= 2.2 * exact


def test_replacing_all_records_of_a_full_sum_is_bounded() -> None:
    """Three records in a sum over all units move it by up to 6C: the exact Gaussian is below."""
    three = MixtureOfGaussians(Decimal(12), Fraction(1), 3, 2)
    exact = PldAccountant(interval=1e-3).epsilon(Gaussian(Decimal(2), 2), 1e-5)
    assert PldAccountant(SWAP, interval=1e-3).epsilon(three, 1e-5) >= exact


def test_no_finite_bound_is_said() -> None:
    """Nine records without sampling at σ = 1: ε is infinite, not a number that e^ε overflows."""
    hopeless = MixtureOfGaussians(Decimal(1), Fraction(1), 9, 1)
    assert PldAccountant(SWAP, interval=1e-2).epsilon(hopeless, 1e-5) == float("inf")


def test_a_score_beside_the_training_counts_for_a_person_too() -> None:
    """The composition of a person costs more than its training."""
    training = SampledGaussian(Decimal(4), Fraction(1, 10), 10)
    both = Composed((training, Gaussian(Decimal(20), 5)))
    accountant = PldAccountant(interval=1e-3)
    alone, beside = (
        accountant.epsilon(for_persons(event, records=3), 1e-5) for event in (training, both)
    )
    assert beside > alone
