from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from privacy import accounting_solver
from privacy.accountant import PldAccountant
from privacy.accounting_solver import solve_noise_multiplier
from privacy.errors import InvalidBudgetError, UnsupportedEventError
from privacy.events import Composed, Gaussian, SampledGaussian


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
    assert accounting_solver._LOWEST == 200
    monkeypatch.setattr(accounting_solver, "_LOWEST", 6000)
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


@pytest.mark.slow
def test_what_is_released_beside_is_paid_first() -> None:
    """With a noisy score beside it the training gets more noise, and both keep the promise."""
    score = Gaussian(Decimal(20), 10)
    solve = partial(
        solve_noise_multiplier,
        epsilon=Decimal(2),
        delta=Decimal("1e-5"),
        sample_rate=Fraction(1, 10),
        steps=20,
    )
    alone, beside = solve(), solve(beside=score)
    both = Composed((SampledGaussian(beside, Fraction(1, 10), 20), score))
    assert beside > alone
    assert PldAccountant().epsilon(both, 1e-5) <= 2
    less = Composed((SampledGaussian(beside - Decimal("0.002"), Fraction(1, 10), 20), score))
    assert PldAccountant().epsilon(less, 1e-5) > 2


def test_a_release_that_breaks_the_promise_alone_is_refused() -> None:
    """No noise of the training makes up for it, and the message says which part it is."""
    with pytest.raises(InvalidBudgetError, match="beside the training"):
        solve_noise_multiplier(
            epsilon=Decimal(1),
            delta=Decimal("1e-5"),
            sample_rate=Fraction(1, 10),
            steps=20,
            beside=Gaussian(Decimal(1), 1),
        )
