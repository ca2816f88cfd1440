"""Bounds from guesses: closed forms, another implementation's values, and how often they lie."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from distillation.audit.errors import AuditError
from distillation.audit.gaussian_tradeoff import gaussian_mu
from distillation.audit.guessing import guess
from distillation.audit.one_run import (
    Guesses,
    gaussian_bound,
    gaussian_refuted,
    steinke_bound,
    steinke_p_value,
)

VECTORS = (
    (200, 200, 200, 4.188216, 9.513957),
    (1000, 1000, 1000, 5.782283, 12.334570),
    (1000, 1000, 650, 0.507950, 0.967527),
    (1000, 400, 330, 1.328426, 2.258598),
    (1000, 100, 95, 2.165176, 3.323300),
    (5000, 5000, 5000, 7.283900, 14.997257),
    (5000, 1000, 800, 1.252583, 1.851720),
    (100, 100, 60, 0.051680, 0.079005),
    (1000, 1000, 500, 0.0, 0.0),
)
"""m, r, v and both bounds at δ = 1e-5 and 95 %: jax_privacy 8967688, ``auditing._epsilon_one_run``
and ``_epsilon_one_run_fdp`` with eps_lo = 0, run with scipy and dp_accounting 0.6."""


@pytest.mark.parametrize(("m", "r", "v", "steinke", "gaussian"), VECTORS)
def test_bounds_are_another_implementations(
    m: int, r: int, v: int, steinke: float, gaussian: float
) -> None:
    """Written from the papers, both bounds agree with jax_privacy's to four digits and more."""
    guesses = Guesses(canaries=m, made=r, right=v)

    assert steinke_bound(guesses, delta=1e-5, confidence=0.95) == pytest.approx(steinke, abs=2e-6)
    assert gaussian_bound(guesses, delta=1e-5, confidence=0.95) == pytest.approx(gaussian, abs=2e-6)


@pytest.mark.parametrize("r", [10, 100, 1000])
def test_the_cap_without_delta_is_the_closed_form(r: int) -> None:
    """With δ = 0 and every guess right, q^r = 5 % gives ε = ln q / (1 - q)."""
    q = 0.05 ** (1 / r)

    bound = steinke_bound(Guesses(canaries=r, made=r, right=r), delta=0.0, confidence=0.95)

    assert bound == pytest.approx(math.log(q / (1 - q)), abs=1e-6)


def test_one_guess_of_one_canary_shows_nothing() -> None:
    """A coin that is guessed right once may be luck: both bounds are 0."""
    for bound in (steinke_bound, gaussian_bound):
        for right in (0, 1):
            one = Guesses(canaries=1, made=1, right=right)
            assert bound(one, delta=1e-5, confidence=0.95) == 0


@settings(max_examples=40)
@given(
    m=st.integers(20, 300),
    share=st.floats(0.1, 1),
    right=st.floats(0, 1),
    confidence=st.sampled_from([0.9, 0.95, 0.99]),
)
def test_more_right_guesses_show_more(
    m: int, share: float, right: float, confidence: float
) -> None:
    """Bounds grow with right guesses, stay at or below the cap, and shrink with confidence."""
    made = max(2, round(m * share))
    v = round((made - 1) * right)
    less, more = (Guesses(canaries=m, made=made, right=n) for n in (v, v + 1))

    for bound in (steinke_bound, gaussian_bound):
        low = bound(less, delta=1e-5, confidence=confidence)
        high = bound(more, delta=1e-5, confidence=confidence)
        assert 0 <= low <= high + 1e-9
        assert high <= bound(more.all_right, delta=1e-5, confidence=confidence) + 1e-9
        assert high <= bound(more, delta=1e-5, confidence=confidence - 0.05) + 1e-9


def test_a_slack_in_the_curve_only_weakens_the_bound() -> None:
    """Who may lie below the curve by δ is refuted a little less."""
    guesses = Guesses(canaries=1000, made=400, right=330)
    strict = gaussian_bound(guesses, delta=1e-5, confidence=0.95)

    loose = gaussian_bound(guesses, delta=1e-5, confidence=0.95, slack=1e-5)
    looser = gaussian_bound(guesses, delta=1e-5, confidence=0.95, slack=1e-3)

    assert strict >= loose > looser
    assert strict - loose < 0.01


def test_randomised_response_is_accused_as_rarely_as_promised() -> None:
    """The worst (ε, 0)-DP mechanism exceeds its ε in at most 5 % of 4,000 runs, and in some."""
    epsilon, runs = 1.5, 4000
    right = np.random.default_rng(1).binomial(500, expit(epsilon), runs)

    p_values = np.array(
        [
            steinke_p_value(Guesses(canaries=500, made=500, right=int(v)), epsilon=epsilon, delta=0)
            for v in right
        ]
    )

    accused = int((p_values <= 0.05).sum())
    assert 0.03 * runs < accused < 0.05 * runs + 3 * math.sqrt(runs * 0.05 * 0.95)


@pytest.mark.parametrize("made", [100, 400, 1000])
def test_a_gaussian_mechanism_is_accused_rarely(made: int) -> None:
    """Scores N(μ, 1) and N(0, 1) are accused of more than μ in at most 5 % of 400 runs."""
    chance, mu, accused = np.random.default_rng(2), 1.0, 0
    for _ in range(400):
        coins = chance.random(1000) < 0.5
        scores = mu * coins + chance.standard_normal(1000)
        accused += gaussian_refuted(guess(scores, coins, made=made), mu=mu, confidence=0.95)

    assert accused <= 400 * 0.05 + 3 * math.sqrt(400 * 0.05 * 0.95)


def test_a_gaussian_mechanism_of_four_times_the_signal_is_accused() -> None:
    """The same test sees what it is there for."""
    chance = np.random.default_rng(3)
    coins = chance.random(1000) < 0.5
    scores = 4.0 * coins + chance.standard_normal(1000)

    assert gaussian_refuted(guess(scores, coins, made=400), mu=1.0, confidence=0.95)


def test_a_gaussian_claim_is_refuted_where_the_bound_is_above_it() -> None:
    """The test of a claim and the bound are the same statement."""
    guesses = Guesses(canaries=1000, made=400, right=330)
    bound = gaussian_bound(guesses, delta=1e-5, confidence=0.95)

    below, above = gaussian_mu(bound - 1e-3, 1e-5), gaussian_mu(bound + 1e-3, 1e-5)

    assert gaussian_refuted(guesses, mu=below, confidence=0.95)
    assert not gaussian_refuted(guesses, mu=above, confidence=0.95)


@pytest.mark.parametrize(("m", "r", "v"), [(10, 11, 5), (10, 5, 6), (10, 0, 0), (10, 5, -1)])
def test_impossible_guesses_are_refused(m: int, r: int, v: int) -> None:
    """Nobody is right more often than they guess."""
    with pytest.raises(AuditError, match="expected 0 <= right"):
        Guesses(canaries=m, made=r, right=v)


@pytest.mark.parametrize("confidence", [0.0, 0.5, 1.0, math.nan])
def test_a_confidence_that_means_nothing_is_refused(confidence: float) -> None:
    """A bound that is always right, or no better than a coin, is none."""
    with pytest.raises(AuditError, match="confidence"):
        steinke_bound(Guesses(canaries=2, made=2, right=2), delta=1e-5, confidence=confidence)
