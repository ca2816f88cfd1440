from __future__ import annotations

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given
from hypothesis import strategies as st

from protocol.encoding import tagged_hash
from protocol.keystream import BLOCK_BYTES, Keystream
from protocol.masks import Words, apply_masks, mask_key, word_type


def seed_of(one: int, other: int) -> bytes:
    """Return the seed that two parties share."""
    return tagged_hash("test/seed", min(one, other), max(one, other))


def masked(words: Words, *, me: int, count: int, threads: int = 1) -> Words:
    """Return a copy of ``words`` with the pairwise masks of ``me`` among ``count`` parties on."""
    result = words.copy()
    apply_masks(
        result,
        add=[seed_of(me, peer) for peer in range(me + 1, count)],
        subtract=[seed_of(me, peer) for peer in range(me)],
        threads=threads,
    )
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
    for peer in (0, 2):
        aes = Cipher(algorithms.AES256(mask_key(seed_of(me, peer))), modes.ECB()).encryptor()
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


@pytest.mark.parametrize("bits", [16, 32])
@pytest.mark.parametrize("extra", [-1, 0, 1, 3 * BLOCK_BYTES // 2])
def test_threads_change_nothing(bits: int, extra: int) -> None:
    """However many threads share a vector, also more than it has blocks, every bit is the same."""
    words = np.full(BLOCK_BYTES // 2 + extra, 7, word_type(bits))
    alone = masked(words, me=1, count=3)
    assert (alone != words).mean() > 0.99
    for threads in (2, 3, 16):
        assert (masked(words, me=1, count=3, threads=threads) == alone).all()


@pytest.mark.parametrize("bits", [16, 32])
def test_what_was_added_can_be_subtracted(bits: int) -> None:
    """The server removes a self mask and pairwise masks from a sum with the same call."""
    words: Words = np.empty(1000, word_type(bits))
    words[...] = np.arange(1000)
    sent = words.copy()
    apply_masks(sent, add=[b"a" * 32, b"b" * 32], subtract=[b"c" * 32])
    assert np.count_nonzero(sent != words) > 900
    apply_masks(sent, add=[b"c" * 32], subtract=[b"b" * 32])
    apply_masks(sent, add=[], subtract=[b"a" * 32])
    assert (sent == words).all()


def test_no_words_and_no_masks_are_fine() -> None:
    """An empty vector and an empty list of seeds leave everything as it is."""
    for size in (0, 5):
        words = np.ones(size, np.uint32)
        apply_masks(words, add=[b"a" * 32] * (size == 0), subtract=[], threads=2)
        assert words.tolist() == [1] * size


@pytest.mark.parametrize(
    ("add", "subtract", "threads"),
    [
        ([bytes(31)], [], 1),
        ([], [b""], 1),
        ([bytes(32)], [], 0),
    ],
)
def test_seeds_of_another_size_are_refused(
    add: list[bytes], subtract: list[bytes], threads: int
) -> None:
    """A mask that a short seed makes is a bug; nothing was changed."""
    words = np.zeros(4, np.uint32)
    with pytest.raises(ValueError, match="expected"):
        apply_masks(words, add=add, subtract=subtract, threads=threads)
    assert not words.any()
