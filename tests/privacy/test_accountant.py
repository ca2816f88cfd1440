from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy import accountant
from privacy.accountant import (
    Accountant,
    PldAccountant,
    RdpAccountant,
    _noise,
    _rate,
    solve_noise_multiplier,
)
from privacy.errors import InvalidBudgetError, UnsupportedEventError
from privacy.events import Composed, Gaussian, SampledGaussian
from privacy.guarantee import Neighbours

ADD, SWAP = Neighbours.ADD_OR_REMOVE_ONE, Neighbours.REPLACE_ONE
SETTINGS = st.builds(
    SampledGaussian,
    st.decimals("0.8", 8, places=1),
    st.sampled_from([Fraction(1, 100), Fraction(1, 20), Fraction(1, 3), Fraction(1)]),
    st.integers(1, 60),
)


def sampled(sigma: str, rate: str, steps: int) -> SampledGaussian:
    return SampledGaussian(Decimal(sigma), Fraction(rate), steps)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("event", "delta", "epsilon"),
    [
        (sampled("1", "1/100", 1000), 1e-5, 1.828),
        (sampled("0.8", "1/100", 2000), 1e-6, 4.945),
        (sampled("1.5", "1/20", 500), 1e-5, 3.785),
        (sampled("4", "1/50", 3000), 1e-6, 1.202),
        (sampled("1", "1/100", 1), 1e-6, 0.364),
        (sampled("0.5", "1/10", 300), 1e-6, 63.09),
    ],
)
def test_the_pld_matches_the_recorded_values(
    event: SampledGaussian, delta: float, epsilon: float
) -> None:
    """Values that Opacus' PRV accountant (1.6.0, eps_error 0.01) reproduces to 0.011."""
    assert PldAccountant().epsilon(event, delta) == pytest.approx(epsilon, abs=2e-3)


@pytest.mark.parametrize("subject", [PldAccountant(), PldAccountant(SWAP), RdpAccountant()])
class TestEveryAccountant:
    """What any accountant must satisfy."""

    @pytest.mark.slow
    def test_more_steps_cost_more(self, subject: Accountant) -> None:
        costs = [subject.epsilon(sampled("2", "1/10", n), 1e-5) for n in (1, 10, 100)]
        assert costs == sorted(costs)

    def test_more_noise_costs_less(self, subject: Accountant) -> None:
        costs = [subject.epsilon(sampled(s, "1/10", 20), 1e-5) for s in ("8", "4", "2")]
        assert costs == sorted(costs)

    @pytest.mark.slow
    def test_a_larger_sample_costs_more(self, subject: Accountant) -> None:
        costs = [subject.epsilon(sampled("2", q, 20), 1e-5) for q in ("1/100", "1/10", "1")]
        assert costs == sorted(costs)

    def test_a_smaller_delta_costs_more(self, subject: Accountant) -> None:
        costs = [subject.epsilon(sampled("2", "1/10", 20), d) for d in (1e-3, 1e-5, 1e-7)]
        assert costs == sorted(costs)

    def test_delta_and_epsilon_are_inverse(self, subject: Accountant) -> None:
        event = sampled("2", "1/10", 20)
        assert subject.delta(event, subject.epsilon(event, 1e-5)) <= 1.001e-5

    @pytest.mark.slow
    def test_parts_add_up_to_the_whole(self, subject: Accountant) -> None:
        parts = Composed((sampled("2", "1/10", 12), Composed((sampled("2", "1/10", 8),))))
        whole = sampled("2", "1/10", 20)
        assert subject.epsilon(parts, 1e-5) == pytest.approx(subject.epsilon(whole, 1e-5), abs=1e-4)

    @pytest.mark.slow
    def test_sampling_everything_is_no_sampling(self, subject: Accountant) -> None:
        everything, all_units = sampled("2", "1", 5), Gaussian(Decimal(2), 5)
        assert subject.epsilon(everything, 1e-5) == pytest.approx(
            subject.epsilon(all_units, 1e-5), abs=1e-4
        )

    def test_it_is_above_the_exact_value_for_one_gaussian(self, subject: Accountant) -> None:
        # Balle and Wang 2018, arXiv 1805.06530, theorem 8: σ = 1, δ = 1e-5 gives ε = 4.37718.
        assert subject.epsilon(Gaussian(Decimal(1), 1), 1e-5) >= 4.37717

    @pytest.mark.parametrize("delta", [0.0, 1.0, -1.0, float("nan")])
    def test_a_delta_that_is_none_is_refused(self, subject: Accountant, delta: float) -> None:
        with pytest.raises(InvalidBudgetError):
            subject.epsilon(sampled("2", "1/10", 1), delta)

    @pytest.mark.parametrize("epsilon", [-1.0, float("inf"), float("nan")])
    def test_an_epsilon_that_is_none_is_refused(self, subject: Accountant, epsilon: float) -> None:
        with pytest.raises(InvalidBudgetError):
            subject.delta(sampled("2", "1/10", 1), epsilon)


@pytest.mark.slow
def test_replacing_is_adding_at_half_the_noise_without_sampling() -> None:
    """A replaced unit moves a full sum by up to 2C: σ = 2 then costs what σ = 1 costs."""
    replaced = PldAccountant(SWAP).epsilon(Gaussian(Decimal(2), 3), 1e-5)
    added = PldAccountant(ADD).epsilon(Gaussian(Decimal(1), 3), 1e-5)
    assert replaced == pytest.approx(added, abs=1e-4)


@pytest.mark.slow
@settings(max_examples=10, deadline=None)
@given(event=SETTINGS)
def test_relations_and_accountants_are_ordered(event: SampledGaussian) -> None:
    """PLD is within Rényi, and replacing costs at least as much as adding or removing."""
    pld = PldAccountant(interval=1e-3).epsilon(event, 1e-5)
    slack = event.steps * 1e-3
    assert pld <= RdpAccountant().epsilon(event, 1e-5) + slack
    assert pld <= PldAccountant(SWAP, interval=1e-3).epsilon(event, 1e-5) + slack


@given(rate=st.fractions(0, 1).filter(bool), noise=st.decimals("0.001", 100, places=9))
def test_floats_are_rounded_to_the_costly_side(rate: Fraction, noise: Decimal) -> None:
    """The accountant sees at least the exact sample rate and at most the exact noise."""
    event = SampledGaussian(noise, rate, 1)
    assert rate <= Fraction(_rate(event)) <= 1
    assert 0 < Fraction(_noise(event)) <= Fraction(noise)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("epsilon", "rate", "steps", "expected"),
    [("3", "1/2", 44, "4.763"), ("3", "1/2", 40, "4.555"), ("1", "1/10", 20, "2.103")],
)
def test_the_solver_matches_the_recorded_values(
    epsilon: str, rate: str, steps: int, expected: str
) -> None:
    """Three noise multipliers, to guard against a silent change of the accountant."""
    solved = solve_noise_multiplier(
        epsilon=Decimal(epsilon), delta=Decimal("1e-5"), sample_rate=Fraction(rate), steps=steps
    )
    assert abs(solved - Decimal(expected)) <= Decimal("0.001")


@pytest.mark.slow
@settings(max_examples=3, deadline=None)
@given(
    epsilon=st.decimals(1, 4, places=1),
    rate=st.sampled_from([Fraction(1, 20), Fraction(1, 3), Fraction(1)]),
    steps=st.integers(1, 60),
)
def test_the_solved_noise_is_enough_and_hardly_more(
    epsilon: Decimal, rate: Fraction, steps: int
) -> None:
    """The result keeps the promise; with 0.002 less noise it is broken."""
    solved = solve_noise_multiplier(
        epsilon=epsilon, delta=Decimal("1e-5"), sample_rate=rate, steps=steps
    )
    pld = PldAccountant()
    assert pld.epsilon(SampledGaussian(solved, rate, steps), 1e-5) <= float(epsilon)
    less = SampledGaussian(solved - Decimal("0.002"), rate, steps)
    assert pld.epsilon(less, 1e-5) > float(epsilon)


@pytest.mark.parametrize(
    ("epsilon", "delta"), [("0", "1e-5"), ("-1", "1e-5"), ("NaN", "1e-5"), ("1", "0"), ("1", "1")]
)
def test_no_promise_has_no_noise(epsilon: str, delta: str) -> None:
    """The solver refuses a budget of zero, below zero or NaN before it computes."""
    with pytest.raises(InvalidBudgetError):
        solve_noise_multiplier(
            epsilon=Decimal(epsilon), delta=Decimal(delta), sample_rate=Fraction(1, 2), steps=1
        )


def test_a_generous_promise_gets_the_least_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    """The solver does not go below its least noise multiplier, 0.2 (here 6, to be quick)."""
    assert accountant._LOWEST == 200
    monkeypatch.setattr(accountant, "_LOWEST", 6000)
    solved = solve_noise_multiplier(
        epsilon=Decimal(9), delta=Decimal("1e-5"), sample_rate=Fraction(1), steps=1
    )
    assert solved == Decimal(6)


@pytest.mark.slow
def test_a_promise_that_no_noise_keeps_is_refused() -> None:
    """A million full-batch steps at ε = 0.01 would need σ above 1,000."""
    with pytest.raises(InvalidBudgetError, match="fewer steps"):
        solve_noise_multiplier(
            epsilon=Decimal("0.01"), delta=Decimal("1e-6"), sample_rate=Fraction(1), steps=10**6
        )


def test_a_schedule_that_is_none_is_refused() -> None:
    """Zero steps have no noise multiplier."""
    with pytest.raises(UnsupportedEventError):
        solve_noise_multiplier(
            epsilon=Decimal(1), delta=Decimal("1e-5"), sample_rate=Fraction(1, 2), steps=0
        )
