from __future__ import annotations

from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privacy.report.tradeoff import (
    dominating_mu,
    gaussian_delta,
    most_right_guesses,
    most_true_positives,
)

NORMAL = NormalDist()


def curve(mu: float, *, step: float = 0.02, points: int = 400) -> list[tuple[float, float]]:
    """The exact curve of the Gaussian mechanism."""
    return [(step * i, gaussian_delta(mu, step * i)) for i in range(points)]


@given(mu=st.floats(0.1, 2.5), rate=st.sampled_from([0.001, 0.01, 0.1, 0.5]))
def test_no_attack_on_a_gaussian_is_better_than_the_bound(mu: float, rate: float) -> None:
    """The best test has Φ(Φ⁻¹(α) + μ) true positives; the bound is above, and not far."""
    best = NORMAL.cdf(NORMAL.inv_cdf(rate) + mu)
    bound = most_true_positives(curve(mu), rate)
    assert best - 1e-9 <= bound <= best + 0.01


@given(mu=st.floats(0.05, 3))
def test_right_guesses_are_those_of_the_total_variation(mu: float) -> None:
    """Half of one plus the total variation of two normals, which is 2Φ(μ/2) − 1."""
    assert most_right_guesses(curve(mu)) == pytest.approx(NORMAL.cdf(mu / 2), abs=1e-9)


@given(mu=st.floats(0.2, 2.5))
def test_the_gaussian_that_dominates_a_gaussian_is_hardly_another(mu: float) -> None:
    """It is never an easier target for the defender, and close on a fine curve."""
    found = dominating_mu(curve(mu))
    assert mu - 1e-6 <= found <= 1.2 * mu


@given(mu=st.floats(0.2, 2.5), at=st.floats(0, 7))
def test_the_dominating_gaussian_covers_what_is_between_the_points(mu: float, at: float) -> None:
    """Even where the curve that was given has gaps."""
    coarse = curve(mu, step=0.5, points=17)
    assert gaussian_delta(dominating_mu(coarse), at) >= gaussian_delta(mu, at) - 1e-12


def test_one_point_bounds_too() -> None:
    """(ε, δ) alone: ln 3 allows three right in four; and nothing is above one."""
    alone = [(1.0986122886681098, 0.0)]
    assert most_right_guesses(alone) == pytest.approx(0.75)
    assert most_true_positives(alone, 0.1) == pytest.approx(0.3)
    assert most_true_positives([(900.0, 0.0)], 0.1) == 1.0


def test_no_noise_at_all_is_no_division_by_zero() -> None:
    """A Gaussian that moves nothing has δ = 0."""
    assert gaussian_delta(0.0, 1.0) == 0.0
