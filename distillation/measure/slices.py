"""Figures by part of the test set: where a good mean hides a bad place.

The slices are of public records: by a column such as the region, by label, by length, and the rare
classes together. A small slice is shown with its interval and marked, not left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from distillation.errors import TrainingError
from distillation.measure.bootstrap import (
    Interval,
    Resampling,
    class_f1_intervals,
    intervals,
)
from distillation.measure.judged import Figure, Integers, Judged

_SMALL = 30
"""Fewer records than this and a percentile interval is too narrow to be relied on."""
_RARE = 0.5
"""A class is rare when it has less than this share of an equal part of the records."""
_LENGTHS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """One part of the test set.

    Attributes:
        by: What it was cut by, such as ``label`` or a column's name.
        value: Which part.
        records: How many records it has.
        figures: Each figure with its interval.
    """

    by: str
    value: str
    records: int
    figures: Mapping[Figure, Interval]

    @property
    def is_small(self) -> bool:
        """Whether its intervals are not to be relied on."""
        return self.records < _SMALL

    def to_dict(self) -> dict[str, object]:
        """Return everything by name."""
        return {
            "by": self.by,
            "value": self.value,
            "records": self.records,
            "is_small": self.is_small,
            "figures": {figure.value: one.to_dict() for figure, one in self.figures.items()},
        }


def by_values(
    judged: Judged, values: Sequence[str], *, by: str, resampling: Resampling
) -> tuple[Slice, ...]:
    """Return a slice for each distinct value, in order.

    Args:
        judged: The answers.
        values: One a record.
        by: What the values are.
        resampling: How intervals are found; resamples stay within a slice.

    Raises:
        TrainingError: If there are not as many values as records.
    """
    if len(values) != len(judged):
        raise TrainingError(f"expected {len(judged)} values of {by}, got {len(values)}")
    column = np.asarray(values, dtype=object)
    return tuple(
        _slice(judged, np.flatnonzero(column == value), by, value, resampling)
        for value in sorted(set(values))
    )


def by_label(
    judged: Judged, classes: Sequence[str], *, resampling: Resampling
) -> tuple[Slice, ...]:
    """Return a slice for each class that has records, in the order of the classes."""
    there = [number for number in range(len(classes)) if (judged.labels == number).any()]
    groups = {classes[number]: [number] for number in there}
    return _by_class(judged, groups, "label", resampling)


def by_length(
    judged: Judged, lengths: Sequence[int], *, resampling: Resampling
) -> tuple[Slice, ...]:
    """Return up to four slices of like size by length in tokens, shortest first.

    Records of one length are never in two slices.
    """
    if len(lengths) != len(judged):
        raise TrainingError(f"expected {len(judged)} lengths, got {len(lengths)}")
    sizes = np.asarray(lengths, dtype=np.int64)
    cuts = np.quantile(sizes, np.arange(1, _LENGTHS) / _LENGTHS, method="lower")
    place = np.searchsorted(np.unique(cuts), sizes, side="left")
    found = []
    for number in np.unique(place):
        rows = np.flatnonzero(place == number)
        name = f"{sizes[rows].min()}–{sizes[rows].max()} tokens"
        found.append(_slice(judged, rows, "length", name, resampling))
    return tuple(found)


def rare_classes(judged: Judged, *, resampling: Resampling) -> tuple[Slice, ...]:
    """Return the records of rare classes and those of the others; nothing if no class is rare."""
    counts = np.bincount(judged.labels, minlength=judged.probabilities.shape[1])
    there = np.flatnonzero(counts)
    is_rare = counts[there] < _RARE * len(judged) / len(there)
    if not is_rare.any():
        return ()
    groups = {"rare": there[is_rare].tolist(), "other": there[~is_rare].tolist()}
    return _by_class(judged, groups, "class size", resampling)


def _by_class(
    judged: Judged, groups: Mapping[str, Sequence[int]], by: str, resampling: Resampling
) -> tuple[Slice, ...]:
    """Return the records of each group of classes, and the mean F1 of these over all records."""
    scores = class_f1_intervals(judged, list(groups.values()), resampling)
    found = []
    for (name, classes), score in zip(groups.items(), scores, strict=True):
        rows = np.flatnonzero(np.isin(judged.labels, classes))
        figures = dict(intervals(judged.subset(rows), resampling))
        del figures[Figure.MACRO_F1]  # within the slice nobody is wrongly taken for its classes
        figures[Figure.CLASS_F1] = score
        found.append(Slice(by=by, value=name, records=len(rows), figures=figures))
    return tuple(found)


def _slice(judged: Judged, rows: Integers, by: str, value: str, resampling: Resampling) -> Slice:
    figures = intervals(judged.subset(rows), resampling)
    return Slice(by=by, value=value, records=len(rows), figures=figures)
