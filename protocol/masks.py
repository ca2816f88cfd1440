"""Pairwise masks that cancel in the sum (Bonawitz et al. 2017, section 4).

The pair (u, v) shares a seed; the one that comes first in the cohort adds its stream, the other
subtracts it, word by word modulo 2**bits. A vector with every mask on looks uniform to whoever
lacks one of its seeds, and the sum of the cohort's vectors carries no mask at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from protocol.keystream import BLOCK_BYTES, Keystream, derive

Words: TypeAlias = "NDArray[np.uint16] | NDArray[np.uint32]"


def word_type(bits: int) -> np.dtype[np.uint16] | np.dtype[np.uint32]:
    """Return the type of a word on the wire, little-endian; ``bits`` is 16 or 32."""
    return np.dtype("<u2") if bits == 16 else np.dtype("<u4")


def words_from_bytes(data: bytes, bits: int) -> Words:
    """Return the words that ``data`` holds, a whole number of them, as a read-only view."""
    if bits == 16:
        return np.frombuffer(data, np.dtype("<u2"))
    return np.frombuffer(data, np.dtype("<u4"))


def bytes_of(words: Words) -> memoryview:
    """Return the bytes of contiguous words, without a copy."""
    return words.view(np.uint8).data


def add_masks(words: Words, *, me: int, seeds: Mapping[int, bytes]) -> None:
    """Add this region's masks to ``words``, in place.

    Guarantees, for parties that share one seed per pair:
      - the sum of all masked vectors is the sum of the inputs, modulo 2**bits;
      - to whoever lacks one of the seeds, the result looks uniform (AES-256 as a PRF).
    A seed serves one vector: a second one would show the difference of the two.

    Args:
        words: Shape (d,), contiguous, of ``word_type(16)`` or ``word_type(32)``.
        me: This region's position in the cohort.
        seeds: The seed, 32 bytes, shared with each other region, by its position.

    Raises:
        ValueError: If ``seeds`` has one for ``me``, or a seed has another size than 32 bytes.
    """
    if me in seeds or any(len(seed) != 32 for seed in seeds.values()):
        raise ValueError("expected a seed of 32 bytes for every position but one's own")
    streams = [(peer > me, Keystream(mask_key(seed))) for peer, seed in sorted(seeds.items())]
    block = BLOCK_BYTES // words.dtype.itemsize
    pad = np.empty(min(block, words.size), words.dtype)
    for start in range(0, words.size, block):
        part = words[start : start + block]
        here = pad[: part.size]
        for add, stream in streams:
            stream.fill(here.view(np.uint8))
            if add:
                np.add(part, here, out=part)
            else:
                np.subtract(part, here, out=part)


def mask_key(seed: bytes) -> bytes:
    """Return the key of a seed's stream: HKDF(seed, "FSA1/mask")."""
    return derive(seed, info=b"FSA1/mask")
