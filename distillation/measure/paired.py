"""Is student A better than student B? Both answered the same public records, so pairs are compared.

Two tests: McNemar's exact one on right and wrong, and for every figure a randomisation test, which
swaps the two students' answers record by record (Noreen 1989; Yeh 2000 for F1). The intervals of
the differences draw the same records for both.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from distillation.errors import TrainingError
from distillation.measure.bootstrap import Interval, Resampling
from distillation.measure.judged import Figure, Floats, Judged, macro_f1_of

_ROUNDING = 1e-12
"""Differences that differ by less are the same: sums in another order are not evidence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A minus B in one figure.

    Attributes:
        interval: The difference with its bootstrap interval.
        p_value: Chance of one at least as large if the students were alike.
    """

    interval: Interval
    p_value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedResult:
    """How two students compare on the same records.

    Attributes:
        only_first: Records that only A has right.
        only_second: Records that only B has right.
        mcnemar_p: McNemar's exact two-sided p-value.
        differences: A minus B, by figure.
    """

    only_first: int
    only_second: int
    mcnemar_p: float
    differences: Mapping[Figure, Difference]

    def to_dict(self) -> dict[str, object]:
        """Return everything by name."""
        return {
            "only_first": self.only_first,
            "only_second": self.only_second,
            "mcnemar_p": self.mcnemar_p,
            "differences": {
                figure.value: {**one.interval.to_dict(), "p_value": one.p_value}
                for figure, one in self.differences.items()
            },
        }


def compare(first: Judged, second: Judged, resampling: Resampling) -> PairedResult:
    """Compare two students on the same records.

    Raises:
        TrainingError: If the records differ.
    """
    if not np.array_equal(first.labels, second.labels):
        raise TrainingError("expected both students' answers to the same records, in one order")
    only_first = int((first.right & ~second.right).sum())
    only_second = int((second.right & ~first.right).sum())
    spreads, estimates = _bootstrapped(first, second, resampling), _gaps(first, second)
    swapped = _swapped(first, second, resampling)
    differences = {
        figure: Difference(
            interval=resampling.interval(spreads[figure], gap),
            p_value=_share_at_least(swapped[figure], gap),
        )
        for figure, gap in estimates.items()
    }
    return PairedResult(
        only_first=only_first,
        only_second=only_second,
        mcnemar_p=mcnemar(only_first, only_second),
        differences=differences,
    )


def mcnemar(only_first: int, only_second: int) -> float:
    """Return the exact two-sided p-value: a fair coin for each record that one alone has right."""
    number, fewer = only_first + only_second, min(only_first, only_second)
    if not number:
        return 1.0
    terms = [
        math.exp(
            math.lgamma(number + 1) - math.lgamma(k + 1) - math.lgamma(number - k + 1)
            - number * math.log(2)
        )
        for k in range(fewer + 1)
    ]  # fmt: skip
    return min(1.0, 2 * math.fsum(terms))


def _gaps(first: Judged, second: Judged) -> dict[Figure, float]:
    a, b = first.figures(), second.figures()
    return {figure: a[figure] - b[figure] for figure in a if figure in b}


def _bootstrapped(first: Judged, second: Judged, resampling: Resampling) -> dict[Figure, Floats]:
    pieces = []
    for weights in resampling.weights(len(first)):
        a, b = first.weighted(weights), second.weighted(weights)
        pieces.append({figure: a[figure] - b[figure] for figure in a if figure in b})
    return {f: np.concatenate([piece[f] for piece in pieces]) for f in pieces[0]}


def _swapped(first: Judged, second: Judged, resampling: Resampling) -> dict[Figure, Floats]:
    """Return the differences after random swaps of the two answers to each record, (B,) each."""
    rng = np.random.default_rng([resampling.seed, 1])
    keep = rng.integers(0, 2, (resampling.resamples, len(first)), dtype=np.int8)
    signs = 2.0 * keep - 1
    a, b = first.per_record(), second.per_record()
    found = {f: signs @ (a[f] - b[f]) / len(first) for f in a if f in b}
    own, other = first.counts(), second.counts()
    moved = (1.0 - keep) @ (other - own)
    found[Figure.MACRO_F1] = macro_f1_of(own.sum(axis=0) + moved) - macro_f1_of(
        other.sum(axis=0) - moved
    )
    return found


def _share_at_least(swapped: Floats, gap: float) -> float:
    """Return the p-value; the records as they are count as one of the swaps."""
    extreme = int((np.abs(swapped) >= abs(gap) - _ROUNDING).sum())
    return (1 + extreme) / (1 + len(swapped))
