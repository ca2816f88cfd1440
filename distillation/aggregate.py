"""How the mean of the regions' deltas becomes the next student: the same arithmetic on both sides.

The server publishes the integer sum; each region applies this rule itself and refuses a model
that it did not compute. So the rule is plain float64 numpy: additions, products, quotients and
roots of single elements, which IEEE 754 rounds alike everywhere. All of it is post-processing.
"""

import math
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from lzma import LZMAError

import numpy as np
from numpy.typing import NDArray

from distillation.errors import TrainingError
from distillation.layout import Vector

UNREADABLE = (
    EOFError,
    KeyError,
    LZMAError,
    OSError,
    RuntimeError,
    ValueError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What `numpy.load` and `ModelState.from_arrays` raise for a damaged file."""


@dataclass(frozen=True, slots=True)
class Squares:
    """How Adam scales each coordinate by what it moved before.

    Attributes:
        momentum: β₂ in [0, 1).
        adaptivity: τ > 0, added to the root.
    """

    momentum: float
    adaptivity: float

    def __post_init__(self) -> None:
        if not (0 <= self.momentum < 1 and 0 < self.adaptivity < math.inf):
            raise TrainingError(
                "expected a second momentum in [0, 1) and a finite adaptivity > 0, got "
                f"{self.momentum} and {self.adaptivity}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptimizer:
    """A rule on the mean delta Δ (Reddi et al. 2021, FedAvgM and FedAdam).

    Without squares: m ← β m + Δ, w ← w + η m. With them: m ← β m + (1 − β) Δ,
    s ← β₂ s + (1 − β₂) Δ², w ← w + η m / (√s + τ).

    Attributes:
        learning_rate: η > 0; 1 with β = 0 is federated averaging.
        momentum: β in [0, 1).
        squares: Adam's part; None: plain momentum.
        average: The released weights are the mean of the last so many rounds' (Polyak and
            Juditsky 1992); training goes on from the last round's own.
    """

    learning_rate: float = 1.0
    momentum: float = 0.0
    squares: Squares | None = None
    average: int = 1

    def __post_init__(self) -> None:
        if self.average < 1:
            raise TrainingError(f"expected a mean over at least 1 round, got {self.average}")
        if not (self.learning_rate > 0 and 0 <= self.momentum < 1):
            raise TrainingError(
                "expected a server learning rate > 0 and a momentum in [0, 1), got "
                f"{self.learning_rate} and {self.momentum}"
            )


@dataclass(frozen=True, slots=True)
class ModelState:
    """The trained tensors after some rounds, with what the server optimizer remembers.

    Attributes:
        weights: (d,), float32.
        velocity: (d,), float64.
        squares: (d,), float64; empty for a rule without.
        recent: The weights after the last rounds, the latest last, (n, d), float32; (0, d) where
            nothing is averaged.
    """

    weights: Vector
    velocity: NDArray[np.float64]
    squares: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    recent: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0), np.float32))

    @classmethod
    def start(cls, weights: Vector) -> "ModelState":
        """Return the state before the first round."""
        return cls(weights, np.zeros(len(weights)))

    @property
    def hash(self) -> bytes:
        """SHA-256 over all of it, 32 bytes: what both sides must agree on."""
        weights = self.weights.astype("<f4").tobytes()
        velocity = self.velocity.astype("<f8").tobytes()
        parts = sha256(weights).digest() + sha256(velocity).digest()
        if self.squares.size or self.recent.size:  # a third and fourth part, if there are any
            parts += sha256(self.squares.astype("<f8").tobytes()).digest()
            parts += sha256(self.recent.astype("<f4").tobytes()).digest()
        return sha256(parts).digest()

    @property
    def released(self) -> Vector:
        """The weights that are evaluated and released, (d,), float32."""
        if not self.recent.size:
            return self.weights
        total = np.zeros(len(self.weights))
        for weights in self.recent:  # one by one: the order of a sum is part of its bits
            total = total + weights.astype(np.float64)
        mean: Vector = (total / len(self.recent)).astype(np.float32)
        return mean

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the state as named arrays, for `numpy.savez`."""
        kept: dict[str, np.ndarray] = {"weights": self.weights, "velocity": self.velocity}
        if self.squares.size:
            kept["squares"] = self.squares
        if self.recent.size:
            kept["recent"] = self.recent
        return kept

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "ModelState":
        """Return the state that `arrays` gave.

        Raises:
            KeyError: If an array is missing.
        """
        return cls(
            weights=arrays["weights"].astype(np.float32),
            velocity=arrays["velocity"].astype(np.float64),
            squares=arrays.get("squares", np.zeros(0)).astype(np.float64),
            recent=arrays.get("recent", np.zeros((0, 0))).astype(np.float32),
        )


def advance(
    state: ModelState, mean_delta: NDArray[np.float64], optimizer: ServerOptimizer
) -> ModelState:
    """Return the state after one round whose weighted mean delta is ``mean_delta``, (d,).

    Raises:
        TrainingError: If the delta has another size or is not finite.
    """
    if mean_delta.shape != state.weights.shape or not np.isfinite(mean_delta).all():
        raise TrainingError(
            f"expected a finite mean delta of shape {state.weights.shape}, got {mean_delta.shape}"
        )
    velocity, squares, direction = _moved(state, mean_delta, optimizer)
    weights = state.weights.astype(np.float64) + optimizer.learning_rate * direction
    after = weights.astype(np.float32)
    return ModelState(after, velocity, squares, _recent(state, after, optimizer.average))


def _moved(
    state: ModelState, mean_delta: NDArray[np.float64], optimizer: ServerOptimizer
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return the memory of the mean, that of the squares, and the direction of the step."""
    if optimizer.squares is None:
        velocity = optimizer.momentum * state.velocity + mean_delta
        return velocity, state.squares, velocity
    first, second = optimizer.momentum, optimizer.squares.momentum
    before = state.squares if state.squares.size else np.zeros(len(mean_delta))
    velocity = first * state.velocity + (1 - first) * mean_delta
    squares = second * before + (1 - second) * (mean_delta * mean_delta)
    return velocity, squares, velocity / (np.sqrt(squares) + optimizer.squares.adaptivity)


def _recent(state: ModelState, after: Vector, average: int) -> NDArray[np.float32]:
    """Return the last rounds' weights, these included; none where nothing is averaged."""
    if average == 1:
        return state.recent
    known = state.recent.reshape(-1, len(after))[-(average - 1) :]
    return np.concatenate([known, after[np.newaxis]])
