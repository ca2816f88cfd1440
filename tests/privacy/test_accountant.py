"""One contract for every accountant, then what each of them promises beyond it.

The contract has the form of dp_accounting's own ``PrivacyAccountantTest``: an abstract class
whose tests every accountant inherits.
"""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from typing import ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr

from privacy.accountant import Accountant, PldAccountant, RdpAccountant
from privacy.accounting_prv import PrvAccountant
from privacy.accounting_terms import mechanisms, noise, rate
from privacy.errors import InvalidBudgetError, UnsupportedEventError
from privacy.events import Composed, Gaussian, Mechanism, MixtureOfGaussians, SampledGaussian
from privacy.guarantee import Neighbours

ADD, SWAP = Neighbours.ADD_OR_REMOVE_ONE, Neighbours.REPLACE_ONE
SETTINGS = st.builds(
    SampledGaussian,
    st.decimals("0.8", 8, places=1),
    st.sampled_from([Fraction(1, 100), Fraction(1, 20), Fraction(1, 3), Fraction(1)]),
    st.integers(1, 60),
)
# Each takes a PLD at 1e-4: 0.2 to 8 s, by the number of steps.
GOLDEN = [
    ("1", "1/100", 1000, 1e-5, 1.828),
    ("0.8", "1/100", 2000, 1e-6, 4.945),
    ("1.5", "1/20", 500, 1e-5, 3.785),
    ("4", "1/50", 3000, 1e-6, 1.202),
    ("1", "1/100", 1, 1e-6, 0.364),
    ("0.5", "1/10", 300, 1e-6, 63.09),
]


def sampled(sigma: str, q: str, steps: int) -> SampledGaussian:
    return SampledGaussian(Decimal(sigma), Fraction(q), steps)


def exact_delta(epsilon: float, deviations: float) -> float:
    """δ of one Gaussian whose mean moves by so many deviations: Balle and Wang 2018, theorem 8."""
    half, offset = deviations / 2, epsilon / deviations
    return float(ndtr(half - offset) - math.exp(epsilon) * ndtr(-half - offset))


class AccountantContract:
    """What any accountant must satisfy.

    Attributes:
        subject: The accountant.
        moved: How far one unit moves a sum over all units, in clip norms.
        looseness: How far above the exact ε of one Gaussian it may be.
    """

    subject: ClassVar[Accountant]
    moved: ClassVar[float] = 1.0
    looseness: ClassVar[float] = 1e-3

    def event(self, sigma: str, q: str, steps: int) -> Mechanism:
        return sampled(sigma, q, steps)

    def test_more_steps_cost_more(self) -> None:
        costs = [self.subject.epsilon(self.event("2", "1/10", n), 1e-5) for n in (1, 5, 20)]
        assert costs == sorted(costs)
        assert costs[0] < costs[-1]

    def test_more_noise_costs_less(self) -> None:
        costs = [self.subject.epsilon(self.event(s, "1/10", 20), 1e-5) for s in ("8", "4", "2")]
        assert costs == sorted(costs)
        assert costs[0] < costs[-1]

    def test_a_larger_sample_costs_more(self) -> None:
        costs = [self.subject.epsilon(self.event("4", q, 5), 1e-5) for q in ("1/100", "1/10", "1")]
        assert costs == sorted(costs)
        assert costs[0] < costs[-1]

    def test_a_smaller_delta_costs_more(self) -> None:
        costs = [self.subject.epsilon(self.event("2", "1/10", 20), d) for d in (1e-3, 1e-5, 1e-7)]
        assert costs == sorted(costs)
        assert costs[0] < costs[-1]

    def test_a_larger_epsilon_leaves_less_delta(self) -> None:
        left = [self.subject.delta(self.event("2", "1/10", 20), e) for e in (2.0, 1.0, 0.5)]
        assert left == sorted(left)
        assert left[0] < left[-1]

    def test_delta_and_epsilon_are_inverse(self) -> None:
        event = self.event("2", "1/10", 20)
        assert self.subject.delta(event, self.subject.epsilon(event, 1e-5)) <= 1.01e-5

    def test_the_whole_costs_at_least_each_part(self) -> None:
        parts = (self.event("2", "1/10", 5), self.event("4", "1/5", 5))
        whole = self.subject.epsilon(Composed(parts), 1e-5)
        assert whole > max(self.subject.epsilon(part, 1e-5) for part in parts)

    def test_the_order_of_composition_does_not_matter(self) -> None:
        one, other = self.event("2", "1/10", 5), self.event("4", "1/5", 5)
        there = self.subject.epsilon(Composed((one, Composed((other,)))), 1e-5)
        assert there == self.subject.epsilon(Composed((Composed((other, one)),)), 1e-5)

    def test_parts_add_up_to_the_whole(self) -> None:
        halves = Composed((self.event("2", "1/10", 12), self.event("2", "1/10", 8)))
        assert self.subject.epsilon(halves, 1e-5) == self.subject.epsilon(
            self.event("2", "1/10", 20), 1e-5
        )

    @pytest.mark.parametrize(("sigma", "epsilon"), [("1", 1.0), ("1", 4.0), ("3", 0.5)])
    def test_one_gaussian_has_its_exact_value(self, sigma: str, epsilon: float) -> None:
        delta = exact_delta(epsilon, self.moved / float(sigma))
        bound = self.subject.epsilon(self.event(sigma, "1", 1), delta)
        assert epsilon - 1e-6 <= bound <= epsilon + self.looseness

    @pytest.mark.parametrize("delta", [0.0, 1.0, -1.0, float("nan"), float("inf")])
    def test_a_delta_that_is_none_is_refused(self, delta: float) -> None:
        with pytest.raises(InvalidBudgetError):
            self.subject.epsilon(self.event("2", "1/10", 1), delta)

    @pytest.mark.parametrize("epsilon", [-1.0, float("inf"), float("nan")])
    def test_an_epsilon_that_is_none_is_refused(self, epsilon: float) -> None:
        with pytest.raises(InvalidBudgetError):
            self.subject.delta(self.event("2", "1/10", 1), epsilon)


@pytest.mark.slow
class TestPld(AccountantContract):
    subject = PldAccountant()


@pytest.mark.slow
class TestPldOfReplacing(AccountantContract):
    subject = PldAccountant(SWAP)
    moved = 2.0


class TestRenyi(AccountantContract):
    subject = RdpAccountant()
    looseness = math.inf  # a bound over orders is loose for one release

    def test_it_refuses_what_it_does_not_know(self) -> None:
        with pytest.raises(UnsupportedEventError, match="several records"):
            self.subject.epsilon(MixtureOfGaussians(Decimal(1), Fraction(1, 10), 2, 1), 1e-5)


@pytest.mark.slow
class TestPrv(AccountantContract):
    subject = PrvAccountant()
    looseness = 5e-3

    def test_it_refuses_what_it_does_not_know(self) -> None:
        with pytest.raises(UnsupportedEventError, match="one record"):
            self.subject.epsilon(MixtureOfGaussians(Decimal(1), Fraction(1, 10), 2, 1), 1e-5)


@pytest.mark.slow
class TestPldOfTwoRecords(AccountantContract):
    """A unit of two records; sampled for sure, it moves the sum by two clip norms."""

    subject = PldAccountant(interval=1e-3)
    moved = 2.0
    looseness = 5e-3

    def event(self, sigma: str, q: str, steps: int) -> Mechanism:
        return MixtureOfGaussians(Decimal(sigma), Fraction(q), 2, steps)


@pytest.mark.slow
class TestPldOfReplacingTwoRecords(TestPldOfTwoRecords):
    """Bounded through the data without the unit, so it is above the exact value."""

    subject = PldAccountant(SWAP, interval=1e-3)
    moved = 4.0
    looseness = math.inf


@pytest.mark.slow
@pytest.mark.parametrize(("sigma", "q", "steps", "delta", "epsilon"), GOLDEN)
def test_the_pld_matches_the_recorded_values(
    sigma: str, q: str, steps: int, delta: float, epsilon: float
) -> None:
    """Values that Opacus' PRV accountant (1.6.0, eps_error 0.01) reproduces to 0.011."""
    found = PldAccountant().epsilon(sampled(sigma, q, steps), delta)
    assert found == pytest.approx(epsilon, abs=2e-3)


@pytest.mark.slow
def test_replacing_matches_the_recorded_value() -> None:
    """The same plan costs 1.828 to add or remove a record, and 2.844 to replace one."""
    found = PldAccountant(SWAP).epsilon(sampled("1", "1/100", 1000), 1e-5)
    assert found == pytest.approx(2.844, abs=2e-3)


@pytest.mark.slow
def test_replacing_is_adding_at_half_the_noise_without_sampling() -> None:
    """A replaced unit moves a full sum by up to 2C: σ = 2 then costs what σ = 1 costs."""
    replaced = PldAccountant(SWAP).epsilon(Gaussian(Decimal(2), 3), 1e-5)
    added = PldAccountant(ADD).epsilon(Gaussian(Decimal(1), 3), 1e-5)
    assert replaced == pytest.approx(added, abs=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("subject", [PldAccountant(), RdpAccountant(), PrvAccountant()])
def test_sampling_everything_is_no_sampling(subject: Accountant) -> None:
    """A sample rate of one and no sampling are the same mechanism."""
    everything, all_units = sampled("2", "1", 5), Gaussian(Decimal(2), 5)
    assert subject.epsilon(everything, 1e-5) == pytest.approx(
        subject.epsilon(all_units, 1e-5), abs=1e-4
    )


@pytest.mark.slow
@settings(max_examples=10, deadline=None)
@given(event=SETTINGS)
def test_relations_and_accountants_are_ordered(event: SampledGaussian) -> None:
    """PLD is within Rényi, and replacing costs at least as much as adding or removing."""
    pld = PldAccountant(interval=1e-3).epsilon(event, 1e-5)
    slack = event.steps * 1e-3
    assert pld <= RdpAccountant().epsilon(event, 1e-5) + slack
    assert pld <= PldAccountant(SWAP, interval=1e-3).epsilon(event, 1e-5) + slack


@given(q=st.fractions(0, 1).filter(bool), sigma=st.decimals("0.001", 100, places=9))
def test_floats_are_rounded_to_the_costly_side(q: Fraction, sigma: Decimal) -> None:
    """The accountant sees at least the exact sample rate and at most the exact noise."""
    event = SampledGaussian(sigma, q, 1)
    assert q <= Fraction(rate(event)) <= 1
    assert 0 < Fraction(noise(event)) <= Fraction(sigma)


@given(events=st.lists(SETTINGS, max_size=5), data=st.data())
def test_mechanisms_are_listed_once_in_one_order(
    events: list[SampledGaussian], data: st.DataObject
) -> None:
    """However a composition is written, its mechanisms are the same, with all their steps."""
    shuffled = data.draw(st.permutations(events))
    found = mechanisms(Composed(tuple(events)))
    assert found == mechanisms(Composed((Composed(tuple(shuffled)),)))
    assert sum(part.steps for part in found) == sum(event.steps for event in events)
