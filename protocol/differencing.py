"""Which survivors a region may help to sum, given all earlier sums of the plan.

Sums over different sets can be added and subtracted: over {1..9} and {1..8} they give region 9.
Models change little from round to round, so that this works nearly as well across rounds (So et
al. 2023, "Securing secure aggregation"). Comparing sets by distance is not enough: for disjoint
P, Q, R and S1 = v+P+Q, S2 = v+Q+R, S3 = v+P+R, S4 = P+Q+R, the sums give 3v = S1+S2+S3 - 2·S4.

The rule here: regions that were in the same sets so far are one group. No combination of the
accepted sets may vanish on every group of at least ``least`` regions without vanishing at all. So
whatever the server can compute from sums covers a whole group of that size. It is sufficient, not
necessary: a few harmless sets are refused too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import TypeAlias

SurvivorSet: TypeAlias = frozenset[bytes]


def allows(accepted: Iterable[SurvivorSet], proposed: SurvivorSet, *, least: int) -> bool:
    """Return whether a sum over ``proposed`` shows no combination of fewer than ``least`` regions.

    Args:
        accepted: The sets of all sums of a plan, those without this region too.
        proposed: The set of the next one.
        least: Smallest number of regions that a combination may consist of.
    """
    sets = sorted({*accepted, proposed}, key=sorted)
    sizes = Counter(
        tuple(region in one for one in sets) for region in frozenset[bytes]().union(*sets)
    )
    large = [group for group, size in sizes.items() if size >= least]
    return _rank(large, len(sets)) == _rank(list(sizes), len(sets))


def _rank(columns: Sequence[tuple[bool, ...]], rows: int) -> int:
    """Return the rank, over the rationals, of the matrix with these columns of 0 and 1."""
    reduced: list[tuple[int, list[Fraction]]] = []
    for column in columns:
        left = [Fraction(int(entry)) for entry in column]
        for pivot, row in reduced:
            if left[pivot]:
                factor = left[pivot]
                left = [a - factor * b for a, b in zip(left, row, strict=True)]
        first = next((index for index, entry in enumerate(left) if entry), None)
        if first is not None:
            reduced.append((first, [entry / left[first] for entry in left]))
        if len(reduced) == rows:
            break
    return len(reduced)
