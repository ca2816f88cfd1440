"""The Gaussian curve against dp_accounting, and plans' curves against it."""

from decimal import Decimal
from fractions import Fraction

import dp_accounting
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distillation.audit.errors import AuditError
from distillation.audit.gaussian_tradeoff import (
    delta_slack,
    gaussian_delta,
    gaussian_epsilon,
    gaussian_mu,
    least_false_negatives,
    most_true_positives,
)
from privacy.accountant import PldAccountant
from privacy.events import SampledGaussian


@pytest.mark.parametrize("sigma", [0.3, 1.0, 4.0])
@pytest.mark.parametrize("delta", [1e-8, 1e-5, 0.1])
def test_epsilon_is_dp_accountings(sigma: float, delta: float) -> None:
    """One Gaussian release of noise σ is 1/σ-Gaussian-private."""
    epsilon = gaussian_epsilon(1 / sigma, delta)

    assert epsilon == pytest.approx(dp_accounting.get_epsilon_gaussian(sigma, delta), abs=1e-6)
    if epsilon > 0:
        assert gaussian_mu(epsilon, delta) == pytest.approx(1 / sigma, rel=1e-6)


@given(mu=st.floats(0.01, 20), epsilon=st.floats(0, 50))
def test_delta_is_a_probability(mu: float, epsilon: float) -> None:
    """Whatever the curve, δ is in [0, 1] and does not grow with ε."""
    here, further = gaussian_delta(mu, epsilon), gaussian_delta(mu, epsilon + 1)

    assert 0 <= further <= here <= 1


def test_the_curve_is_the_lower_envelope_of_its_deltas() -> None:
    """Misses + e^ε · false alarms >= 1 - δ(ε), with equality for some ε (duality)."""
    mu, alpha = 1.2, 0.07
    lines = [1 - gaussian_delta(mu, e) - np.exp(e) * alpha for e in np.linspace(0, 8, 4001)]

    assert least_false_negatives(mu, alpha) == pytest.approx(max(lines), abs=1e-5)
    assert most_true_positives(mu, alpha) == pytest.approx(1 - max(lines), abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sigma", "rate", "steps"),
    [
        ("1", Fraction(1, 25), 400),
        ("1.1", Fraction(1, 50), 200),
        ("8", Fraction(1, 2), 40),
        ("0.6", Fraction(1, 100), 1000),
        ("0.5", Fraction(1, 4), 5),
        ("4", Fraction(1), 10),
    ],
)
def test_a_plans_curve_lies_within_the_gaussian_one(sigma: str, rate: Fraction, steps: int) -> None:
    """Sampled Gaussians have no larger δ than the Gaussian through (ε, δ), at any smaller ε."""
    event, accountant = SampledGaussian(Decimal(sigma), rate, steps), PldAccountant()
    epsilon = accountant.epsilon(event, 1e-5)
    mu = gaussian_mu(epsilon, 1e-5)

    slack = delta_slack(mu, lambda e: accountant.delta(event, e), most_epsilon=epsilon)

    assert slack < 1e-8


@pytest.mark.parametrize("delta", [0.0, 1.0, -1.0])
def test_a_delta_of_zero_has_no_gaussian(delta: float) -> None:
    """A Gaussian mechanism has no ε at δ = 0."""
    with pytest.raises(AuditError, match="δ in"):
        gaussian_epsilon(1.0, delta)


def test_a_negative_epsilon_is_refused() -> None:
    """No claim is below nothing."""
    with pytest.raises(AuditError, match="finite ε"):
        gaussian_mu(-1.0, 1e-5)
