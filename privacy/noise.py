"""Secret randomness for privacy: Gaussian noise and Poisson samples from ChaCha20.

Whoever knows the noise can subtract it, so it comes from a cipher's stream (ChaCha20, RFC 8439)
under a key from the operating system. ``SecureStream`` takes no argument: there is no seed to
configure, to log or to receive from a server. A test that needs the same numbers twice replaces
this module's ``_fresh_key``, which no configuration can reach.

A sample of the Gaussian is half the sum of four Box-Muller normals: a single one betrays its
input by the floating-point values it can take (Mironov 2012; Holohan and Braghin 2021, "Secure
random sampling in differential privacy", arXiv 2107.10138). That makes the attack expensive; it
is not a proof against every floating-point effect.
"""

from __future__ import annotations

import math
import os
import threading
from decimal import Decimal
from fractions import Fraction

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext, algorithms
from numpy.typing import NDArray

from privacy.errors import UnsupportedEventError

_REKEY_BYTES = 1 << 30  # the block counter of RFC 8439 ends at 2**38 bytes; stay far below
_BLOCK = 1 << 14  # samples at a time: the working set stays in the cache
_TERMS = 4

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
        parts = []
        with self._lock:
            while size:
                if not self._left or self._process != os.getpid():
                    self._rekey()
                count = min(size, self._left)
                parts.append(self._cipher.update(bytes(count)))
                self._left -= count
                size -= count
        return b"".join(parts)

    def words(self, count: int) -> NDArray[np.uint64]:
        """Return ``count`` uniform 64-bit words."""
        return np.frombuffer(self.read(8 * count), dtype="<u8").astype(np.uint64, copy=False)

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
    for start in range(0, count, _BLOCK):
        block = samples[start : start + _BLOCK]
        block[:] = _normals(stream, block.size)
    samples *= scale
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


def _normals(stream: SecureStream, count: int) -> NDArray[np.float64]:
    """Return ``count`` standard normals, each half the sum of four from Box-Muller."""
    half = (count + 1) // 2
    words = stream.words(_TERMS * 2 * half).reshape(_TERMS, 2, half)
    uniforms = (words >> np.uint64(11)).astype(np.float64) * 2.0**-53  # in [0, 1), 53 bits
    radius = np.sqrt(-2.0 * np.log1p(-uniforms[:, 0]))  # 1 - u is in (0, 1]: the log is finite
    angle = 2.0 * np.pi * uniforms[:, 1]
    pairs = np.concatenate(
        [(radius * np.cos(angle)).sum(axis=0), (radius * np.sin(angle)).sum(axis=0)]
    )
    halved: NDArray[np.float64] = pairs[:count] / np.sqrt(_TERMS)
    return halved
