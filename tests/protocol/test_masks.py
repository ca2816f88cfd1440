from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given
from hypothesis import strategies as st

from protocol.encoding import tagged_hash
from protocol.keystream import BLOCK_BYTES, Keystream
from protocol.masks import Words, add_masks, mask_key, word_type


def seeds_of(me: int, count: int) -> Mapping[int, bytes]:
    """Return the seed that ``me`` shares with each other of ``count`` parties."""
    return {
        peer: tagged_hash("test/seed", min(me, peer), max(me, peer))
        for peer in range(count)
        if peer != me
    }


def masked(words: Words, *, me: int, count: int) -> Words:
    """Return a copy of ``words`` with the masks of ``me`` on."""
    result = words.copy()
    add_masks(result, me=me, seeds=seeds_of(me, count))
    return result


def chi_square(words: Words) -> float:
    """Return Pearson's statistic of the bytes against the uniform law; 255 ± 23 if uniform."""
    counts = np.bincount(words.view(np.uint8), minlength=256)
    expected = words.nbytes / 256
    return float(((counts - expected) ** 2 / expected).sum())


@given(
    count=st.integers(2, 6),
    bits=st.sampled_from([16, 32]),
    size=st.sampled_from([1, 7, 1000]),
    seed=st.integers(0, 2**32),
)
def test_masks_cancel_in_the_sum(count: int, bits: int, size: int, seed: int) -> None:
    """For any words of any number of parties, the masked sum is the sum."""
    generator = np.random.default_rng(seed)
    vectors = generator.integers(0, 2**bits, (count, size)).astype(word_type(bits))
    total = np.zeros(size, vectors.dtype)
    for me, vector in enumerate(vectors):
        total += masked(vector, me=me, count=count)
    assert (total == vectors.sum(axis=0, dtype=vectors.dtype)).all()


@pytest.mark.parametrize("bits", [16, 32])
def test_masks_cancel_across_blocks(bits: int) -> None:
    """A vector longer than one block of the keystream is masked from end to end."""
    size = BLOCK_BYTES // (bits // 8) + 3
    zeros = np.zeros(size, word_type(bits))
    left, right = masked(zeros, me=0, count=2), masked(zeros, me=1, count=2)
    assert np.count_nonzero(left) > 0.99 * size
    assert not (left + right).any()


@pytest.mark.parametrize("parties", [(0,), (0, 1), (0, 2, 3)])
@pytest.mark.parametrize("bits", [16, 32])
def test_sums_of_fewer_than_all_look_uniform(parties: tuple[int, ...], bits: int) -> None:
    """What a curious server can add up without the last region is noise (χ², 6 deviations)."""
    secret = np.full(50_000, 7, word_type(bits))
    partial = sum((masked(secret, me=me, count=4) for me in parties), np.zeros_like(secret))
    assert abs(chi_square(partial) - 255) < 6 * 22.6
    assert abs(chi_square(partial - secret) - 255) < 6 * 22.6


def test_the_uniformity_test_rejects_what_is_not() -> None:
    """A vector without masks, and the sum of all, fail the same test by far."""
    secret = np.full(50_000, 7, np.uint32)
    everybody = sum((masked(secret, me=me, count=4) for me in range(4)), np.zeros_like(secret))
    assert chi_square(secret) > 10_000
    assert chi_square(everybody) > 10_000


@pytest.mark.parametrize("bits", [16, 32])
def test_masks_by_plain_integers(bits: int) -> None:
    """The same masks from AES on single counter blocks and Python's integers."""
    size, count, me = 10, 3, 1
    expected = [5] * size
    for peer, seed in seeds_of(me, count).items():
        aes = Cipher(algorithms.AES256(mask_key(seed)), modes.ECB()).encryptor()
        stream = b"".join(aes.update(block.to_bytes(16, "big")) for block in range(size))
        for i in range(size):
            word = int.from_bytes(stream[i * bits // 8 : (i + 1) * bits // 8], "little")
            expected[i] = (expected[i] + (word if peer > me else -word)) % 2**bits
    words = np.full(size, 5, word_type(bits))
    assert masked(words, me=me, count=count).tolist() == expected


def test_known_answers() -> None:
    """Values of the FSA1 specification: the key of the zero seed and its first 32 bytes."""
    key = mask_key(bytes(32))
    out = np.empty(32, np.uint8)
    Keystream(key).fill(out)
    assert key.hex() == "daaefaa72dc3b2a64df300190c46c7d257253490a26832afb68f86c2ed852af0"
    assert out.tobytes().hex() == "f2bfde016802c8098cb59c42419403d697ddc52483f67fb9963a0fcce19741c7"


@pytest.mark.parametrize("seeds", [{0: bytes(32)}, {1: bytes(31)}])
def test_a_seed_for_oneself_or_of_another_size_is_refused(seeds: dict[int, bytes]) -> None:
    """A mask that nobody else removes is a bug, not a mask."""
    with pytest.raises(ValueError, match="expected a seed"):
        add_masks(np.zeros(1, np.uint32), me=0, seeds=seeds)
