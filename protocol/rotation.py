"""A public random rotation: it spreads a delta's outliers over 4096 coordinates.

Signs from a public seed, then a Hadamard matrix for each piece of 4096 coordinates (Suresh et al.
2017, section 3). What follows the last whole piece is cut into powers of two, largest first, so
nothing is padded. A piece of 4096 is a 64 × 64 matrix X, and its transform is H X H with H of
order 64: two matrix products, on numpy's BLAS.

All factors are ±1 and powers of two, so the way back from integers below 2**40 is exact in float64
in whatever order a BLAS adds: every machine gets the same bits.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache
from typing import Any, NoReturn, TypeAlias

import numpy as np
from numpy.typing import NDArray

from protocol.keystream import Keystream, derive

Values: TypeAlias = "NDArray[np.float32] | NDArray[np.float64]"

PIECE = 1 << 12
BATCH = 8 * PIECE  # coordinates at a time: they and their scratch stay in the cache
_HALF_BITS = 6  # a piece is a matrix of at most 2**6 columns


class Rotation:
    """One rotation, applied from a vector's first coordinate to its last, in one direction.

    Consecutive calls take consecutive stretches. Each stretch is rotated by itself; where one is
    cut into several calls, every cut must lie a multiple of 4096 from the start of the stretch.
    """

    __slots__ = ("_flips", "_scratch", "_signs")

    def __init__(self, seed: bytes) -> None:
        """Start at the first coordinate.

        Args:
            seed: 32 public bytes, the same for every region of a round.

        Raises:
            ValueError: If the seed has another size.
        """
        if len(seed) != 32:
            raise ValueError(f"expected a rotation seed of 32 bytes, got {len(seed)}")
        self._signs = Keystream(derive(seed, info=b"FSA1/rotation"))
        self._flips = np.empty(BATCH, np.uint8)
        self._scratch = np.empty(BATCH, np.float64)

    def forward(self, values: Values) -> None:
        """Rotate the next coordinates, in place; lengths of vectors are kept.

        Args:
            values: Shape (k,), contiguous. A NaN or an infinity spreads over its whole piece.
        """
        for batch in _batches(values):
            self._flip(batch)
            self._transform(batch)

    def backward(self, values: Values) -> None:
        """Undo ``forward`` on the next coordinates, in place.

        Guarantees: integers below 2**40 in float64 come back as the same bits on every machine.

        Args:
            values: Shape (k,), contiguous.
        """
        for batch in _batches(values):
            self._transform(batch)
            self._flip(batch)
            batch += 0.0  # which zeros are negative depends on the BLAS; this makes all positive

    def _flip(self, values: Values) -> None:
        """Change the sign where the lowest bit of the coordinate's byte is 1."""
        flips = self._flips[: values.size]
        self._signs.fill(flips)
        bits = values.view(np.uint32 if values.itemsize == 4 else np.uint64)
        mask = self._scratch.view(bits.dtype)[: values.size]
        np.copyto(mask, flips)
        np.left_shift(mask, 8 * values.itemsize - 1, out=mask)
        np.bitwise_xor(bits, mask, out=bits)

    def _transform(self, values: Values) -> None:
        """Apply the normalised Hadamard transform to pieces of one size."""
        size = min(PIECE, 1 << (values.size.bit_length() - 1))
        exponent = size.bit_length() - 1
        columns = min(exponent, _HALF_BITS)
        rows = exponent - columns
        matrices = values.reshape(-1, 1 << rows, 1 << columns)
        half = self._scratch.view(values.dtype)[: values.size].reshape(matrices.shape)
        # A product of one matrix at a time: a BLAS starts no threads for so small a one.
        with np.errstate(over="ignore", invalid="ignore"):  # the caller looks at what comes out
            np.matmul(matrices, _hadamard(columns, values.dtype, exponent // 2), out=half)
            np.matmul(_hadamard(rows, values.dtype, 0), half, out=matrices)
        if exponent % 2:
            np.multiply(values, math.sqrt(0.5), out=values)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Rotation is a position in a stream: it cannot be copied or stored")


def rotate(values: Values, seed: bytes, *, inverse: bool = False) -> None:
    """Rotate a whole vector, or rotate it back, in place.

    Args:
        values: Shape (d,), contiguous, float32 or float64; keeps its length up to rounding.
        seed: 32 public bytes.
        inverse: Undo the rotation instead.

    Raises:
        ValueError: If the seed has another size.
    """
    rotation = Rotation(seed)
    if inverse:
        rotation.backward(values)
    else:
        rotation.forward(values)


def _batches(values: Values) -> Iterator[Values]:
    """Yield whole pieces, some at a time, then the tail as powers of two, largest first."""
    start = 0
    while left := values.size - start:
        size = 1 << (min(left, BATCH).bit_length() - 1)  # above 4096, whole pieces
        yield values[start : start + size]
        start += size


@cache
def _hadamard(exponent: int, dtype: np.dtype[Any], halvings: int) -> NDArray[Any]:
    """Return Sylvester's matrix of order 2**exponent over 2**halvings, which is exact."""
    matrix = np.full((1, 1), 0.5**halvings, dtype)
    for _ in range(exponent):
        matrix = np.block([[matrix, matrix], [matrix, -matrix]])
    matrix.flags.writeable = False
    return matrix
