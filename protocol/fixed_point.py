"""Reals as integers modulo 2**bits, so that a sum of masked vectors is exact.

Region u sends round(w_u · clip(Δ, ±bound) / step) with step = bound · max(w) / qmax, rounded up or
down at random so that the mean is kept. The decoded sum is then the weighted mean Σ w_u Δ_u
itself, up to one step for each region. Because qmax · n < 2**(bits - 1), no sum wraps.

With a rotation seed, Δ is rotated first, each block by itself, and the sum is rotated back: bounds
are then bounds on rotated coordinates, and no rotated piece has more than one. A vector is read in
slices, so what is needed beside it does not grow with it.

Values beyond the bound are clipped. In local differential privacy the noise is already in them,
so clipping and rounding are post-processing and cost no ε.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from protocol.errors import AbortCode, AbortError, MalformedMessageError
from protocol.keystream import Keystream
from protocol.masks import Words, word_type
from protocol.rotation import Rotation
from protocol.wire import MAX_BLOCKS, MAX_DIM, require_range

Delta: TypeAlias = "NDArray[np.float32] | NDArray[np.float64]"

_SLICE = 1 << 15  # values at a time, whole rotated pieces: they and their scratch stay in the cache
_MAX_BOUND = 2.0**64  # and its inverse: beyond, a scale in float32 could leave its range
_CHANCE_BITS = 16  # of randomness for each value; the bias is at most 2**-16 of a step


@dataclass(frozen=True, slots=True)
class Block:
    """A stretch of coordinates with one public bound.

    Attributes:
        length: Number of coordinates, >= 1.
        bound: Largest magnitude of an unweighted delta that is sent unclipped, after the rotation
            if there is one; finite, > 0.
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
    delta: Delta,
    *,
    encoding: Encoding,
    weights: Sequence[Fraction],
    me: int,
    rounding_key: bytes,
    rotation_seed: bytes = b"",
    out: Words | None = None,
) -> Encoded:
    """Return a region's weighted delta as words.

    Guarantees: each word is at most qmax in magnitude and stands within one step of the clipped,
    weighted value, unbiased up to 2**-16 of a step; words of 16 bits are made in float32, which
    adds at most 2**-6 of a step to both.

    Args:
        delta: The unweighted delta, shape (d,); not changed, unless ``out`` lies in its memory.
        encoding: The round's encoding.
        weights: The cohort's weights, in cohort order.
        me: This region's position in the cohort.
        rounding_key: 32 secret bytes, used once: they decide what is rounded up.
        rotation_seed: 32 public bytes, the same for every region; empty means no rotation.
        out: Where to write, shape (d,), contiguous, of ``word_type(bits)``. It may be the first
            d words of a contiguous delta's own memory, as ``delta.view("<u4")`` is: the delta is
            then destroyed, also if this raises.

    Raises:
        AbortError: ``bad_length`` if the delta has another shape, ``nonfinite_input`` if it
            holds a NaN or an infinity, ``bad_encoding`` if a bound is not in [2**-64, 2**64].
        ValueError: If ``out`` does not fit, or lies elsewhere in the delta's memory, or a key or
            seed has another size.
    """
    _check_delta(delta, encoding)
    words = _output(delta, encoding, out)
    rounding = _Rounding(rounding_key, encoding.bits)
    rotation = Rotation(rotation_seed) if rotation_seed else None
    turned, spare = np.empty((2, min(_SLICE, delta.size)), delta.dtype)
    saturated, start = 0, 0
    for block, step in encoding.steps(weights):
        scale = rounding.scale(block.bound, top=encoding.qmax, value=float(weights[me] / step))
        for low in range(start, start + block.length, _SLICE):
            part = slice(low, min(low + _SLICE, start + block.length))
            values: NDArray[Any] = delta[part]
            if rotation is not None:
                np.copyto(turned[: values.size], values)
                values = turned[: values.size]
                rotation.forward(values)
            beyond, values = _clip(values, block.bound, spare)
            saturated += beyond
            rounding.store(values, scale, words[part])
        start += block.length
    return Encoded(words, saturated)


def decode_sum(
    words: Words,
    *,
    encoding: Encoding,
    weights: Sequence[Fraction],
    rotation_seed: bytes = b"",
) -> NDArray[np.float64]:
    """Return the weighted mean that the sum of the cohort's words stands for.

    Guarantees: the same bits on every machine. The rotation back is exact on integers; each value
    is then rounded by elementwise products alone.

    Args:
        words: The sum modulo 2**bits, shape (d,), of ``word_type(bits)``; not changed.
        encoding: The round's encoding.
        weights: The cohort's weights.
        rotation_seed: The seed that the regions encoded with.

    Returns:
        Shape (d,).

    Raises:
        AbortError: ``bad_length`` if the sum has another shape or type.
        ValueError: If the seed is neither empty nor of 32 bytes.
    """
    if words.shape != (encoding.dim,) or words.dtype != word_type(encoding.bits):
        raise AbortError(
            AbortCode.BAD_LENGTH,
            f"expected {encoding.dim} words of {encoding.bits} bits, got {words.size} of "
            f"{8 * words.dtype.itemsize}",
        )
    mean = words.view(words.dtype.str.replace("u", "i")).astype(np.float64)
    rotation = Rotation(rotation_seed) if rotation_seed else None
    start = 0
    for block, step in encoding.steps(weights):
        values = mean[start : start + block.length]
        if rotation is not None:
            rotation.backward(values)
        values *= float(step)
        start += block.length
    return mean


def check_bounds(encoding: Encoding) -> None:
    """Check that float32 can hold what the bounds scale; a region does before it takes a round.

    Raises:
        AbortError: ``bad_encoding`` if a bound is not in [2**-64, 2**64].
    """
    for block in encoding.blocks:
        if not 1 / _MAX_BOUND <= block.bound <= _MAX_BOUND:
            raise AbortError(
                AbortCode.BAD_ENCODING,
                f"expected bounds in [2**-64, 2**64], got {block.bound}; change the plan's unit",
            )


def _check_delta(delta: Delta, encoding: Encoding) -> None:
    if delta.shape != (encoding.dim,):
        raise AbortError(
            AbortCode.BAD_LENGTH,
            f"expected a delta of shape ({encoding.dim},), got {delta.shape}",
        )
    check_bounds(encoding)


def _output(delta: Delta, encoding: Encoding, out: Words | None) -> Words:
    """Return ``out`` if each slice can be written once it was read, or new words."""
    dtype = word_type(encoding.bits)
    if out is None:
        return np.empty(encoding.dim, dtype)
    if out.shape != delta.shape or out.dtype != dtype or not out.flags.c_contiguous:
        raise ValueError(f"expected an output of {encoding.dim} contiguous words of {dtype}")
    same_start = out.ctypes.data == delta.ctypes.data and delta.flags.c_contiguous
    if np.may_share_memory(out, delta) and not same_start:
        raise ValueError(
            "expected an output apart from the delta, or one that starts where it does"
        )
    return out


def _clip(values: NDArray[Any], bound: float, spare: NDArray[Any]) -> tuple[int, NDArray[Any]]:
    """Return how many values were beyond the bound, and the values clipped to it."""
    low, high = float(values.min()), float(values.max())  # a NaN shows in both
    if not (math.isfinite(low) and math.isfinite(high)):
        raise AbortError(
            AbortCode.NONFINITE_INPUT,
            "expected a finite delta, got a NaN or an infinity; nothing was sent: look at the "
            "local training",
        )
    if -bound <= low and high <= bound:
        return 0, values
    limit = values.dtype.type(bound)
    if float(limit) > bound:  # float32: the largest one that is not beyond
        limit = np.nextafter(limit, values.dtype.type(0))
    clipped = np.clip(values, -limit, limit, out=spare[: values.size])
    return int(np.count_nonzero(clipped != values)), clipped


class _Rounding:
    """Rounds slices up with a chance equal to the fraction, else down.

    Words of 16 bits: x · 2**16 as an integer of 32 bits, towards zero, plus a random number below
    2**16, without the lower half. Words of 32 bits: the floor of x plus that number over 2**16, in
    float64.
    """

    def __init__(self, key: bytes, bits: int) -> None:
        self._stream = Keystream(key)
        self._narrow = bits == 16
        self._real: type[np.float32 | np.float64] = np.float32 if self._narrow else np.float64
        self._values: NDArray[Any] = np.empty(_SLICE, self._real)
        self._chances: NDArray[np.uint16] = np.empty(_SLICE, "<u2")
        self._raised: NDArray[Any] = np.empty(_SLICE, np.int32 if self._narrow else np.float64)
        self._integers = np.empty(_SLICE if self._narrow else 0, np.int32)

    def scale(self, bound: float, *, top: int, value: float) -> float:
        """Return ``value``, or a few ulps less: no value within the bound may pass ``top``."""
        unit = 1 << _CHANCE_BITS if self._narrow else 1
        limit, scale = self._real(bound), self._real(value * unit)
        while float(limit * scale) > top * unit:
            scale = np.nextafter(scale, self._real(0))
        return float(scale)

    def store(self, values: NDArray[Any], scale: float, out: Words) -> None:
        """Write ``values · scale``, rounded, as words modulo 2**bits."""
        size = values.size
        scaled, chances, raised = self._values[:size], self._chances[:size], self._raised[:size]
        self._stream.fill(chances.view(np.uint8))
        np.copyto(raised, chances)
        if self._narrow:
            np.multiply(values.astype(np.float32, copy=False), np.float32(scale), out=scaled)
            integers = self._integers[:size]
            np.copyto(integers, scaled, casting="unsafe")
            integers += raised
            integers >>= _CHANCE_BITS
            np.copyto(out, integers, casting="unsafe")
        else:
            np.copyto(scaled, values)
            scaled *= scale
            raised *= 2.0**-_CHANCE_BITS
            scaled += raised
            np.floor(scaled, out=scaled)
            np.copyto(out.view("<i4"), scaled, casting="unsafe")
