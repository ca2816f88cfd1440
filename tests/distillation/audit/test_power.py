"""Coins, guesses, the estimate, and what an audit could have seen."""

from decimal import Decimal

import numpy as np
import pytest

from distillation.audit.bounds import Claim
from distillation.audit.errors import AuditError
from distillation.audit.estimate import gaussian_estimate
from distillation.audit.gaussian_tradeoff import gaussian_epsilon
from distillation.audit.guessing import guess, secret_coins
from distillation.audit.one_run import Guesses
from distillation.audit.power import Releases, design, least_right, simulate
from distillation.audit.result import NO_POWER, Access, Method
from privacy.guarantee import Guarantee
from privacy.noise import SecureStream

RELEASES = Releases(noise_multiplier=1.0, sample_rate=0.04, steps=400)
CLAIM = Claim.of(Guarantee(Decimal("5.3"), Decimal("0.00001")), 0.95)


def test_coins_are_fair_and_fresh() -> None:
    """100,000 coins are within six deviations of half, and two draws differ."""
    first, second = (secret_coins(100_001, SecureStream()) for _ in range(2))

    assert first.shape == (100_001,)
    assert abs(first.mean() - 0.5) < 6 * 0.5 / 100_000**0.5
    assert 0.45 < (first == second).mean() < 0.55


def test_guesses_are_the_extremes() -> None:
    """Two guesses of five: the highest is in, which is right; the lowest is out, which is wrong."""
    scores = np.array([0.0, 5.0, -9.0, 1.0, 2.0])
    coins = np.array([False, True, True, False, False])

    assert guess(scores, coins, made=2) == Guesses(canaries=5, made=2, right=1)
    assert guess(scores, coins, made=5).right == 2


def test_scores_that_are_no_numbers_are_never_right() -> None:
    """A trainer that released NaN everywhere shows nothing, instead of half by luck."""
    coins = np.array([True, False] * 10)

    assert guess(np.full(20, np.nan), coins, made=20).right == 0


def test_impossible_numbers_of_guesses_are_refused() -> None:
    """More guesses than canaries, or one, are no attack."""
    for made in (1, 5):
        with pytest.raises(AuditError, match="guesses"):
            guess(np.zeros(4), np.ones(4, dtype=np.bool_), made=made)


@pytest.mark.parametrize("method", list(Method))
def test_the_least_number_of_right_guesses_is_where_the_claim_falls(method: Method) -> None:
    """One fewer does not refute it, and the bound is above the claim from there on."""
    refutes = CLAIM.refuted_by(method)
    least = least_right(1000, 650, refutes)

    assert least is not None
    for right, refuted in ((least, True), (least - 1, False)):
        made = Guesses(canaries=1000, made=650, right=right)
        result = CLAIM.result(
            method, made, access=Access.WHITE_BOX, power=NO_POWER, date="2026-01-31", who="a test"
        )
        assert refutes(made) is refuted
        assert result.lower_bound >= Decimal("5.299") if refuted else not result.flagged


def test_a_design_keeps_its_power() -> None:
    """The audit's own number of guesses detects the deficit that it prints, on fresh runs."""
    found = design(1000, RELEASES, CLAIM.refuted_by(Method.GAUSSIAN))

    assert found.detects is not None
    assert Decimal("0.2") <= found.detects <= Decimal("0.5")
    assert found.least_right is not None
    for share, most in ((float(found.detects), 1.0), (1.0, 0.0)):
        right = simulate(1000, RELEASES, [found.made], share, runs=100, seed=2)[found.made]
        assert (right >= found.least_right).mean() == pytest.approx(most, abs=0.15)


def test_too_few_canaries_have_no_power() -> None:
    """Where the cap is below the claim, no deficit is detected, and the design says so."""
    large = Claim.of(Guarantee(Decimal(12), Decimal("0.00001")), 0.95)

    found = design(100, RELEASES, large.refuted_by(Method.GAUSSIAN))

    assert found.detects is None
    assert found.least_right is None
    assert found.power == NO_POWER


def test_canaries_that_are_never_sampled_show_nothing() -> None:
    """At q T = 0.1 even a run without noise has seen few canaries: no power, though a high cap."""
    seldom = Releases(noise_multiplier=1.0, sample_rate=0.001, steps=100)

    found = design(1000, seldom, CLAIM.refuted_by(Method.GAUSSIAN))

    assert found.least_right is not None
    assert found.power == NO_POWER


def test_a_handful_of_canaries_is_refused() -> None:
    """Nineteen coins show nothing."""
    with pytest.raises(AuditError, match="20 canaries"):
        design(19, RELEASES, CLAIM.refuted_by(Method.GAUSSIAN))


def test_the_estimate_finds_the_gaussians_own_epsilon() -> None:
    """From 20,000 scores of N(1, 1) and N(0, 1), ε(μ = 1) is within 5 %, and the low end below."""
    chance = np.random.default_rng(4)
    coins = chance.random(20_000) < 0.5

    found = gaussian_estimate(coins + chance.standard_normal(20_000), coins, delta=1e-5)

    assert found.epsilon == pytest.approx(gaussian_epsilon(1.0, 1e-5), rel=0.05)
    assert found.low < found.epsilon


def test_the_estimate_wants_numbers() -> None:
    """It has no value for scores that are none, or for five canaries."""
    coins = np.array([True, False] * 20)

    for scores, some in ((np.full(40, np.nan), coins), (np.zeros(5), coins[:5])):
        with pytest.raises(AuditError, match="finite scores"):
            gaussian_estimate(scores, some, delta=1e-5)
