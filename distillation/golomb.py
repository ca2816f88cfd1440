"""Small whole numbers in few bits: exponential Golomb codes, a whole array at a time.

A number n is n + 2**m written in binary, of which the place of the leading one is sent in unary and
the rest as it is. Small numbers take m + 1 bits, each doubling two more. Unary and plain parts
stand apart, so that numpy reads an array without a loop over numbers.

Source: Teuhola 1978; in H.264 (ITU-T H.264, clause 9.1) as ue(v), there with m = 0.
"""

import numpy as np
from numpy.typing import NDArray

from distillation.errors import LabelCacheError

Bits = NDArray[np.uint8]
Numbers = NDArray[np.int64]

_WIDEST = 40


def best_order(numbers: Numbers) -> int:
    """Return the m that takes the fewest bits."""
    return min(range(21), key=lambda m: int((2 * _extra(numbers, m) + m + 1).sum()))


def write(numbers: Numbers, order: int) -> Bits:
    """Return the code of numbers >= 0, one bit an element."""
    extra = _extra(numbers, order)
    ends = np.cumsum(extra + 1) - 1
    unary = np.zeros(int(ends[-1]) + 1 if len(ends) else 0, np.uint8)
    unary[ends] = 1
    return np.concatenate([unary, _plain(numbers + (1 << order), extra + order)])


def read(bits: Bits, count: int, order: int) -> tuple[Numbers, int]:
    """Return the first ``count`` numbers and how many bits they took.

    Raises:
        LabelCacheError: If the bits end before.
    """
    ends = np.flatnonzero(bits)[:count]
    if len(ends) < count:
        raise LabelCacheError("a cached label ends too early: it was written by another release")
    extra = np.diff(ends, prepend=-1) - 1
    start = int(ends[-1]) + 1 if count else 0
    widths = extra + order
    taken = start + int(widths.sum())
    if taken > len(bits) or (count and int(widths.max()) > _WIDEST):
        raise LabelCacheError("a cached label ends too early: it was written by another release")
    offsets = start + np.cumsum(widths) - widths
    numbers = np.ones(count, np.int64)
    for place in range(int(widths.max()) if count else 0):
        more = place < widths
        numbers[more] = 2 * numbers[more] + bits[offsets[more] + place]
    return numbers - (1 << order), taken


def _extra(numbers: Numbers, order: int) -> Numbers:
    """Return how many bits each number needs beyond the order."""
    _, exponent = np.frexp((numbers + (1 << order)).astype(np.float64))  # exact below 2**53
    return exponent.astype(np.int64) - 1 - order


def _plain(numbers: Numbers, widths: Numbers) -> Bits:
    """Return the lowest ``widths`` bits of each number, the highest first."""
    offsets = np.cumsum(widths) - widths
    bits = np.zeros(int(widths.sum()), np.uint8)
    for place in range(int(widths.max()) if len(widths) else 0):
        more = place < widths
        bits[offsets[more] + place] = (numbers[more] >> (widths[more] - 1 - place)) & 1
    return bits
