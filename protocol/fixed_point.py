"""Reals as integers modulo 2**bits, so that a sum of masked vectors is exact.

Region u sends round(w_u · clip(Δ, ±bound) / step) with step = bound · max(w) / qmax, rounded up or
down at random so that the mean is kept. The decoded sum is then the weighted mean Σ w_u Δ_u
itself, up to one step for each region. Because qmax · n < 2**(bits - 1), no sum wraps.

Values beyond the bound are clipped. In local differential privacy the noise is already in them,
so clipping and rounding are post-processing and cost no ε.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from protocol.errors import AbortCode, AbortError, MalformedMessageError
from protocol.keystream import Keystream
from protocol.masks import Words, word_type
from protocol.wire import MAX_BLOCKS, MAX_DIM, require_range

Delta: TypeAlias = "NDArray[np.float32] | NDArray[np.float64]"

_SLICE = 1 << 15  # values at a time: float64 and their random words stay in the cache


@dataclass(frozen=True, slots=True)
class Block:
    """A stretch of coordinates with one public bound.

    Attributes:
        length: Number of coordinates, >= 1.
        bound: Largest magnitude of an unweighted delta that is sent unclipped; finite, > 0.
    """

    length: int
    bound: float

    def __post_init__(self) -> None:
        require_range("a block's length", self.length, least=1, most=MAX_DIM)
        if not (math.isfinite(self.bound) and self.bound > 0):
            raise MalformedMessageError(f"expected a finite bound > 0, got {self.bound}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoding:
    """How every region of a round turns its delta into words.

    Attributes:
        bits: Width of a word, 16 or 32.
        qmax: Largest magnitude of one region's integer; qmax · n < 2**(bits - 1).
        blocks: What the coordinates are bounded by, in order; at most 16384 blocks.
    """

    bits: int
    qmax: int
    blocks: tuple[Block, ...]

    def __post_init__(self) -> None:
        if self.bits not in (16, 32):
            raise MalformedMessageError(f"expected words of 16 or 32 bits, got {self.bits}")
        require_range("qmax", self.qmax, least=1, most=(1 << (self.bits - 1)) - 1)
        require_range("the number of blocks", len(self.blocks), least=1, most=MAX_BLOCKS)
        require_range("the number of coordinates", self.dim, least=1, most=MAX_DIM)

    @classmethod
    def for_regions(cls, count: int, *, bits: int, blocks: tuple[Block, ...]) -> Encoding:
        """Return the finest encoding whose sum over ``count`` regions cannot wrap."""
        return cls(bits=bits, qmax=((1 << (bits - 1)) - 1) // count, blocks=blocks)

    @property
    def dim(self) -> int:
        """Number of coordinates, d."""
        return sum(block.length for block in self.blocks)

    @property
    def size_bytes(self) -> int:
        """Size of an encoded vector."""
        return self.dim * self.bits // 8

    def fits(self, count: int) -> bool:
        """Return whether the sum over ``count`` regions cannot wrap."""
        return self.qmax * count < 1 << (self.bits - 1)

    def steps(self, weights: Sequence[Fraction]) -> Iterator[tuple[Block, Fraction]]:
        """Yield each block with the value of one integer step, exact."""
        largest = max(weights) / self.qmax
        for block in self.blocks:
            yield block, Fraction(block.bound) * largest


@dataclass(frozen=True, slots=True)
class Encoded:
    """A delta as words.

    Attributes:
        words: Shape (d,), of ``word_type(bits)``.
        saturated: How many coordinates were clipped. It depends on the data: never send it.
    """

    words: Words
    saturated: int


def encode(
    delta: Delta, *, encoding: Encoding, weights: Sequence[Fraction], me: int, rounding_key: bytes
) -> Encoded:
    """Return a region's weighted delta as words.

    Guarantees: each word is within one step of the clipped, weighted value, unbiased up to
    2**-32 of a step, and at most qmax in magnitude.

    Args:
        delta: The unweighted delta, shape (d,); not changed.
        encoding: The round's encoding.
        weights: The cohort's weights, in cohort order.
        me: This region's position in the cohort.
        rounding_key: 32 secret bytes, used once: they decide what is rounded up.

    Raises:
        AbortError: ``bad_length`` if the delta has another shape, ``nonfinite_input`` if it
            holds a NaN or an infinity.
    """
    if delta.shape != (encoding.dim,):
        raise AbortError(
            AbortCode.BAD_LENGTH,
            f"expected a delta of shape ({encoding.dim},), got {delta.shape}",
        )
    words: Words = np.empty(encoding.dim, word_type(encoding.bits))
    stream = Keystream(rounding_key)
    saturated, start = 0, 0
    for block, step in encoding.steps(weights):
        scale = float(weights[me] / step)
        for low in range(start, start + block.length, _SLICE):
            part = slice(low, min(low + _SLICE, start + block.length))
            values = delta[part].astype(np.float64)
            saturated += _clip(values, block.bound)
            values *= scale
            _store(_round(values, stream), words[part], encoding.qmax)
        start += block.length
    return Encoded(words, saturated)


def decode_sum(
    words: Words, *, encoding: Encoding, weights: Sequence[Fraction]
) -> NDArray[np.float64]:
    """Return the weighted mean that the sum of the cohort's words stands for.

    The same bits on both sides: one exact step for each block, rounded once to float64.

    Args:
        words: The sum modulo 2**bits, shape (d,), of ``word_type(bits)``; not changed.
        encoding: The round's encoding.
        weights: The cohort's weights.

    Returns:
        Shape (d,).

    Raises:
        AbortError: ``bad_length`` if the sum has another shape or type.
    """
    if words.shape != (encoding.dim,) or words.dtype != word_type(encoding.bits):
        raise AbortError(
            AbortCode.BAD_LENGTH,
            f"expected {encoding.dim} words of {encoding.bits} bits, got {words.size} of "
            f"{8 * words.dtype.itemsize}",
        )
    mean = words.view(words.dtype.str.replace("u", "i")).astype(np.float64)
    start = 0
    for block, step in encoding.steps(weights):
        mean[start : start + block.length] *= float(step)
        start += block.length
    return mean


def _clip(values: NDArray[np.float64], bound: float) -> int:
    """Clip ``values`` in place; return how many were beyond the bound."""
    if not np.isfinite(values).all():
        raise AbortError(
            AbortCode.NONFINITE_INPUT,
            "expected a finite delta, got a NaN or an infinity; nothing was sent: look at the "
            "local training",
        )
    beyond = int(np.count_nonzero(np.abs(values) > bound))
    if beyond:
        np.clip(values, -bound, bound, out=values)
    return beyond


def _round(values: NDArray[np.float64], stream: Keystream) -> NDArray[np.float64]:
    """Round up with a chance equal to the fraction, else down."""
    uniform = np.empty(values.size, np.uint32)
    stream.fill(uniform.view(np.uint8))
    floor = np.floor(values)
    fraction = values - floor
    floor += uniform < fraction * 2.0**32
    return floor


def _store(rounded: NDArray[np.float64], out: Words, qmax: int) -> None:
    """Write integers as words modulo 2**bits."""
    np.clip(rounded, -qmax, qmax, out=rounded)  # the scale is a float: it may exceed by one ulp
    out[...] = rounded.astype(np.int64).astype(out.dtype)
