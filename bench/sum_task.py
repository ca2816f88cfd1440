"""What both sides of the secure-sum bench are given, and what they answer with.

One task is one set of deltas and weights and the regions that are lost after they dealt their
shares and before they sent a vector. Time is CPU time of this process, all threads.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from protocol.rotation import Rotation

LAYERS = 64
"""The deltas are made of this many stretches, each with a scale of its own."""
LARGEST = 8.0
"""The largest magnitude of a delta: Flower's default clipping range, so its grid is used whole."""
SERVER = -1
"""The party that is no region."""
_SHIFT = 7
_SUM_SLICE = 1 << 20
_EXAMPLES = (1000, 500)
"""Flower's weights, by turns; 1000 is the largest that its defaults take."""

Vector = NDArray[np.float32]


class Deltas:
    """The deltas of ``size`` regions: windows of one long vector, each shifted by 7 more.

    Heavy tails within a layer (Student's t, 3 degrees of freedom) and a log-normal scale for each
    layer, as deltas of a transformer have.
    """

    def __init__(self, dim: int, size: int, *, seed: int = 0) -> None:
        generator = np.random.default_rng(seed)
        self.dim, self.size = dim, size
        self._long = generator.standard_t(3, dim + _SHIFT * size).astype(np.float32)
        scales = generator.lognormal(size=LAYERS).astype(np.float32)
        for layer, part in enumerate(np.array_split(self._long, LAYERS)):
            part *= scales[layer]
        self._long *= np.float32(LARGEST / np.abs(self._long).max())
        self._bounds: dict[bytes, tuple[float, ...]] = {}

    def of(self, region: int) -> Vector:
        """Return a region's delta, shape (d,), a view."""
        return self._long[_SHIFT * region : _SHIFT * region + self.dim]

    def layer_sizes(self) -> tuple[int, ...]:
        """Return the number of coordinates of each layer."""
        return tuple(part.size for part in np.array_split(self.of(0), LAYERS))

    def bounds(self, rotation_seed: bytes) -> tuple[float, ...]:
        """Return each layer's largest magnitude over all regions, rotated if there is a seed.

        A plan fixes its bounds before it runs; these are the data's own, so that nothing is
        clipped on either side.
        """
        if rotation_seed not in self._bounds:
            largest = [self._largest(region, rotation_seed) for region in range(self.size)]
            self._bounds[rotation_seed] = tuple(map(max, zip(*largest, strict=True)))
        return self._bounds[rotation_seed]

    def _largest(self, region: int, rotation_seed: bytes) -> list[float]:
        rotation = Rotation(rotation_seed) if rotation_seed else None
        found = []
        for part in np.array_split(self.of(region), LAYERS):
            values = part.copy()
            if rotation is not None:
                rotation.forward(values)
            found.append(float(np.abs(values).max()))
        return found


@dataclass(frozen=True)
class Task:
    """A sum to make.

    Attributes:
        deltas: What the regions hold.
        lost: Positions of the regions that send no vector.
    """

    deltas: Deltas
    lost: frozenset[int]

    @classmethod
    def losing(cls, deltas: Deltas, percent: int) -> Task:
        """Return the task that loses this share of the regions, spread over the cohort."""
        count = round(deltas.size * percent / 100)
        spread = [int(position) for position in np.linspace(0, deltas.size - 1, count)]
        return cls(deltas, frozenset(spread))

    @property
    def size(self) -> int:
        """Number of regions, N."""
        return self.deltas.size

    @property
    def dim(self) -> int:
        """Number of coordinates, d."""
        return self.deltas.dim

    @property
    def threshold(self) -> int:
        """Fewest regions that can finish the round, for both sides: floor(2n/3) + 1."""
        return 2 * self.size // 3 + 1

    @property
    def survivors(self) -> tuple[int, ...]:
        """Positions of the regions that send a vector."""
        return tuple(region for region in range(self.size) if region not in self.lost)

    def examples(self, region: int) -> int:
        """Return a region's weight as a count of examples."""
        return _EXAMPLES[region % len(_EXAMPLES)]

    @cached_property
    def plain_mean(self) -> NDArray[np.float64]:
        """The survivors' weighted mean in float64, shape (d,): what a secure sum should give."""
        total = sum(self.examples(region) for region in self.survivors)
        mean = np.zeros(self.dim)
        for low in range(0, self.dim, _SUM_SLICE):  # a slice stays in the cache
            part = slice(low, low + _SUM_SLICE)
            for region in self.survivors:
                mean[part] += self.deltas.of(region)[part] * (self.examples(region) / total)
        return mean

    def nmse(self, mean: NDArray[np.float64]) -> float:
        """Return the squared error of a mean over the squared length of the plain one."""
        error = mean - self.plain_mean
        return float(np.dot(error, error) / np.dot(self.plain_mean, self.plain_mean))


class Stopwatch:
    """CPU seconds, by party and step."""

    def __init__(self) -> None:
        self.seconds: dict[int, dict[str, float]] = defaultdict(lambda: defaultdict(float))

    @contextmanager
    def step(self, party: int, name: str) -> Iterator[None]:
        """Add what this block takes to a party's step."""
        began = time.process_time()
        try:
            yield
        finally:
            self.seconds[party][name] += time.process_time() - began

    def total(self, party: int) -> float:
        """Return all of a party's seconds."""
        return sum(self.seconds[party].values())

    def mean_steps(self, parties: Sequence[int]) -> dict[str, float]:
        """Return the mean over some parties, step by step."""
        names = list(dict.fromkeys(name for party in parties for name in self.seconds[party]))
        return {
            name: sum(self.seconds[party][name] for party in parties) / len(parties)
            for name in names
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one side took for one task; regions that were lost are in no mean.

    Attributes:
        client_s: CPU seconds of a region, all steps, mean over the measured regions.
        client_max_s: The largest of them.
        client_steps_s: The mean, step by step.
        server_s: CPU seconds of the server, all steps.
        server_steps_s: The same, step by step.
        up_bytes: What a measured region sends, mean.
        down_bytes: What it gets, mean.
        measured: How many regions ran whole.
        replayed: What was not run but taken from another measured run, in words; may be empty.
        nmse: Error of the decoded mean, or None where vectors were replayed.
        after_s: CPU seconds of a region to check and decode the published sum, in no other figure;
            None where the server hands out the mean itself.
    """

    client_s: float
    client_max_s: float
    client_steps_s: dict[str, float]
    server_s: float
    server_steps_s: dict[str, float]
    up_bytes: float
    down_bytes: float
    measured: int
    replayed: list[str] = field(default_factory=list)
    nmse: float | None
    after_s: float | None = None
