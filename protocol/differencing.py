"""Which survivors a region may help to sum, given all earlier sums of the plan.

Sums over different sets can be added and subtracted: over {1..9} and {1..8} they give region 9.
Models change little from round to round, so that this works nearly as well across rounds (So et
al. 2023, "Securing secure aggregation"). Comparing sets by distance is not enough: for disjoint
P, Q, R and S1 = v+P+Q, S2 = v+Q+R, S3 = v+P+R, S4 = P+Q+R, the sums give 3v = S1+S2+S3 - 2·S4.

The rule here: regions that were in the same sets are one group, and no group may be smaller than
``least``. Every combination of sums gives all regions of a group one weight, so whatever the server
computes, each region stands in it beside ``least`` - 1 others of the same weight. The rule is
sufficient, not necessary: a few harmless sets are refused too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TypeAlias

SurvivorSet: TypeAlias = frozenset[bytes]


def allows(accepted: Iterable[SurvivorSet], proposed: SurvivorSet, *, least: int) -> bool:
    """Return whether a sum over ``proposed`` tells no group of fewer than ``least`` regions apart.

    Args:
        accepted: The sets of all sums of a plan, those without this region too.
        proposed: The set of the next one; not empty.
        least: Smallest number of regions that may differ from all others.
    """
    sets = {*accepted, proposed}
    groups = Counter(
        frozenset(one for one in sets if region in one)
        for region in frozenset[bytes]().union(*sets)
    )
    return min(groups.values()) >= least
