"""A fitted temperature is the one that was put in, and bins hold all records."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distillation.errors import TrainingError
from distillation.evaluation import calibration_error
from distillation.measure.calibration import (
    calibration,
    fit_temperature,
    scaled,
    temperature_scaling,
    wilson,
)
from distillation.measure.judged import Judged
from tests.distillation.measure import made_up


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5])
def test_the_temperature_that_was_put_in_is_found(temperature: float) -> None:
    """A calibrated model at 1/T needs T again."""
    honest = made_up.answers(20_000)
    distorted = scaled(honest.probabilities, 1 / temperature)

    assert fit_temperature(distorted, honest.labels) == pytest.approx(temperature, rel=0.05)


@settings(max_examples=25)
@given(seed=made_up.seeds, temperature=st.floats(0.05, 20))
def test_no_temperature_is_more_likely_than_the_fitted_one(seed: int, temperature: float) -> None:
    """The negative log-likelihood at the fitted temperature is the least."""
    judged = made_up.answers(30, seed=seed)
    rows = np.arange(30)

    def nll(value: float) -> float:
        found = scaled(judged.probabilities, value)[rows, judged.labels]
        return float(-np.log(found).mean())

    fitted = fit_temperature(judged.probabilities, judged.labels)
    assert nll(fitted) <= nll(temperature) + 1e-6


@settings(max_examples=25)
@given(seed=made_up.seeds, temperature=st.floats(0.1, 10))
def test_scaling_changes_no_choice(seed: int, temperature: float) -> None:
    """The most likely class stays; rows still sum to 1."""
    judged = made_up.answers(20, seed=seed)
    found = scaled(judged.probabilities, temperature)

    assert (found.argmax(axis=1) == judged.chosen).all()
    assert found.sum(axis=1) == pytest.approx(1.0)


def test_a_certain_and_always_right_model_stays_finite() -> None:
    """Probabilities of 0 and 1 need no temperature, those near it the coldest; never a NaN."""
    sure = np.eye(3)
    nearly = 0.7 * sure + 0.1

    assert fit_temperature(sure, np.arange(3)) == 1
    assert fit_temperature(nearly, np.arange(3)) < 0.1
    assert np.isfinite(scaled(sure, 0.01)).all()


def test_the_effect_is_seen_on_the_other_half() -> None:
    """An overconfident model's error falls, and its accuracy cannot."""
    honest = made_up.answers(4000)
    loud = Judged(probabilities=scaled(honest.probabilities, 0.4), labels=honest.labels)
    found = temperature_scaling(loud)

    assert found.before.error > 0.1
    assert found.after.error < 0.05
    assert found.after.nll < found.before.nll
    assert found.temperature == pytest.approx(2.5, rel=0.1)
    assert found.to_dict().keys() == {"temperature", "before", "after"}


@pytest.mark.slow
def test_noise_is_not_called_an_improvement() -> None:
    """A calibrated model on few records is no better for a temperature of the other half."""
    losses = []
    for seed in range(40):
        found = temperature_scaling(made_up.answers(20, seed=seed), seed=seed)
        losses.append(found.after.nll - found.before.nll)

    assert np.mean(losses) > 0  # fitted and judged on the same records it would be below


def test_the_bins_add_up_to_the_error() -> None:
    """Fifteen bins of like size, from the least confident; their gaps are the error."""
    judged = made_up.answers(300)
    found = calibration(judged)
    gaps = sum(b.records * abs(b.accuracy - b.confidence) for b in found.bins) / 300

    assert [b.records for b in found.bins] == [20] * 15
    assert gaps == pytest.approx(found.error)
    assert found.error == calibration_error(judged.probabilities.max(axis=1), judged.right)
    assert all(b.low <= b.accuracy <= b.high for b in found.bins)
    confidences = [b.confidence for b in found.bins]
    assert confidences == sorted(confidences)


def test_wilson_matches_a_published_interval() -> None:
    """Newcombe 1998, table I: 81 of 263 is .2553 to .3662; 0 of 20 is 0 to .1611."""
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)


def test_nothing_to_fit_is_refused() -> None:
    """No records, no temperature: errors, not figures of nothing."""
    with pytest.raises(TrainingError, match="at least one public record"):
        fit_temperature(np.empty((0, 3)), np.empty(0, dtype=np.int64))
    with pytest.raises(TrainingError, match="at least two"):
        temperature_scaling(made_up.answers(1))
    with pytest.raises(TrainingError, match="temperature > 0"):
        scaled(np.ones((1, 1)), 0.0)
