from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import AbortCode, AbortError, MalformedMessageError
from protocol.fixed_point import Block, Delta, Encoded, Encoding, decode_sum, encode
from protocol.masks import word_type

SHARES = st.lists(st.integers(1, 50), min_size=1, max_size=6)


def weights_of(shares: list[int]) -> tuple[Fraction, ...]:
    return tuple(Fraction(share, sum(shares)) for share in shares)


def signed(encoded: Encoded) -> np.ndarray[Any, np.dtype[np.int64]]:
    words = encoded.words
    return words.view(words.dtype.str.replace("u", "i")).astype(np.int64)


def encoded_by(
    delta: Delta, encoding: Encoding, weights: tuple[Fraction, ...], me: int = 0
) -> Encoded:
    return encode(
        delta, encoding=encoding, weights=weights, me=me, rounding_key=bytes([me + 1]) * 32
    )


@given(
    shares=SHARES,
    bits=st.sampled_from([16, 32]),
    bound=st.floats(1e-6, 1e6),
    size=st.integers(1, 40),
    seed=st.integers(0, 2**32),
)
def test_the_sum_decodes_to_the_weighted_mean(
    shares: list[int], bits: int, bound: float, size: int, seed: int
) -> None:
    """Σ w·clip(Δ) comes back within one step for each region, for any weights."""
    weights = weights_of(shares)
    encoding = Encoding.for_regions(len(shares), bits=bits, blocks=(Block(size, bound),))
    deltas = np.random.default_rng(seed).uniform(-2 * bound, 2 * bound, (len(shares), size))
    total = np.zeros(size, word_type(bits))
    for me, delta in enumerate(deltas):
        total += encoded_by(delta, encoding, weights, me).words
    mean = decode_sum(total, encoding=encoding, weights=weights)
    exact = np.array([float(w) for w in weights]) @ np.clip(deltas, -bound, bound)
    step = bound * float(max(weights)) / encoding.qmax
    assert np.abs(mean - exact).max() <= len(shares) * step * (1 + 1e-9) + 1e-12 * bound


@given(shares=SHARES, bits=st.sampled_from([16, 32]), seed=st.integers(0, 2**32))
def test_no_word_exceeds_qmax_and_no_sum_can_wrap(shares: list[int], bits: int, seed: int) -> None:
    """Whatever the delta, n words add up to less than half the modulus."""
    weights = weights_of(shares)
    encoding = Encoding.for_regions(len(shares), bits=bits, blocks=(Block(3, 0.1), Block(2, 3.0)))
    delta = np.random.default_rng(seed).choice([-1e30, -0.1, 0.0, 0.1, 3.0, 1e30], 5)
    for me in range(len(shares)):
        assert np.abs(signed(encoded_by(delta, encoding, weights, me))).max() <= encoding.qmax
    assert encoding.fits(len(shares))
    assert encoding.qmax * len(shares) < 2 ** (bits - 1)


def test_rounding_keeps_the_mean_and_goes_to_a_neighbour() -> None:
    """A value of 0.3 steps becomes 1 in 30 % of the coordinates and 0 in the others."""
    encoding = Encoding(bits=16, qmax=1000, blocks=(Block(100_000, 1000.0),))
    words = signed(encoded_by(np.full(100_000, 0.3), encoding, (Fraction(1),)))
    assert set(words.tolist()) == {0, 1}
    assert abs(words.mean() - 0.3) < 6 * (0.21 / 100_000) ** 0.5


def test_exact_multiples_of_a_step_are_not_rounded() -> None:
    """An integer number of steps is sent as it is, negative ones too."""
    encoding = Encoding(bits=32, qmax=2**20, blocks=(Block(5, float(2**20)),))
    values = np.array([-(2.0**20), -1.0, 0.0, 1.0, 2.0**20])
    assert (signed(encoded_by(values, encoding, (Fraction(1),))) == values).all()


def test_rounding_depends_on_its_key() -> None:
    """Two keys round differently, one key the same way."""
    encoding = Encoding(bits=16, qmax=1000, blocks=(Block(1000, 1000.0),))
    delta, weights = np.full(1000, 0.5), (Fraction(1, 2), Fraction(1, 2))
    first, second = (encoded_by(delta, encoding, weights, me).words for me in (0, 1))
    assert (first != second).any()
    assert (first == encoded_by(delta, encoding, weights, 0).words).all()


def test_clipped_coordinates_are_counted_and_the_delta_is_left_alone() -> None:
    """Saturation is known to the region; its own array does not change."""
    encoding = Encoding.for_regions(1, bits=16, blocks=(Block(2, 1.0), Block(2, 5.0)))
    delta = np.array([1.0, 1.5, -6.0, 4.0], np.float32)
    assert encoded_by(delta, encoding, (Fraction(1),)).saturated == 2
    assert delta.tolist() == [1.0, 1.5, -6.0, 4.0]


@pytest.mark.parametrize(
    ("delta", "code"),
    [
        (np.zeros(3), AbortCode.BAD_LENGTH),
        (np.zeros((4, 1)), AbortCode.BAD_LENGTH),
        (np.array([0.0, np.nan, 0.0, 0.0]), AbortCode.NONFINITE_INPUT),
        (np.array([0.0, 0.0, 0.0, -np.inf]), AbortCode.NONFINITE_INPUT),
    ],
)
def test_a_delta_that_cannot_be_sent_is_refused(delta: Delta, code: AbortCode) -> None:
    """A wrong shape, a NaN or an infinity is an error, never a number."""
    encoding = Encoding.for_regions(1, bits=16, blocks=(Block(4, 1.0),))
    with pytest.raises(AbortError) as caught:
        encoded_by(delta, encoding, (Fraction(1),))
    assert caught.value.code is code


def test_a_sum_of_another_size_or_width_is_refused() -> None:
    """Neither a shorter sum nor one of another word is decoded."""
    encoding = Encoding.for_regions(1, bits=16, blocks=(Block(4, 1.0),))
    for words in np.zeros(3, np.uint16), np.zeros(4, np.uint32):
        with pytest.raises(AbortError, match="bad_length"):
            decode_sum(words, encoding=encoding, weights=(Fraction(1),))


@pytest.mark.parametrize(
    "fields",
    [
        {"bits": 8},
        {"bits": 24},
        {"qmax": 0},
        {"qmax": 2**15},
        {"blocks": ()},
        {"blocks": (Block(1, 1.0),) * 16385},
        {"blocks": (Block(2**40, 1.0), Block(1, 1.0))},
    ],
)
def test_an_encoding_out_of_its_limits_is_refused(fields: dict[str, Any]) -> None:
    """Widths, magnitudes and lengths have fixed limits."""
    with pytest.raises(MalformedMessageError):
        replace(Encoding(bits=16, qmax=10, blocks=(Block(1, 1.0),)), **fields)


@pytest.mark.parametrize(
    ("length", "bound"),
    [(0, 1.0), (2**40 + 1, 1.0), (1, 0.0), (1, -1.0), (1, float("nan")), (1, float("inf"))],
)
def test_a_block_out_of_its_limits_is_refused(length: int, bound: float) -> None:
    """A block has coordinates, and a bound that is a positive number."""
    with pytest.raises(MalformedMessageError):
        Block(length, bound)
