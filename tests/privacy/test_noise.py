from __future__ import annotations

import copy
import hashlib
import os
import pickle
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from privacy import noise
from privacy.errors import UnsupportedEventError
from privacy.noise import SecureStream, gaussian, noise_scale, poisson_sample

COUNT = 100_000
# A right implementation fails one of these tests once in a million runs; they are seeded, so
# they do not fail at all.
CHANCE = 1e-6


@pytest.fixture
def stream(monkeypatch: pytest.MonkeyPatch) -> SecureStream:
    """A stream with known keys, by replacing the module's source of keys."""
    counter = iter(range(10**6))
    monkeypatch.setattr(
        noise, "_fresh_key", lambda: hashlib.sha384(b"test %d" % next(counter)).digest()
    )
    return SecureStream()


def variance_is_right(samples: NDArray[np.float64], scale: float) -> bool:
    """χ² test, two-sided, of the variance."""
    statistic = float(np.sum((samples / scale) ** 2))
    tail = stats.chi2.sf(statistic, samples.size)
    return bool(CHANCE / 2 < tail < 1 - CHANCE / 2)


def test_the_noise_is_gaussian(stream: SecureStream) -> None:
    """Variance and shape fit N(0, σ²)."""
    samples = gaussian(stream, COUNT, 3.0)
    assert variance_is_right(samples, 3.0)
    assert stats.kstest(samples / 3.0, "norm").pvalue > CHANCE


@pytest.mark.parametrize("factor", [0.0, 0.5, 0.9, 1.1])
def test_a_wrong_scale_is_noticed(stream: SecureStream, factor: float) -> None:
    """The test above would notice a tenth of the noise missing."""
    assert not variance_is_right(factor * gaussian(stream, COUNT, 3.0), 3.0)


def test_samples_are_independent_of_their_neighbours(stream: SecureStream) -> None:
    """No correlation with the next sample, across the pairs and blocks of the algorithm."""
    samples = gaussian(stream, COUNT, 1.0)
    for lag in (1, 2, 1 << 12, 1 << 13, 1 << 14):
        correlation = float(np.mean(samples[lag:] * samples[:-lag]))
        assert abs(correlation) < 5 / np.sqrt(samples.size - lag)


def test_no_two_samples_are_equal(stream: SecureStream) -> None:
    """Among a hundred thousand there is no zero and no repetition."""
    samples = gaussian(stream, COUNT, 1.0)
    assert np.count_nonzero(samples) == COUNT
    assert np.unique(samples).size == COUNT


@given(count=st.integers(0, 100) | st.sampled_from([(1 << 13) - 1, 1 << 13, (1 << 13) + 1]))
def test_as_many_samples_as_asked(count: int) -> None:
    """Odd counts and block ends included."""
    assert gaussian(SecureStream(), count, 1.0).shape == (count,)


def _words(u: float, angle: float) -> NDArray[np.uint64]:
    """Return the two words of one pair, repeated for each of the four terms."""
    first = np.uint64(round(u * 2**53) - 1) << np.uint64(11)
    second = np.array([round(angle / np.pi * 2**53)], dtype=np.int64) << 11
    return np.stack([np.full((4, 1), first), np.full((4, 1), second.view(np.uint64)[0])])


@given(u=st.floats(2.0**-53, 1.0), angle=st.floats(-np.pi / 2, np.pi / 2, exclude_max=True))
def test_the_tangent_gives_sine_and_cosine(u: float, angle: float) -> None:
    """For every pair of words the normals are those of Box and Muller, within rounding."""
    words = _words(max(u, 2.0**-53), min(angle, np.pi / 2 * (1 - 2.0**-52)))
    exact_u = float((words[0, 0, 0] >> np.uint64(11)) + np.uint64(1)) / 2**53
    exact_angle = float(words[1].view(np.int64)[0, 0] >> 11) * np.pi / 2**53
    radius, tangent, shared = (np.empty((4, 1)) for _ in range(3))
    noise._box_muller(words, radius, tangent, shared)

    length = np.sqrt(-np.log(exact_u))
    np.testing.assert_allclose(radius, length * np.cos(2 * exact_angle), atol=4e-15)
    np.testing.assert_allclose(2 * shared, length * np.sin(2 * exact_angle), atol=4e-15)


@pytest.mark.parametrize("word", [0, 2**64 - 1, 2**63, 2**63 - 1])
def test_the_ends_of_the_uniform_are_finite(word: int) -> None:
    """No word leads to infinity or NaN: not the logarithm's end, not the tangent's."""
    words = np.full((2, 4, 3), word, dtype=np.uint64)
    radius, tangent, shared = (np.empty((4, 3)) for _ in range(3))
    noise._box_muller(words, radius, tangent, shared)

    assert np.isfinite(radius).all()
    assert np.isfinite(shared).all()
    assert np.abs(radius).max() <= np.sqrt(53 * np.log(2))


@pytest.mark.parametrize("scale", [0.0, -1.0, float("inf"), float("nan")])
def test_no_noise_is_refused(scale: float) -> None:
    """A scale of zero is an error and not a mode."""
    with pytest.raises(UnsupportedEventError):
        gaussian(SecureStream(), 1, scale)


@given(
    clip=st.decimals("0.001", 100, places=3),
    sigma=st.decimals("0.001", 100, places=3),
)
def test_the_scale_covers_the_tolerance_of_clipping(clip: Decimal, sigma: Decimal) -> None:
    """The scale is at least σ · C · 1.001, and no more than a rounding above it."""
    exact = Fraction(clip) * Fraction(sigma) * Fraction(1001, 1000)
    assert exact <= Fraction(noise_scale(clip, sigma)) <= exact * (1 + Fraction(1, 2**51))


def test_a_sample_is_binomial_in_size(stream: SecureStream) -> None:
    """Mean and variance of 2,000 batch sizes fit the binomial distribution."""
    population, rate = 500, Fraction(1, 10)
    sizes = np.array([poisson_sample(stream, population, rate).size for _ in range(2000)])
    expected = stats.binom(population, float(rate))
    z = (sizes.mean() - expected.mean()) / np.sqrt(expected.var() / sizes.size)
    assert abs(z) < 5
    assert abs(sizes.var() / expected.var() - 1) < 5 * np.sqrt(2 / sizes.size)


def test_each_unit_is_sampled_alike_and_alone(stream: SecureStream) -> None:
    """Units have equal chances, and neither neighbours nor following steps go together."""
    steps = np.zeros((2000, 50))
    for row in steps:
        row[poisson_sample(stream, 50, Fraction(1, 4))] = 1
    chances = steps.mean(axis=0)
    assert np.all(np.abs(chances - 0.25) < 5 * np.sqrt(0.25 * 0.75 / 2000))
    together = (steps[:, 1:] * steps[:, :-1]).mean()
    following = (steps[1:] * steps[:-1]).mean()
    for share in (together, following):
        assert abs(share - 1 / 16) < 5 * np.sqrt(1 / 16 / (2000 * 49)) * 2


@given(population=st.integers(0, 200), rate=st.fractions(0, 1, max_denominator=100).filter(bool))
def test_a_sample_is_ascending_indices(population: int, rate: Fraction) -> None:
    """Indices are distinct, ordered and within the population."""
    sample = poisson_sample(SecureStream(), population, rate)
    assert sample.dtype == np.int64
    assert np.all(np.diff(sample) > 0)
    assert sample.size == 0 or (sample[0] >= 0 and sample[-1] < population)


def test_a_rate_of_one_takes_everybody() -> None:
    """The one rate whose threshold is no 64-bit word."""
    assert poisson_sample(SecureStream(), 5, Fraction(1)).tolist() == [0, 1, 2, 3, 4]


def test_the_chance_is_never_above_the_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    """For 1/3 the threshold is rounded down: the word at it is not sampled, the one below is."""
    threshold = 2**64 // 3
    words = np.array([threshold - 1, threshold], dtype=np.uint64)
    monkeypatch.setattr(SecureStream, "words", lambda self, count: words)
    assert poisson_sample(SecureStream(), 2, Fraction(1, 3)).tolist() == [0]


@pytest.mark.parametrize("rate", [Fraction(0), Fraction(-1, 2), Fraction(3, 2)])
def test_a_rate_that_is_no_chance_is_refused(rate: Fraction) -> None:
    """Rates lie in (0, 1]."""
    with pytest.raises(UnsupportedEventError):
        poisson_sample(SecureStream(), 1, rate)


def test_streams_differ_and_do_not_repeat() -> None:
    """Two streams, and two reads of one, have nothing in common."""
    first, second = SecureStream(), SecureStream()
    assert len({first.read(32), first.read(32), second.read(32)}) == 3


def test_a_stream_can_be_read_in_any_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading five and three bytes gives what reading eight gives."""
    monkeypatch.setattr(noise, "_fresh_key", lambda: bytes(48))
    pieces, whole = SecureStream(), SecureStream()
    assert pieces.read(5) + pieces.read(0) + pieces.read(3) == whole.read(8)


def test_an_array_of_any_shape_is_filled(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the words that reading gives, and across the pieces in which the cipher is asked."""
    monkeypatch.setattr(noise, "_fresh_key", lambda: bytes(48))
    monkeypatch.setattr(noise, "_ZEROS", memoryview(bytes(24)))
    filled = np.zeros((2, 3, 5), dtype=np.uint64)
    stream, again = SecureStream(), SecureStream()
    stream.fill(filled)
    stream.fill(np.empty((0, 3), dtype=np.uint64))

    assert filled.ravel().tolist() == again.words(30).tolist()
    assert stream.read(8) == again.read(8)


def test_the_stream_is_the_cipher_of_the_rfc(monkeypatch: pytest.MonkeyPatch) -> None:
    """RFC 8439, appendix A.1, test vector 1: the keystream under key, nonce and counter zero."""
    monkeypatch.setattr(noise, "_fresh_key", lambda: bytes(48))
    assert SecureStream().read(16).hex() == "76b8e0ada0f13d90405d6ae55386bd28"


def test_the_key_is_changed_before_the_counter_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the limit the stream goes on under another key, in the middle of a read."""
    keys = iter([bytes(48), b"\x01" * 48])
    monkeypatch.setattr(noise, "_fresh_key", lambda: next(keys))
    monkeypatch.setattr(noise, "_REKEY_BYTES", 16)
    data = SecureStream().read(24)
    monkeypatch.setattr(noise, "_fresh_key", lambda: b"\x01" * 48)
    assert data[16:] == SecureStream().read(8)


def test_a_fork_does_not_repeat_its_parent(stream: SecureStream) -> None:
    """A child process continues under a key of its own."""
    stream._process = os.getpid() + 1  # as a child would see it
    left = stream._left = 1000
    stream.read(8)
    assert stream._process == os.getpid()
    assert stream._left > left


@pytest.mark.parametrize("copier", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_stream_cannot_be_copied(copier: object) -> None:
    """A copy would give the same noise twice."""
    assert callable(copier)
    with pytest.raises(TypeError, match="make a new one"):
        copier(SecureStream())


def test_no_seed_can_be_given() -> None:
    """The constructor takes no argument, so no configuration reaches the key."""
    with pytest.raises(TypeError):
        SecureStream(b"seed")  # type: ignore[call-arg]


def test_a_negative_size_is_refused() -> None:
    """Reading backwards is an error."""
    with pytest.raises(ValueError, match="size >= 0"):
        SecureStream().read(-1)
