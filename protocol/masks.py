"""Pairwise masks that cancel in the sum (Bonawitz et al. 2017, section 4).

The pair (u, v) shares a seed; the one that comes first in the cohort adds its stream, the other
subtracts it, word by word modulo 2**bits. A vector with every mask on looks uniform to whoever
lacks one of its seeds, and the sum of the cohort's vectors carries no mask at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from protocol.keystream import BLOCK_BYTES, Keystream, derive

Words: TypeAlias = "NDArray[np.uint16] | NDArray[np.uint32]"


def word_type(bits: int) -> np.dtype[np.uint16] | np.dtype[np.uint32]:
    """Return the type of a word on the wire, little-endian; ``bits`` is 16 or 32."""
    return np.dtype("<u2") if bits == 16 else np.dtype("<u4")


def words_from_bytes(data: bytes | memoryview, bits: int) -> Words:
    """Return the words that ``data`` holds, a whole number of them, as a read-only view."""
    if bits == 16:
        return np.frombuffer(data, np.dtype("<u2"))
    return np.frombuffer(data, np.dtype("<u4"))


def bytes_of(words: Words) -> memoryview:
    """Return the bytes of contiguous words, without a copy."""
    return words.view(np.uint8).data


def apply_masks(
    words: Words, *, add: Sequence[bytes], subtract: Sequence[bytes], threads: int = 1
) -> None:
    """Add and subtract the streams of seeds, in place, word by word modulo 2**bits.

    Guarantees, for parties that share one seed per pair, added by one and subtracted by the other:
      - the sum of all masked vectors is the sum of the inputs, modulo 2**bits;
      - to whoever lacks one of the seeds, the result looks uniform (AES-256 as a PRF).
    A seed serves one vector: a second one would show the difference of the two. The caller sees to
    that; two colluders who choose one seed on purpose hurt nobody else.

    Args:
        words: Shape (d,), contiguous, of ``word_type(16)`` or ``word_type(32)``.
        add: Seeds, 32 bytes each, whose streams are added.
        subtract: Seeds whose streams are subtracted.
        threads: How many ranges of the vector are worked on at once; the result is the same.

    Raises:
        ValueError: If a seed has another size than 32 bytes, or ``threads`` < 1.
    """
    if any(len(seed) != 32 for seed in (*add, *subtract)):
        raise ValueError("expected a seed of 32 bytes for each mask")
    if threads < 1:
        raise ValueError(f"expected at least one thread, got {threads}")
    masks: list[tuple[np.ufunc, bytes]] = [(np.add, mask_key(seed)) for seed in add]
    masks.extend((np.subtract, mask_key(seed)) for seed in subtract)
    block = BLOCK_BYTES // words.dtype.itemsize
    share = -(-words.size // (block * threads)) * block or block  # whole blocks for each thread
    parts = [(start, words[start : start + share]) for start in range(0, words.size, share)]
    if len(parts) < 2:
        for start, part in parts:
            _apply(part, masks, start)
        return
    with ThreadPoolExecutor(len(parts)) as pool:  # AES and numpy release the interpreter's lock
        for done in [pool.submit(_apply, part, masks, start) for start, part in parts]:
            done.result()


def _apply(words: Words, masks: Sequence[tuple[np.ufunc, bytes]], start: int) -> None:
    """Apply masks to ``words``, which begin at word ``start`` of the vector."""
    offset = start * words.dtype.itemsize
    streams = [(combine, Keystream(key, start=offset)) for combine, key in masks]
    block = BLOCK_BYTES // words.dtype.itemsize
    pad = np.empty(min(block, words.size), words.dtype)
    for low in range(0, words.size, block):
        part = words[low : low + block]
        here = pad[: part.size]
        data = here.view(np.uint8)
        for combine, stream in streams:
            stream.fill(data)
            combine(part, here, part)


def mask_key(seed: bytes) -> bytes:
    """Return the key of a seed's stream: HKDF(seed, "FSA1/mask")."""
    return derive(seed, info=b"FSA1/mask")
