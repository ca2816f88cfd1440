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
from protocol.masks import Words, word_type
from protocol.rotation import PIECE, rotate

SEED = b"r" * 32
GRAIN = {16: 2**-6, 32: 2**-20}  # of a step: what the arithmetic of each width may add
SHARES = st.lists(st.integers(1, 50), min_size=1, max_size=6)


def weights_of(shares: list[int]) -> tuple[Fraction, ...]:
    return tuple(Fraction(share, sum(shares)) for share in shares)


def signed(encoded: Encoded) -> np.ndarray[Any, np.dtype[np.int64]]:
    words = encoded.words
    return words.view(words.dtype.str.replace("u", "i")).astype(np.int64)


def encoded_by(
    delta: Delta,
    encoding: Encoding,
    weights: tuple[Fraction, ...],
    me: int = 0,
    *,
    rotation_seed: bytes = b"",
    out: Words | None = None,
) -> Encoded:
    return encode(
        delta,
        encoding=encoding,
        weights=weights,
        me=me,
        rounding_key=bytes([me + 1]) * 32,
        rotation_seed=rotation_seed,
        out=out,
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
    assert np.abs(mean - exact).max() <= len(shares) * step * (1 + GRAIN[bits]) + 1e-12 * bound


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


@pytest.mark.parametrize("bits", [16, 32])
@pytest.mark.parametrize("whole", [-900, -1, 0, 900])
@pytest.mark.parametrize("fraction", [0.01, 0.3, 0.5, 0.97])
def test_rounding_keeps_the_mean_and_goes_to_a_neighbour(
    bits: int, whole: int, fraction: float
) -> None:
    """A value of k + 0.3 steps becomes k + 1 in 30 % of the coordinates and k in the others."""
    encoding = Encoding(bits=bits, qmax=1000, blocks=(Block(100_000, 1000.0),))
    words = signed(encoded_by(np.full(100_000, whole + fraction), encoding, (Fraction(1),)))
    assert set((words - whole).tolist()) == {0, 1}
    deviation = (fraction * (1 - fraction) / 100_000) ** 0.5
    assert abs((words - whole).mean() - fraction) < 5 * deviation


def test_rounding_is_unbiased_near_the_largest_word() -> None:
    """At 2**30 steps a float64 still has the fraction; 32 bits keep it in the mean."""
    encoding = Encoding(bits=32, qmax=2**31 - 1, blocks=(Block(100_000, 2.0**31 - 1),))
    words = signed(encoded_by(np.full(100_000, 2.0**30 + 0.25), encoding, (Fraction(1),)))
    assert abs((words - 2**30).mean() - 0.25) < 5 * (0.1875 / 100_000) ** 0.5


@given(bound=st.floats(2.0**-64, 2.0**64), share=st.integers(1, 5), bits=st.sampled_from([16, 32]))
def test_a_bound_that_no_float32_has_is_kept(bound: float, share: int, bits: int) -> None:
    """Nothing beyond the bound goes unclipped, and no rounding of the scale passes qmax."""
    encoding = Encoding.for_regions(1, bits=bits, blocks=(Block(8192, bound),))
    weights = (Fraction(share, share),)
    wide = np.tile(np.array([bound, -bound, 1e30, -1e30]), 2048)
    deltas: tuple[Delta, Delta] = wide, wide.astype(np.float32)
    for delta in deltas:
        encoded = encoded_by(delta, encoding, weights)
        assert np.abs(signed(encoded)).max() <= encoding.qmax
        assert np.abs(signed(encoded)).min() >= encoding.qmax * (1 - 2.0**-21) - 1
        assert encoded.saturated == np.count_nonzero(np.abs(delta.astype(np.float64)) > bound)


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


@pytest.mark.parametrize("bits", [16, 32])
@pytest.mark.parametrize("single", [True, False])
@pytest.mark.parametrize("seed", [b"", SEED])
def test_encoding_in_place_makes_the_same_words(bits: int, single: bool, seed: bytes) -> None:
    """Words written into the delta's own memory are those of a fresh array."""
    sizes = (70_001, 5, 40_000)
    encoding = Encoding.for_regions(2, bits=bits, blocks=tuple(Block(size, 2.0) for size in sizes))
    values = np.random.default_rng(5).standard_normal(encoding.dim)
    delta: Delta = values.astype(np.float32) if single else values.copy()
    before = delta.copy()
    weights = weights_of([1, 2])
    fresh = encoded_by(delta, encoding, weights, rotation_seed=seed)
    assert (delta == before).all()
    out = delta.view(word_type(bits))[: encoding.dim]
    placed = encoded_by(delta, encoding, weights, rotation_seed=seed, out=out)
    assert placed.words is out
    assert (placed.words == fresh.words).all()
    assert placed.saturated == fresh.saturated > 0


def test_an_output_that_would_spoil_the_delta_is_refused() -> None:
    """Another size, type or stride, or memory that is read after it was written."""
    encoding = Encoding.for_regions(1, bits=32, blocks=(Block(4, 1.0),))
    memory = np.zeros(5, np.float32)
    outs: list[Words] = [
        np.zeros(3, np.uint32),
        np.zeros(4, np.uint16),
        np.zeros(8, np.uint32)[::2],
        memory.view(np.uint32)[1:],
    ]
    for out in outs:
        with pytest.raises(ValueError, match="expected an output"):
            encoded_by(memory[:4], encoding, (Fraction(1),), out=out)
    with pytest.raises(ValueError, match="expected an output"):
        encoded_by(memory[3::-1], encoding, (Fraction(1),), out=memory.view(np.uint32)[:4])
    repeated = np.broadcast_to(memory[:1], 4)
    with pytest.raises(ValueError, match="expected an output"):
        encoded_by(repeated, encoding, (Fraction(1),), out=memory.view(np.uint32)[:4])


@pytest.mark.parametrize("bits", [16, 32])
@pytest.mark.parametrize("sizes", [(1,), (5000,), (3, 4096, 9001)])
def test_a_rotated_sum_decodes_to_the_weighted_mean(bits: int, sizes: tuple[int, ...]) -> None:
    """Σ w·Δ comes back as close, in each block's length, as without the rotation."""
    weights = weights_of([1, 2, 5])
    blocks = tuple(Block(size, 100.0 + size) for size in sizes)
    encoding = Encoding.for_regions(3, bits=bits, blocks=blocks)
    deltas = np.random.default_rng(7).standard_normal((3, encoding.dim))
    total = np.zeros(encoding.dim, word_type(bits))
    for me, delta in enumerate(deltas):
        encoded = encoded_by(delta, encoding, weights, me, rotation_seed=SEED)
        assert encoded.saturated == 0
        total += encoded.words
    mean = decode_sum(total, encoding=encoding, weights=weights, rotation_seed=SEED)
    error = mean - np.array([float(w) for w in weights]) @ deltas
    start = 0
    for block, step in encoding.steps(weights):
        length = float(np.linalg.norm(error[start : start + block.length]))
        assert length <= 3 * float(step) * 1.02 * block.length**0.5 + 1e-12
        start += block.length


def test_bounds_are_bounds_on_rotated_coordinates() -> None:
    """An outlier beyond the bound is kept once it is spread; the rest is clipped as counted."""
    encoding = Encoding.for_regions(1, bits=16, blocks=(Block(PIECE, 1.0),))
    delta = np.zeros(PIECE)
    delta[9] = 50.0
    assert encoded_by(delta, encoding, (Fraction(1),)).saturated == 1
    encoded = encoded_by(delta, encoding, (Fraction(1),), rotation_seed=SEED)
    assert encoded.saturated == 0
    back = decode_sum(encoded.words, encoding=encoding, weights=(Fraction(1),), rotation_seed=SEED)
    assert np.abs(back - delta).max() < 0.001
    turned = np.random.default_rng(3).standard_normal(PIECE)
    beyond = np.count_nonzero(np.abs(turned) > 1)
    rotate(turned, SEED, inverse=True)
    assert encoded_by(turned, encoding, (Fraction(1),), rotation_seed=SEED).saturated == beyond


def test_each_block_is_rotated_by_itself() -> None:
    """A block of zeros stays zeros between others: no piece crosses a bound."""
    blocks = (Block(10, 9.0), Block(100, 9.0), Block(5000, 9.0))
    encoding = Encoding.for_regions(1, bits=32, blocks=blocks)
    delta = np.ones(encoding.dim)
    delta[10:110] = 0.0
    words = signed(encoded_by(delta, encoding, (Fraction(1),), rotation_seed=SEED))
    assert not words[10:110].any()
    assert words[:10].any()
    assert words[110:].any()


@pytest.mark.parametrize("poison", [np.nan, np.inf])
def test_a_delta_that_is_not_finite_is_refused_under_a_rotation(poison: float) -> None:
    """The rotation spreads it, and hides it from nobody."""
    encoding = Encoding.for_regions(1, bits=16, blocks=(Block(PIECE + 3, 1.0),))
    for position in (0, PIECE + 2):
        delta = np.zeros(PIECE + 3, np.float32)
        delta[position] = poison
        with pytest.raises(AbortError, match="nonfinite_input"):
            encoded_by(delta, encoding, (Fraction(1),), rotation_seed=SEED)


@pytest.mark.parametrize("bound", [2.0**-65, 2.0**65])
def test_a_bound_beyond_the_arithmetic_is_refused(bound: float) -> None:
    """Such a scale would leave the range of a float32."""
    encoding = Encoding.for_regions(1, bits=16, blocks=(Block(1, bound),))
    with pytest.raises(AbortError, match="bad_encoding"):
        encoded_by(np.zeros(1), encoding, (Fraction(1),))


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
