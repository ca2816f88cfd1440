"""The shape of what is trained: which tensors, in which order, as one flat vector.

A delta on the wire is one float32 vector; both sides must agree on what each coordinate means.
A `Layout` is that agreement, and its hash stands in the plan and in every round's context.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from distillation.errors import ArtifactError

Vector: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Layout:
    """Names and shapes of the trained tensors, sorted by name; all are float32.

    Attributes:
        tensors: One ``(name, shape)`` a tensor, with the name in the unwrapped student.
    """

    tensors: tuple[tuple[str, tuple[int, ...]], ...]

    def __post_init__(self) -> None:
        names = [name for name, _ in self.tensors]
        if not names or names != sorted(set(names)):
            raise ArtifactError("expected at least one trained tensor, sorted by name, none twice")

    @classmethod
    def of(cls, tensors: Mapping[str, torch.Tensor]) -> Self:
        """Return the layout of these tensors, whatever their order."""
        return cls(tuple((name, tuple(tensors[name].shape)) for name in sorted(tensors)))

    @property
    def size(self) -> int:
        """Number of trained parameters, d."""
        return sum(math.prod(shape) for _, shape in self.tensors)

    @property
    def hash(self) -> bytes:
        """SHA-256 over (name, shape, dtype) of every tensor, in order."""
        rows = [[name, list(shape), "float32"] for name, shape in self.tensors]
        return hashlib.sha256(json.dumps(rows, separators=(",", ":")).encode()).digest()

    def flatten(self, tensors: Mapping[str, torch.Tensor]) -> Vector:
        """Return the tensors as one new vector of shape (d,).

        Raises:
            ArtifactError: If the names or shapes are not those of this layout.
        """
        if Layout.of(tensors) != self:
            raise ArtifactError(
                "the tensors are not those of the layout: expected "
                f"{[name for name, _ in self.tensors]}, got {sorted(tensors)}"
            )
        parts = [
            tensors[name].detach().to(torch.float32).reshape(-1).numpy() for name, _ in self.tensors
        ]
        return np.concatenate(parts)

    def unflatten(self, vector: Vector) -> dict[str, torch.Tensor]:
        """Return the tensors that a vector of shape (d,) holds, as copies.

        Raises:
            ArtifactError: If the vector has another size.
        """
        if vector.shape != (self.size,):
            raise ArtifactError(f"expected a vector of {self.size} values, got {vector.shape}")
        tensors, start = {}, 0
        for name, shape in self.tensors:
            stop = start + math.prod(shape)
            values = torch.from_numpy(vector[start:stop].astype(np.float32, copy=True))
            tensors[name] = values.reshape(shape)
            start = stop
        return tensors
