"""The self-test passes the real trainer and catches every fault, by the check that should."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from scipy import stats

from distillation.dp import conformance_sampling
from distillation.dp.conformance import Conformance, check_trainer
from distillation.dp.conformance_statistics import counts, frequency, limit, shape, spread
from distillation.dp.conformance_subject import Check, Finding
from distillation.errors import ConformanceError
from distillation.kinds import TRAINED, Task, Train
from tests.distillation.faulty_trainers import MORE, SIXTEEN, THREE, Fault, check, parts

_ALL = (*SIXTEEN, *THREE, *MORE)
_OF_SAMPLING = [fault for fault in _ALL if fault.caught_by.name.startswith("SAMPLE_")]


@pytest.mark.slow
@pytest.mark.parametrize("fault", _ALL, ids=[fault.name for fault in _ALL])
def test_every_fault_is_caught_by_its_check(fault: Fault, monkeypatch: pytest.MonkeyPatch) -> None:
    """With one fault planted, the check that it belongs to fails, and nothing may be released."""
    fault.plant(monkeypatch)
    found = check(fault.train)

    assert fault.caught_by in {finding.check for finding in found.failed}
    with pytest.raises(ConformanceError, match=fault.caught_by.value):
        found.require()


@pytest.mark.slow
@pytest.mark.parametrize("fault", _OF_SAMPLING, ids=[fault.name for fault in _OF_SAMPLING])
def test_a_stand_in_for_a_large_part_hides_no_fault_of_sampling(
    fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same faults are caught where a linear layer takes the trained part's place."""
    monkeypatch.setattr(conformance_sampling, "_LARGE", 0)
    with monkeypatch.context() as patch:
        fault.plant(patch)
        found = check(fault.train)

    assert fault.caught_by in {finding.check for finding in found.failed}
    assert check(fault.train).passed


def test_every_check_has_a_fault_that_it_catches() -> None:
    """No check is without a fault of its own, but the one that is a second look at the sum."""
    assert set(Check) - {fault.caught_by for fault in _ALL} == {Check.CLIPPED_SUM}
    assert (len(SIXTEEN), len(THREE)) == (16, 3)
    assert len({fault.name for fault in _ALL}) == len(_ALL)


@pytest.mark.slow
def test_the_right_trainer_passes_fifty_times() -> None:
    """It is not accused, and every check ran each time; ``make conformance`` asks it a thousand."""
    for _ in range(50):
        found = check()
        found.require()
        assert len(found.findings) == len(Check)


@pytest.mark.slow
@pytest.mark.parametrize("train", TRAINED[Task.CLASSIFICATION])
def test_the_trained_part_is_left_as_it_was(train: Train) -> None:
    """The region goes on with the very tensors that it had."""
    part, recipe, terms, teacher = parts(train)
    before = part.vector().copy()

    assert check_trainer(part, recipe, terms, teacher=teacher).passed
    np.testing.assert_array_equal(part.vector(), before)


def _finding(check: Check, *, passed: bool = True) -> Finding:
    return Finding(check, passed, "this is right", "this came")


def test_a_failure_tells_the_steward_what_to_do() -> None:
    """The error names the check, what was expected, what came, and that nothing was spent."""
    rows = [_finding(check, passed=check is not Check.NOISE_SCALE) for check in Check]
    with pytest.raises(ConformanceError) as caught:
        Conformance(tuple(rows)).require()
    message = str(caught.value)

    for part in ("noise scale", "this is right", "this came", "no budget spent", "start again"):
        assert part in message


def test_a_check_that_did_not_run_does_not_pass() -> None:
    """An empty or incomplete test is a failed one."""
    whole = [_finding(check) for check in Check]
    assert Conformance(tuple(whole)).passed
    for some in ([], whole[:-1]):
        with pytest.raises(ConformanceError, match="did not run"):
            Conformance(tuple(some)).require()


@pytest.mark.parametrize(("trials", "chance"), [(8, 1.0), (400, 0.01), (400, 0.3), (50_000, 1e-4)])
def test_a_surprise_of_a_count_bounds_its_probability(trials: int, chance: float) -> None:
    """For every count, P(a surprise at least as large) is at most 2 exp(-surprise), exactly."""
    highest = min(trials, int(trials * chance + 12 * math.sqrt(trials * chance + 1)))
    found = np.array([frequency(count, trials, chance) for count in range(highest + 1)])
    chances = stats.binom.pmf(np.arange(highest + 1), trials, chance)
    for surprise in found[np.isfinite(found)]:
        tail = float(chances[found >= surprise].sum())
        assert tail <= 2 * math.exp(-surprise) + 1e-12


@pytest.mark.parametrize("size", [2, 51, 5000])
def test_a_surprise_of_a_variance_bounds_its_probability(size: int) -> None:
    """The same for the mean square of Gaussian samples, by the exact chi-square tails."""
    for ratio in (0.5, 0.9, 0.99, 1.01, 1.1, 2.0):
        surprise = spread(np.full(size, math.sqrt(ratio)))
        tail = (
            stats.chi2.sf(size * ratio, size) if ratio > 1 else stats.chi2.cdf(size * ratio, size)
        )
        assert tail <= math.exp(-surprise) + 1e-12


def test_what_is_no_number_is_a_surprise_without_limit() -> None:
    """NaN, infinity and no noise at all never pass."""
    for value in (math.nan, math.inf, 0.0):
        assert spread(np.full(9, value)) == math.inf
    assert shape(np.array([math.nan, 0.0])) == math.inf
    assert frequency(7, 8, 1.0) == math.inf


def _alarms(surprises: Sequence[float], statistics: int, false_alarm: float) -> float:
    most = limit(false_alarm, statistics)
    return float(np.mean([surprise > most for surprise in surprises]))


def test_right_samples_alarm_no_oftener_than_stated() -> None:
    """At a stated rate of one in twenty, fewer of 400 right samples alarm, for each statistic."""
    chance = np.random.default_rng(3)
    normal = [chance.normal(size=300) for _ in range(400)]
    sizes = [chance.binomial(400, 0.02, size=400).tolist() for _ in range(400)]
    of_counts = [counts(size, 400, 0.02) for size in sizes]

    assert _alarms([spread(values) for values in normal], 1, 0.05) <= 0.05
    assert _alarms([shape(values) for values in normal], 1, 0.05) <= 0.05
    assert _alarms([found for found, _ in of_counts], of_counts[0][1], 0.05) <= 0.05


def test_wrong_samples_alarm_at_one_in_ten_million() -> None:
    """Each statistic sees what it is for, at the false-alarm rate of the self-test."""
    chance = np.random.default_rng(4)
    uniform = chance.uniform(-math.sqrt(3), math.sqrt(3), size=10_000)
    equal, narrow = [8] * 400, np.minimum(chance.binomial(400, 0.02, size=400), 8).tolist()

    assert spread(0.9 * chance.normal(size=5000)) > limit(1e-7, 1)
    assert shape(uniform) > limit(1e-7, 1)
    for sizes in (equal, narrow):
        surprise, statistics = counts(sizes, 400, 0.02)
        assert surprise > limit(1e-7, statistics)


def test_what_the_document_says_is_visible_is() -> None:
    """The deficits of docs/conformance.md pass the limit, and smaller ones do not."""
    assert spread(np.full(3_060, 0.92)) > limit(1e-7, 1) > spread(np.full(3_060, 0.93))
    assert spread(np.full(20_000, 0.97)) > limit(1e-7, 1) > spread(np.full(20_000, 0.98))
    assert frequency(3_200 + 336, 160_000, 0.02) > limit(1e-7, 1) > frequency(3_490, 160_000, 0.02)
