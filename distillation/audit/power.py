"""What an audit could have seen, found before it is run: how many guesses, and its power.

The mechanism of the plan is simulated with less noise than planned: each present canary adds one
clip norm to its own coordinate in each step that samples it, and the coordinate has the noise of
all steps. That is what the white-box audit sees, so the number of guesses that detects the mildest
deficit there is the one it makes. Nothing here knows a score of a real run.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from distillation.audit.errors import AuditError
from distillation.audit.one_run import Guesses
from distillation.audit.result import NO_POWER

Refutes = Callable[[Guesses], bool]
"""Whether guesses refute the claim."""

SHARES = tuple(Decimal(share) / 50 for share in range(50))
"""Shares of the planned noise that are tried: 0, 0.02, … 0.98."""

DETECTED = 0.9
"""A deficit counts as detectable if so many of the simulated runs show it."""

_MADE = (1.0, 0.8, 0.65, 0.5, 0.4, 0.3, 0.2, 0.1)
_RUNS = 50
_PUBLIC_SEED = 1  # of a simulation; no privacy rests on it


@dataclass(frozen=True, slots=True, kw_only=True)
class Releases:
    """The releases that a claim is about.

    Attributes:
        noise_multiplier: σ, over the clip norm.
        sample_rate: q.
        steps: T, all private steps together.
    """

    noise_multiplier: float
    sample_rate: float
    steps: int


@dataclass(frozen=True, slots=True)
class Design:
    """How an audit is run, fixed before a score is seen.

    Attributes:
        made: r, the number of guesses.
        least_right: So many right guesses refute the claim; None: not even r of them do.
        detects: The largest share of the planned noise that it would detect in 9 of 10 runs;
            None: it would not even see that all noise is missing.
    """

    made: int
    least_right: int | None
    detects: Decimal | None

    @property
    def power(self) -> Decimal | str:
        """`detects` as a result holds it."""
        return NO_POWER if self.detects is None else self.detects


def least_right(canaries: int, made: int, refutes: Refutes) -> int | None:
    """Return how many of r guesses have to be right to refute the claim; None: r are too few."""
    if not refutes(Guesses(canaries=canaries, made=made, right=made)):
        return None
    low, high = 0, made  # `high` refutes; more right guesses refute more
    while high - low > 1:
        middle = (low + high) // 2
        if refutes(Guesses(canaries=canaries, made=made, right=middle)):
            high = middle
        else:
            low = middle
    return high


def design(canaries: int, releases: Releases, refutes: Refutes) -> Design:
    """Return the number of guesses that detects the mildest deficit of noise, and which that is.

    Raises:
        AuditError: If there are fewer than 20 canaries.
    """
    if canaries < 20:
        raise AuditError(f"expected at least 20 canaries, got {canaries}: nothing would be shown")
    sizes = sorted({2 * round(canaries * share / 2) for share in _MADE}, reverse=True)
    needed = {made: least_right(canaries, made, refutes) for made in sizes}
    shown: dict[int, Decimal | None] = dict.fromkeys(sizes)
    for share in SHARES:
        right = simulate(canaries, releases, sizes, float(share), runs=_RUNS)
        for made in sizes:
            least = needed[made]
            if least is not None and (right[made] >= least).mean() >= DETECTED:
                shown[made] = share
    best = max(sizes, key=lambda made: (-1 if shown[made] is None else shown[made], made))
    return Design(best, needed[best], shown[best])


def simulate(
    canaries: int,
    releases: Releases,
    sizes: Sequence[int],
    share: float,
    *,
    runs: int,
    seed: int = _PUBLIC_SEED,
) -> dict[int, NDArray[np.int64]]:
    """Return the right guesses of simulated runs, (runs,), for each number of guesses.

    Args:
        canaries: m.
        releases: What is simulated.
        sizes: Numbers of guesses, even.
        share: Of the planned noise that is there, >= 0.
        runs: How many.
        seed: Of the simulation.
    """
    chance = np.random.default_rng(seed)
    noise = share * releases.noise_multiplier * releases.steps**0.5
    right = {made: np.empty(runs, dtype=np.int64) for made in sizes}
    for run in range(runs):
        coins = chance.random(canaries) < 0.5
        sampled = chance.binomial(releases.steps, releases.sample_rate, canaries)
        scores = coins * sampled + noise * chance.standard_normal(canaries)
        ordered = coins[np.argsort(scores)]
        outs, ins = np.cumsum(~ordered), np.cumsum(ordered[::-1])
        for made in sizes:
            right[made][run] = outs[made // 2 - 1] + ins[made // 2 - 1]
    return right
