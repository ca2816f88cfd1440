"""A public random rotation: it spreads a delta's outliers over 4096 coordinates.

Signs from a public seed, then a Hadamard matrix for each piece of 4096 coordinates (Suresh et al.
2017, section 3). What follows the last whole piece is cut into powers of two, largest first, down
to 64, so that nothing is padded; fewer than 64 coordinates stay in place. A piece of 4096 is a
64 × 64 matrix X, and its transform is H X H with H of order 64: two matrix products, on numpy's
BLAS.

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
_LEAST = 1 << 6  # a shorter rest stays as it is: so few coordinates spread nothing
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
        with np.errstate(over="ignore", invalid="ignore"):  # the caller looks at what comes out
            for start in range(0, values.size, BATCH):
                batch = values[start : start + BATCH]
                self._flip(batch)
                for piece, size in _pieces(batch):
                    self._transform(piece, size)

    def backward(self, values: Values) -> None:
        """Undo ``forward`` on the next coordinates, in place.

        Guarantees: integers below 2**40 in float64 come back as the same bits on every machine.

        Args:
            values: Shape (k,), contiguous.
        """
        for start in range(0, values.size, BATCH):
            batch = values[start : start + BATCH]
            for piece, size in _pieces(batch):
                self._transform(piece, size)
            self._flip(batch)
            batch += 0.0  # which zeros are negative depends on the BLAS; this makes all positive

    def _flip(self, values: Values) -> None:
        """Change the sign where the lowest bit of the coordinate's byte is 1."""
        flips = self._flips[: values.size]
        self._signs.fill(flips)
        bits = values.view(np.uint32 if values.itemsize == 4 else np.uint64)
        mask = self._scratch.view(bits.dtype)[: values.size]
        np.left_shift(flips, 8 * values.itemsize - 1, out=mask, dtype=bits.dtype)
        np.bitwise_xor(bits, mask, out=bits)

    def _transform(self, values: Values, size: int) -> None:
        """Apply the normalised Hadamard transform to pieces of ``size`` coordinates."""
        exponent = size.bit_length() - 1
        rows = exponent - _HALF_BITS
        matrices = values.reshape(-1, 1 << rows, 1 << _HALF_BITS)
        half = self._scratch.view(values.dtype)[: values.size].reshape(matrices.shape)
        # A product of one matrix at a time: a BLAS starts no threads for so small a one.
        np.matmul(matrices, _hadamard(_HALF_BITS, values.dtype, exponent // 2), out=half)
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


def _pieces(batch: Values) -> Iterator[tuple[Values, int]]:
    """Yield all whole pieces together, then the rest as powers of two, with the size of a piece."""
    start = batch.size - batch.size % PIECE
    if start:
        yield batch[:start], PIECE
    while (left := batch.size - start) >= _LEAST:
        size = 1 << (left.bit_length() - 1)
        yield batch[start : start + size], size
        start += size


@cache
def _hadamard(exponent: int, dtype: np.dtype[Any], halvings: int) -> NDArray[Any]:
    """Return Sylvester's matrix of order 2**exponent over 2**halvings, which is exact."""
    matrix = np.full((1, 1), 0.5**halvings, dtype)
    for _ in range(exponent):
        matrix = np.block([[matrix, matrix], [matrix, -matrix]])
    matrix.flags.writeable = False
    return matrix
