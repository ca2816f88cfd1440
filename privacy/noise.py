"""Secret randomness for privacy: Gaussian noise and Poisson samples from ChaCha20.

Whoever knows the noise can subtract it, so it comes from a cipher's stream (ChaCha20, RFC 8439)
under a key from the operating system. ``SecureStream`` takes no argument: there is no seed to
configure, to log or to receive from a server. A test that needs the same numbers twice replaces
this module's ``_fresh_key``, which no configuration can reach.

A sample of the Gaussian is half the sum of four Box-Muller normals: a single one betrays its
input by the floating-point values it can take (Mironov 2012; Holohan and Braghin 2021, "Secure
random sampling in differential privacy", arXiv 2107.10138). That makes the attack expensive; it
is not a proof against every floating-point effect. All of it is float64: only the order of the
operations and the formula for sine and cosine were chosen for speed (bench/noise.py).
"""

from __future__ import annotations

import math
import os
import sys
import threading
from decimal import Decimal
from fractions import Fraction

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext, algorithms
from numpy.typing import NDArray

from privacy.errors import UnsupportedEventError

_REKEY_BYTES = 1 << 30  # the block counter of RFC 8439 ends at 2**38 bytes; stay far below
_ZEROS = memoryview(bytes(1 << 18))  # a cipher adds its stream to these
_TERMS = 4
_PAIRS = 1 << 12  # pairs of samples at a time: the working set, 0.6 MiB, stays in the cache

# Gradients are clipped in floating point; the conformance test allows a clipped gradient to
# exceed the clip norm by one part in a thousand, so the noise must cover that much more.
CLIP_TOLERANCE = Fraction(1, 1000)


def _fresh_key() -> bytes:
    """Return key and nonce of one stream, 48 bytes."""
    return os.urandom(48)


class SecureStream:
    """An endless stream of secret random bytes; never the same twice.

    Threads may share it. A fork continues under a key of its own. It has no state to save: it
    cannot be pickled or copied, and its key shows in no message.
    """

    __slots__ = ("_cipher", "_left", "_lock", "_process")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rekey()

    def __reduce__(self) -> str:
        raise TypeError("a SecureStream cannot be copied or stored: make a new one")

    def read(self, size: int) -> bytes:
        """Return the next ``size`` bytes of the stream.

        Raises:
            ValueError: If ``size`` is negative.
        """
        if size < 0:
            raise ValueError(f"expected a size >= 0, got {size}")
        data = bytearray(size)
        self._fill(memoryview(data))
        return bytes(data)

    def words(self, count: int) -> NDArray[np.uint64]:
        """Return ``count`` uniform 64-bit words."""
        words = np.empty(count, dtype=np.uint64)
        self.fill(words)
        return words

    def fill(self, words: NDArray[np.uint64]) -> None:
        """Overwrite a contiguous array, of any shape, with uniform 64-bit words."""
        if words.size:
            self._fill(words.reshape(-1).view(np.uint8).data)
            if sys.byteorder == "big":  # the same numbers on every machine
                words.byteswap(inplace=True)

    def _fill(self, target: memoryview) -> None:
        start = 0
        with self._lock:
            while start < len(target):
                if not self._left or self._process != os.getpid():
                    self._rekey()
                count = min(len(target) - start, self._left, len(_ZEROS))
                self._cipher.update_into(_ZEROS[:count], target[start : start + count])
                self._left -= count
                start += count

    def _rekey(self) -> None:
        seed = _fresh_key()
        algorithm = algorithms.ChaCha20(seed[:32], b"\0\0\0\0" + seed[36:48])
        self._cipher: CipherContext = Cipher(algorithm, mode=None).encryptor()
        self._left = _REKEY_BYTES
        self._process = os.getpid()


def noise_scale(clip_norm: Decimal, noise_multiplier: Decimal) -> float:
    """Return the standard deviation of the noise on the clipped sum: σ · C · (1 + 1e-3).

    The factor pays for the tolerance with which the conformance test checks clipping: a gradient
    of norm C(1 + 1e-3) passes, so C(1 + 1e-3) is the sensitivity that is established, and the
    accountant's σ is relative to the sensitivity.
    """
    exact = Fraction(clip_norm) * Fraction(noise_multiplier) * (1 + CLIP_TOLERANCE)
    scale = float(exact)
    return scale if Fraction(scale) >= exact else math.nextafter(scale, math.inf)


def gaussian(stream: SecureStream, count: int, scale: float) -> NDArray[np.float64]:
    """Return independent samples of N(0, ``scale``²).

    Args:
        stream: Where the randomness comes from.
        count: How many, >= 0.
        scale: Standard deviation, finite and > 0; see ``noise_scale``.

    Returns:
        Shape (count,).

    Raises:
        UnsupportedEventError: If ``scale`` is not finite and positive.
    """
    if not (math.isfinite(scale) and scale > 0):
        raise UnsupportedEventError(
            f"expected a noise scale > 0, got {scale}; a release without noise has no finite ε"
        )
    samples = np.empty(count)
    pairs = min(_PAIRS, max(1, (count + 1) // 2))
    words = np.empty((2, _TERMS, pairs), dtype=np.uint64)
    radius, tangent, shared = (np.empty((_TERMS, pairs)) for _ in range(3))
    for start in range(0, count, 2 * pairs):
        block = samples[start : start + 2 * pairs]
        half = (block.size + 1) // 2
        stream.fill(words)
        _box_muller(words, radius, tangent, shared)
        radius.sum(axis=0, out=tangent[0])
        shared.sum(axis=0, out=tangent[1])
        # Half the sum of four; the factors √2 and 2 are those that `_box_muller` left out.
        np.multiply(tangent[0, :half], scale * math.sqrt(2) / 2, out=block[:half])
        np.multiply(tangent[1, : block.size - half], scale * math.sqrt(2), out=block[half:])
    return samples


def poisson_sample(stream: SecureStream, population: int, rate: Fraction) -> NDArray[np.int64]:
    """Return the units of one step: each of ``population`` with chance ``rate``, independently.

    Guarantees: the chance is floor(rate · 2**64) / 2**64. It is never above ``rate``, so the step
    costs no more than it is charged (ε grows with the rate), and less by under 2**-64.

    Args:
        stream: Where the randomness comes from.
        population: Number of units, >= 0.
        rate: In (0, 1].

    Returns:
        Ascending indices below ``population``; shape (sampled,), often empty when few.

    Raises:
        UnsupportedEventError: If ``rate`` is not in (0, 1].
    """
    if not 0 < rate <= 1:
        raise UnsupportedEventError(f"expected a sample rate in (0, 1], got {rate}")
    if rate == 1:  # its threshold, 2**64, is no 64-bit word
        return np.arange(population, dtype=np.int64)
    threshold = np.uint64(rate.numerator * 2**64 // rate.denominator)
    return np.flatnonzero(stream.words(population) < threshold).astype(np.int64, copy=False)


def _box_muller(
    words: NDArray[np.uint64],
    radius: NDArray[np.float64],
    tangent: NDArray[np.float64],
    shared: NDArray[np.float64],
) -> None:
    """Leave r cos(2h) in ``radius`` and r sin(2h) / 2 in ``shared``, for normals over √2.

    u in (0, 1] and h in [-π/2, π/2) have 53 random bits each, and r = √(-log u). With t = tan h,
    sin 2h = 2 t / (1 + t²) and cos 2h = 1 - 2 t² / (1 + t²): one function where sine and cosine
    would be two, each slower. The largest t of a float64 is 1.7e16, so nothing overflows.
    """
    words[0] >>= np.uint64(11)
    words[0] += np.uint64(1)
    np.multiply(words[0].view(np.int64), 2.0**-53, out=radius)
    np.log(radius, out=radius)
    np.negative(radius, out=radius)
    np.sqrt(radius, out=radius)
    signed = words[1].view(np.int64)
    signed >>= 11  # keeps the sign: in [-2**52, 2**52)
    np.multiply(signed, math.pi * 2.0**-53, out=tangent)
    np.tan(tangent, out=tangent)
    np.multiply(tangent, tangent, out=shared)
    shared += 1.0
    np.divide(radius, shared, out=shared)
    shared *= tangent  # r t / (1 + t²)
    tangent *= shared  # r t² / (1 + t²)
    tangent *= 2.0
    radius -= tangent
