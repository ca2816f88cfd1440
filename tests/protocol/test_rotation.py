from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from protocol.keystream import Keystream, derive
from protocol.rotation import BATCH, PIECE, Rotation, Values, rotate

SEED = b"r" * 32
SIZES = st.sampled_from([1, 2, 3, 63, 64, 65, 100, 2048, 4095, 4096, 4097, 9000, BATCH, BATCH + 5])


def values_of(size: int, seed: int = 0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).standard_t(3, size)


def rotated(values: Values, seed: bytes = SEED, *, inverse: bool = False) -> Values:
    result = values.copy()
    rotate(result, seed, inverse=inverse)
    return result


def pieces_of(size: int) -> list[slice]:
    """Return the pieces of a vector, written down without the module under test."""
    found, start = [], 0
    while start < size:
        piece = min(PIECE, 1 << ((size - start).bit_length() - 1))
        if piece < 64:  # a rest that stays in place, coordinate by coordinate
            piece = 1
        found.append(slice(start, start + piece))
        start += piece
    return found


def by_definition(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return D·Δ then Sylvester's matrix, entry by entry: (−1)**(ones in i AND j) / √size."""
    signs = np.empty(values.size, np.uint8)
    Keystream(derive(SEED, info=b"FSA1/rotation")).fill(signs)
    flipped = np.where(signs % 2, -values, values)
    result = np.empty_like(values)
    for piece in pieces_of(values.size):
        size = piece.stop - piece.start
        index = np.arange(size)
        for i in range(size):
            parity = np.bitwise_count(index & i) % 2
            row = np.where(parity, -1.0, 1.0)
            result[piece.start + i] = row @ flipped[piece] / np.sqrt(size)
    return result


@pytest.mark.parametrize("size", [1, 8, 63, 64, 100, 128, 2048, 4096, 4099])
def test_it_is_signs_and_a_hadamard_matrix(size: int) -> None:
    """Against the definition, also for the tail in powers of two."""
    values = values_of(size)
    assert np.allclose(rotated(values), by_definition(values), rtol=1e-12, atol=1e-12)


@settings(max_examples=30)
@given(size=SIZES, seed=st.integers(0, 2**32), single=st.booleans())
def test_the_inverse_undoes_it_and_lengths_are_kept(size: int, seed: int, single: bool) -> None:
    """For any size and either precision; the rotation is orthonormal."""
    values: Values = values_of(size, seed)
    tolerance = 1e-12
    if single:
        values, tolerance = values.astype(np.float32), 1e-5
    turned = rotated(values)
    norm = float(np.linalg.norm(values))
    assert turned.dtype == values.dtype
    assert abs(float(np.linalg.norm(turned)) - norm) <= tolerance * norm
    back = rotated(turned, inverse=True)
    assert float(np.linalg.norm(back - values)) <= tolerance * norm


@settings(max_examples=30)
@given(size=SIZES, cuts=st.sets(st.integers(1, 9), max_size=3))
def test_slices_of_whole_pieces_make_the_whole(size: int, cuts: set[int]) -> None:
    """A stretch that is rotated slice by slice, cut at multiples of 4096, is the same bits."""
    values = values_of(size)
    whole = rotated(values)
    rotation = Rotation(SEED)
    for part in np.split(values, [cut * PIECE for cut in sorted(cuts) if cut * PIECE < size]):
        rotation.forward(part)  # a view
    assert (values == whole).all()


def test_an_outlier_is_spread_over_its_piece() -> None:
    """One large coordinate becomes 4096 equal magnitudes, and stays in its piece."""
    values = np.zeros(3 * PIECE)
    values[PIECE + 17] = 64.0
    turned = rotated(values)
    assert (np.abs(turned[PIECE : 2 * PIECE]) == 1.0).all()
    assert not turned[:PIECE].any()
    assert not turned[2 * PIECE :].any()


@pytest.mark.parametrize("size", [PIECE, 2 * PIECE + 1024 + 64, 2048 + 512 + 1])
def test_integers_come_back_as_exact_bits(size: int) -> None:
    """The inverse of integers is an exact sum, rounded by the same products on any machine."""
    words = np.random.default_rng(1).integers(-(2**31), 2**31, size)
    signs = np.empty(size, np.uint8)
    Keystream(derive(SEED, info=b"FSA1/rotation")).fill(signs)
    expected: list[float] = []
    for piece in pieces_of(size):
        exact = [int(word) for word in words[piece]]  # Python's integers, by butterflies
        half = 1
        while half < len(exact):
            for low in range(0, len(exact), 2 * half):
                for i in range(low, low + half):
                    left, right = exact[i], exact[i + half]
                    exact[i], exact[i + half] = left + right, left - right
            half *= 2
        halvings, odd = divmod(len(exact).bit_length() - 1, 2)
        scaled = [float(value) * 0.5**halvings for value in exact]
        expected += [value * np.sqrt(0.5) for value in scaled] if odd else scaled
    turned = rotated(words.astype(np.float64), inverse=True)
    assert turned.tolist() == np.where(signs % 2, -np.array(expected), expected).tolist()


def test_no_zero_is_negative_after_the_way_back() -> None:
    """The sign of a zero would depend on how a BLAS adds; it is always positive."""
    turned = rotated(np.zeros(PIECE + 3), inverse=True)
    assert not np.signbit(turned).any()


def test_the_seed_decides_the_signs() -> None:
    """Two seeds rotate differently, one seed the same way; half of the signs change."""
    values = np.ones(PIECE)
    assert (rotated(values) != rotated(values, b"s" * 32)).any()
    assert (rotated(values) == rotated(values)).all()
    flips = Rotation(SEED)
    signs = np.array([_sign(flips) for _ in range(1000)])
    assert abs(signs.mean()) < 6 / np.sqrt(1000)


def _sign(rotation: Rotation) -> float:
    """Return the next sign: a stretch of one coordinate is only flipped."""
    value = np.ones(1)
    rotation.forward(value)
    return float(value[0])


@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf, 3e38])
def test_what_is_not_finite_shows_afterwards(poison: float) -> None:
    """A NaN or an infinity reaches its piece without a warning; so does what overflows."""
    values = np.full(2 * PIECE, 3e38 if poison == 3e38 else 1.0, np.float32)
    values[5] = poison
    rotate(values, SEED)
    assert not np.isfinite(values[:PIECE]).all()


@pytest.mark.parametrize("size", [0, 16, 31, 33])
def test_a_seed_of_another_size_is_refused(size: int) -> None:
    """An empty seed is no quiet default."""
    with pytest.raises(ValueError, match="32 bytes"):
        rotate(np.zeros(1), bytes(size))


def test_a_position_in_the_stream_cannot_be_stored() -> None:
    """A pickled rotation would start anew elsewhere."""
    with pytest.raises(TypeError, match="cannot be copied"):
        pickle.dumps(Rotation(SEED))
