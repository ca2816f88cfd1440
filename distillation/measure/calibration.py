"""Does a model know how sure it may be? Reliability, and one temperature that repairs most of it.

Bins hold equally many records (Nixon et al. 2019). The temperature (Guo et al. 2017, section 4.2)
is fitted on public records alone and changes no choice of class. Its effect is measured on records
that it was not fitted on: each half is judged with the other half's temperature.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from distillation.errors import TrainingError
from distillation.evaluation import calibration_error
from distillation.measure.judged import Figure, Floats, Integers, Judged

_BINS = 15
_HALVINGS = 60
_COLDEST, _HOTTEST = 1e-2, 1e2
"""A fitted temperature stays within; a model that is always right would want 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """Records of like confidence.

    Attributes:
        records: How many.
        confidence: Their mean confidence.
        accuracy: The share that is right.
        low: Lower end of the share's 95 % Wilson interval.
        high: Its upper end.
    """

    records: int
    confidence: float
    accuracy: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """How well confidence and accuracy agree.

    Attributes:
        error: Expected calibration error, equal-mass bins, in [0, 1].
        brier: Mean squared distance from the label, in [0, 2].
        nll: Mean negative log-likelihood of the label, nats.
        bins: What a reliability diagram shows, least confident first.
    """

    error: float
    brier: float
    nll: float
    bins: tuple[Bin, ...]

    def to_dict(self) -> dict[str, object]:
        """Return everything by name."""
        return {
            "error": self.error,
            "brier": self.brier,
            "nll": self.nll,
            "bins": [{name: getattr(one, name) for name in Bin.__slots__} for one in self.bins],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaling:
    """What one temperature does.

    Attributes:
        temperature: Fitted on all records: logits are divided by it.
        before: The calibration without it.
        after: With it, each half at the temperature of the other.
    """

    temperature: float
    before: Calibration
    after: Calibration

    def to_dict(self) -> dict[str, object]:
        """Return everything by name."""
        return {
            "temperature": self.temperature,
            "before": self.before.to_dict(),
            "after": self.after.to_dict(),
        }


def calibration(judged: Judged) -> Calibration:
    """Return the calibration of a model on labelled public records."""
    confidence, right = judged.probabilities.max(axis=1), judged.right
    order = np.argsort(confidence, kind="stable")
    figures = judged.figures()
    return Calibration(
        error=calibration_error(confidence, right),
        brier=figures[Figure.BRIER],
        nll=figures[Figure.NLL],
        bins=tuple(
            _bin(confidence[rows], right[rows])
            for rows in np.array_split(order, min(_BINS, len(order)))
        ),
    )


def fit_temperature(probabilities: Floats, labels: Integers) -> float:
    """Return the temperature that makes the labels most likely, in [0.01, 100].

    The negative log-likelihood is convex in 1/T: its slope is bisected. Where no temperature is
    better than none, it is 1.

    Args:
        probabilities: (n, K), of declared-public records.
        labels: (n,).

    Raises:
        TrainingError: If there are no records.
    """
    if not len(labels):
        raise TrainingError("expected at least one public record to fit a temperature on")
    logits = np.log(np.maximum(probabilities, np.finfo(np.float64).tiny))
    of_label = logits[np.arange(len(labels)), labels]
    low, high = math.log(1 / _HOTTEST), math.log(1 / _COLDEST)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        expected = (_softmax(math.exp(middle) * logits) * logits).sum(axis=1)
        if (expected - of_label).mean() < 0:  # colder still makes the labels more likely
            low = middle
        else:
            high = middle
    fitted = math.exp(-(low + high) / 2)
    return fitted if _nll(logits / fitted, labels) < _nll(logits, labels) else 1.0


def scaled(probabilities: Floats, temperature: float) -> Floats:
    """Return the probabilities at another temperature; every choice of class stays.

    Raises:
        TrainingError: If the temperature is not above 0.
    """
    if not temperature > 0:
        raise TrainingError(f"expected a temperature > 0, got {temperature}")
    return _softmax(np.log(np.maximum(probabilities, np.finfo(np.float64).tiny)) / temperature)


def temperature_scaling(judged: Judged, *, seed: int = 0) -> Scaling:
    """Fit a temperature and show its effect on records that it was not fitted on.

    Args:
        judged: The answers to public records.
        seed: Of the split into halves; public.

    Raises:
        TrainingError: If there are fewer than two records.
    """
    if len(judged) < 2:
        raise TrainingError(
            "expected at least two public records to fit a temperature and judge it"
        )
    order = np.random.default_rng(seed).permutation(len(judged))
    probabilities = judged.probabilities.copy()
    halves = np.array_split(order, 2)
    for own, other in (halves, halves[::-1]):
        fitted = fit_temperature(judged.probabilities[other], judged.labels[other])
        probabilities[own] = scaled(judged.probabilities[own], fitted)
    after = Judged(probabilities=probabilities, labels=judged.labels, teacher=judged.teacher)
    return Scaling(
        temperature=fit_temperature(judged.probabilities, judged.labels),
        before=calibration(judged),
        after=calibration(after),
    )


def wilson(hits: int, number: int) -> tuple[float, float]:
    """Return the 95 % interval of a share (Wilson 1927)."""
    z, share = 1.959963984540054, hits / number
    scale = 1 + z * z / number
    centre = (share + z * z / (2 * number)) / scale
    half = z / scale * math.sqrt(share * (1 - share) / number + z * z / (4 * number * number))
    return max(0.0, centre - half), min(1.0, centre + half)


def _bin(confidence: Floats, right: np.ndarray) -> Bin:
    low, high = wilson(int(right.sum()), len(right))
    return Bin(
        records=len(right),
        confidence=float(confidence.mean()),
        accuracy=float(right.mean()),
        low=low,
        high=high,
    )


def _nll(logits: Floats, labels: Integers) -> float:
    found = _softmax(logits)[np.arange(len(labels)), labels]
    return float(-np.log(np.maximum(found, np.finfo(np.float64).tiny)).mean())


def _softmax(logits: Floats) -> Floats:
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    total: Floats = shifted / shifted.sum(axis=1, keepdims=True)
    return total
