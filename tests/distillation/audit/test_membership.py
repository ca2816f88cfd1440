"""ROC figures against hand-made values and another implementation of each statistic."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from distillation.audit.errors import AuditError
from distillation.audit.gaussian_tradeoff import gaussian_epsilon
from distillation.audit.membership import (
    clopper_pearson,
    membership,
    most_area,
    most_hits,
)

COINS = np.array([True, True, True, False, False, False, False])
SCORES = np.array([9.0, 3.0, 1.0, 4.0, 1.0, 0.0, -2.0])


def test_the_area_counts_pairs() -> None:
    """Of 12 pairs, 4 + 3 + 2 are in order and one is a tie: 9.5 / 12."""
    found = membership(SCORES, COINS, epsilon=1.0, delta=0.0)

    assert found.area.value == pytest.approx(9.5 / 12)
    rates, hits = np.array(found.curve).T
    assert np.trapezoid(hits, rates) == pytest.approx(9.5 / 12)
    assert found.curve[0] == (0.0, 0.0)
    assert found.curve[-1] == (1.0, 1.0)


def test_hits_are_above_the_false_alarms_that_are_allowed() -> None:
    """At 10 % of four others no false alarm is allowed: one of three members is above them all."""
    found = membership(SCORES, COINS, epsilon=1.0, delta=0.0)

    assert [hits.false_alarms for hits in found.hits] == [0.001, 0.01, 0.1]
    assert found.hits[2].found.value == pytest.approx(1 / 3)


@pytest.mark.parametrize(("count", "total"), [(0, 10), (3, 10), (10, 10), (50, 1000)])
def test_intervals_are_scipys(count: int, total: int) -> None:
    """Clopper-Pearson as `scipy.stats.binomtest` has it."""
    expected = stats.binomtest(count, total).proportion_ci(0.95, method="exact")

    found = clopper_pearson(count, total)

    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_the_areas_interval_covers() -> None:
    """Of 300 samples of N(1, 1) against N(0, 1), about 95 % cover the true area."""
    chance, truth, covered = np.random.default_rng(5), stats.norm.cdf(1 / np.sqrt(2)), 0
    for _ in range(300):
        coins = chance.random(200) < 0.5
        scores = coins + chance.standard_normal(200)
        area = membership(scores, coins, epsilon=1.0, delta=0.0).area
        covered += area.low <= truth <= area.high

    assert 0.90 * 300 <= covered <= 0.99 * 300


def test_the_most_that_dp_allows_is_the_corner() -> None:
    """At ε = 0 nobody beats chance; without bound the area is one; by hand for ε = ln 3."""
    assert most_area(0.0, 0.0) == pytest.approx(0.5)
    assert most_area(50.0, 0.0) == pytest.approx(1.0)
    assert most_hits(0.1, np.log(3), 0.0) == pytest.approx(0.3)
    assert most_area(np.log(3), 0.0) == pytest.approx(0.75, abs=1e-6)  # corner (1/4, 3/4)


@given(mu=st.floats(0.1, 3), rate=st.floats(0.001, 0.5))
def test_a_gaussian_attack_stays_within_its_epsilon(mu: float, rate: float) -> None:
    """The best attack on N(μ, 1) against N(0, 1) is within (ε(μ), δ)'s region."""
    hits = stats.norm.cdf(stats.norm.ppf(rate) + mu)

    assert hits <= most_hits(rate, gaussian_epsilon(mu, 1e-5), 1e-5) + 1e-9


def test_members_and_others_are_needed() -> None:
    """A curve of one group is none."""
    for coins in (np.ones(7, dtype=np.bool_), np.zeros(7, dtype=np.bool_)):
        with pytest.raises(AuditError, match="members"):
            membership(SCORES, coins, epsilon=1.0, delta=0.0)
