"""How the mean of the regions' deltas becomes the next student: the same arithmetic on both sides.

The server publishes the integer sum; each region applies this rule itself and refuses a model
that it did not compute. So the rule is plain float64 numpy, the same bits everywhere.
"""

import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptimizer:
    """Momentum on the mean delta: v ← β v + Δ, w ← w + η v (Reddi et al. 2021, FedAvgM).

    Attributes:
        learning_rate: η > 0; 1 with β = 0 is federated averaging.
        momentum: β in [0, 1).
    """

    learning_rate: float = 1.0
    momentum: float = 0.0

    def __post_init__(self) -> None:
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
    """

    weights: Vector
    velocity: NDArray[np.float64]

    @classmethod
    def start(cls, weights: Vector) -> "ModelState":
        """Return the state before the first round."""
        return cls(weights, np.zeros(len(weights)))

    @property
    def hash(self) -> bytes:
        """SHA-256 over weights and velocity, 32 bytes: what both sides must agree on."""
        weights = self.weights.astype("<f4").tobytes()
        velocity = self.velocity.astype("<f8").tobytes()
        return sha256(sha256(weights).digest() + sha256(velocity).digest()).digest()

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the state as named arrays, for `numpy.savez`."""
        return {"weights": self.weights, "velocity": self.velocity}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "ModelState":
        """Return the state that `arrays` gave.

        Raises:
            KeyError: If an array is missing.
        """
        return cls(
            weights=arrays["weights"].astype(np.float32),
            velocity=arrays["velocity"].astype(np.float64),
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
    velocity = optimizer.momentum * state.velocity + mean_delta
    weights = state.weights.astype(np.float64) + optimizer.learning_rate * velocity
    return ModelState(weights.astype(np.float32), velocity)
