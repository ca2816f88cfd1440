"""Are a released student's scores of members higher than of others? An exact test, with its power.

The line that separates is chosen on half of the records and judged on the other half, where both
shares have exact intervals (Clopper, Pearson 1934). Members count as told apart if the lower end of
their share above the line exceeds the upper end of the others'; a student that treats both alike is
called so with probability 5 % at most. This is no bound of ε: members were not chosen by coins.
"""

import math
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from distillation.audit.errors import AuditError
from distillation.audit.membership import Interval, clopper_pearson

LEAST = 20
"""Records on each side, at least."""

_RUNS = 400
_DETECTED = 0.9
_GRID = 100
_PUBLIC_SEED = 1  # of the split and the simulation; no privacy rests on it


class Told(StrEnum):
    """What a test may say; never that nothing leaks."""

    APART = "told apart"
    NOT_APART = "not told apart by this test"
    UNINFORMATIVE = "uninformative"


@dataclass(frozen=True, slots=True)
class Separation:
    """Two shares on the judging half, what could have been shown, and what would have been seen.

    Attributes:
        members: Share of the members above the line.
        others: Share of the others above it.
        cap: The least advantage that would have been shown had every record been on its side.
        power: The smallest advantage that 9 of 10 simulated tests would have seen; None: none.
    """

    members: Interval
    others: Interval
    cap: float
    power: float | None

    @property
    def advantage(self) -> float:
        """By how much members are above the line more often, at least; 0 if that is not shown."""
        return max(0.0, self.members.low - self.others.high)

    @property
    def verdict(self) -> Told:
        """What may be said."""
        if self.advantage > 0:
            return Told.APART
        return Told.NOT_APART if self.cap > 0 and self.power is not None else Told.UNINFORMATIVE

    @property
    def sentence(self) -> str:
        """The verdict with both shares, cap and power."""
        shares = (
            f"{self.members.value:.3f} [{self.members.low:.3f}, {self.members.high:.3f}] of them "
            f"against {self.others.value:.3f} [{self.others.low:.3f}, {self.others.high:.3f}] of "
            "others"
        )
        cap = f"at most {max(0.0, self.cap):.3f} could be shown with so many"
        if self.verdict is Told.APART:
            return f"{self.verdict}: {shares}; advantage at least {self.advantage:.3f}, {cap}"
        if self.power is None or self.verdict is Told.UNINFORMATIVE:
            return f"{self.verdict}: {shares}; no advantage would have been seen: use more records"
        return (
            f"{self.verdict}: {shares}; an advantage of {self.power:.2f} would have been seen in 9 "
            f"of 10 tests, a smaller one less often, {cap}; a stronger attack may see more"
        )


def told_apart(members: NDArray[np.float64], others: NDArray[np.float64]) -> Separation:
    """Return how well scores separate members from others.

    Args:
        members: One score a member, (n,); high where it seems to have been in.
        others: One a record that was not, (k,).

    Raises:
        AuditError: If a score is not finite, or there are fewer than 20 on a side.
    """
    for scores in (members, others):
        if len(scores) < LEAST or not np.isfinite(scores).all():
            raise AuditError(
                f"expected finite scores of at least {LEAST} members and as many others, got "
                f"{len(members)} and {len(others)} records"
            )
    chance = np.random.default_rng(_PUBLIC_SEED)
    choosing_in, judging_in = _halves(members, chance)
    choosing_out, judging_out = _halves(others, chance)
    line = _line(choosing_in, choosing_out)
    return separation(
        int((judging_in > line).sum()),
        len(judging_in),
        int((judging_out > line).sum()),
        len(judging_out),
    )


def separation(hits: int, members: int, alarms: int, others: int) -> Separation:
    """Return what counts of yes among members and among others show."""
    return Separation(
        members=clopper_pearson(hits, members),
        others=clopper_pearson(alarms, others),
        cap=clopper_pearson(members, members).low - clopper_pearson(0, others).high,
        power=_power(members, others),
    )


def _halves(
    scores: NDArray[np.float64], chance: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    mixed = chance.permutation(scores)
    return mixed[: len(mixed) // 2], mixed[len(mixed) // 2 :]


def _line(members: NDArray[np.float64], others: NDArray[np.float64]) -> float:
    """Return the score above which members are most ahead of others."""
    lines = np.unique(np.concatenate([members, others]))
    ahead = [(members > line).mean() - (others > line).mean() for line in lines]
    return float(lines[int(np.argmax(ahead))]) if max(ahead) > 0 else math.inf


@lru_cache(maxsize=64)
def _power(members: int, others: int) -> float | None:
    """Return the smallest advantage, around one half, that 9 of 10 simulated tests see."""
    chance = np.random.default_rng(_PUBLIC_SEED)
    lows = np.array([clopper_pearson(count, members).low for count in range(members + 1)])
    highs = np.array([clopper_pearson(count, others).high for count in range(others + 1)])
    for step in range(1, _GRID + 1):
        advantage = step / _GRID
        hits = chance.binomial(members, 0.5 + advantage / 2, _RUNS)
        alarms = chance.binomial(others, 0.5 - advantage / 2, _RUNS)
        if (lows[hits] > highs[alarms]).mean() >= _DETECTED:
            return advantage
    return None
