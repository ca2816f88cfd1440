"""How sure a figure is on so many public records: percentile intervals of seeded resamples.

Source: Efron and Tibshirani 1993, chapter 13. The records are public: no privacy rests on the seed.
An interval covers the chance of which records the test set holds, not that of training and noise:
that one needs several seeds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from distillation.errors import TrainingError
from distillation.measure.judged import Figure, Floats, Judged, class_f1_of

_MOST_WEIGHTS = 1 << 22
"""Weights held at once, 32 MiB: many records, few resamples at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resampling:
    """How intervals are found.

    Attributes:
        resamples: Number of resamples, >= 100.
        coverage: Share of resamples inside an interval, in (0, 1).
        seed: Of the resampling; public.
    """

    resamples: int = 1000
    coverage: float = 0.95
    seed: int = 0

    def __post_init__(self) -> None:
        if self.resamples < 100 or not 0 < self.coverage < 1:
            raise TrainingError(
                "expected at least 100 resamples and a coverage in (0, 1), got "
                f"{self.resamples} and {self.coverage}"
            )

    def weights(self, records: int) -> Iterator[Floats]:
        """Yield how often each record is drawn, (b, n) at a time, always the same."""
        rng = np.random.default_rng(self.seed)
        size, left = max(1, _MOST_WEIGHTS // records), self.resamples
        while left:
            some = min(size, left)
            yield rng.multinomial(records, np.full(records, 1 / records), some).astype(np.float64)
            left -= some

    def interval(self, found: Floats, estimate: float) -> Interval:
        """Return the interval of a figure from its value in each resample, (B,)."""
        tail = (1 - self.coverage) / 2
        low, high = np.quantile(found, [tail, 1 - tail])
        return Interval(estimate=estimate, low=float(low), high=float(high))


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A figure on all records, with the range of most resamples."""

    estimate: float
    low: float
    high: float

    def to_dict(self) -> dict[str, float]:
        """Return the three values by name."""
        return {"estimate": self.estimate, "low": self.low, "high": self.high}


def intervals(judged: Judged, resampling: Resampling) -> dict[Figure, Interval]:
    """Return every figure with its interval."""
    pieces = [judged.weighted(weights) for weights in resampling.weights(len(judged))]
    estimates = judged.figures()
    return {
        figure: resampling.interval(np.concatenate([piece[figure] for piece in pieces]), estimate)
        for figure, estimate in estimates.items()
    }


def class_f1_intervals(
    judged: Judged, groups: Sequence[Sequence[int]], resampling: Resampling
) -> list[Interval]:
    """Return the mean F1 of each group of classes, over all records.

    A slice of the records cannot say it: whoever is wrongly taken for a class is outside.
    """
    counts = judged.counts()
    weights = resampling.weights(len(judged))
    spread = np.concatenate([class_f1_of(some @ counts) for some in weights])
    whole = class_f1_of(counts.sum(axis=0, keepdims=True))[0]
    return [
        resampling.interval(spread[:, group].mean(axis=1), float(whole[group].mean()))
        for group in map(list, groups)
    ]
