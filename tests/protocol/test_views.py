"""What the server sees of the vectors looks like noise, until the sum itself is unmasked.

One statistic for all: Pearson's chi-square of the bytes against a uniform distribution, or of two
samples against each other. It has 255 degrees of freedom, so its mean is 255 and its standard
deviation 22.6; what is within six of these passes. Keys and deltas are the same in every run.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from protocol import sealing, shamir
from protocol.config import Kem
from protocol.keys import PairSecret
from protocol.masks import Words, apply_masks
from tests.protocol.attacks import Contested, contested
from tests.protocol.builders import Delta, Federation

DIM = 20_000
FREEDOM = 255
WIDTH = 6 * math.sqrt(2 * FREEDOM)
QMAX = ((1 << 15) - 1) // 4
# A bound of qmax makes the grid the integers: no value is rounded, and sums can be compared.
FEDERATION = Federation(4, dim=DIM, bits=16, bound=float(QMAX), kem=Kem.X25519)
NAMES = FEDERATION.names


def against_uniform(words: Words) -> float:
    """Return the statistic of the words' bytes against a uniform distribution."""
    counts = np.bincount(words.view(np.uint8), minlength=256)
    expected = counts.sum() / 256
    return float(((counts - expected) ** 2 / expected).sum())


def against_each_other(one: Words, other: Words) -> float:
    """Return the statistic of two equally large samples of bytes."""
    first, second = (np.bincount(each.view(np.uint8), minlength=256) for each in (one, other))
    both = np.maximum(first + second, 1)
    return float(((first - second) ** 2 / both).sum())


def is_noise(statistic: float) -> bool:
    """Return whether the statistic is where a uniform sample has it."""
    return abs(statistic - FREEDOM) < WIDTH


def inputs(seed: int) -> Mapping[str, Delta]:
    """Return small integers for each region, as trained deltas are small beside their bound."""
    generator = np.random.default_rng(seed)
    return {name: generator.integers(-20, 21, DIM).astype(np.float64) for name in NAMES}


@cache
def masked(attempt: int, turned: int = 0) -> Mapping[str, Words]:
    """Return each region's masked vector in an attempt; ``turned`` exchanges the inputs."""
    play = started(attempt, turned).until("consent")
    return {name: vector(play, name) for name in NAMES}


def started(attempt: int, turned: int = 0) -> Contested:
    play = contested(FEDERATION, attempt=attempt)
    given = list(inputs(0).values())
    play.inputs = dict(zip(NAMES, given[turned:] + given[:turned], strict=True))
    return play


def vector(play: Contested, name: str) -> Words:
    return np.frombuffer(b"".join(play.masked[name][1]), "<u2").copy()


def minus(one: Words, other: Words) -> Words:
    """Return the difference modulo 2**16."""
    difference: NDArray[np.uint16] = (one - other).astype("<u2")
    return difference


def test_the_statistic_sees_what_is_not_masked() -> None:
    """The plain words of a delta, and the sum of all vectors, are far from uniform."""
    play = started(0)
    for names in [*[(name,) for name in NAMES], NAMES]:
        assert against_uniform(play.expected_sum(names)) > 100 * FREEDOM
    words = np.random.default_rng(1).integers(0, 1 << 16, DIM).astype("<u2")
    assert is_noise(against_uniform(words))
    assert is_noise(against_each_other(words, np.roll(words, 1) + np.arange(DIM, dtype="<u2")))
    assert not is_noise(against_each_other(words, play.expected_sum(NAMES)))


@pytest.mark.parametrize("name", NAMES)
def test_a_masked_vector_looks_uniform(name: str) -> None:
    """Every region's, whatever masks it adds and subtracts."""
    assert is_noise(against_uniform(masked(0)[name]))


@pytest.mark.parametrize("name", NAMES)
def test_two_attempts_do_not_show_the_delta_by_their_difference(name: str) -> None:
    """The words are the same in both attempts; the masks are not."""
    assert is_noise(against_uniform(minus(masked(0)[name], masked(1)[name])))


@pytest.mark.parametrize("count", [2, 3, 4])
def test_partial_sums_look_uniform(count: int) -> None:
    """Sums of fewer than all, and also of all before the shares are revealed."""
    vectors = list(masked(0).values())
    total = np.sum(vectors[:count], axis=0, dtype=np.uint16).astype("<u2")
    assert is_noise(against_uniform(total))


def test_pair_masks_alone_and_self_masks_alone_hide_a_vector() -> None:
    """Without its pair masks a vector still has its own, and the other way round."""
    for keep in "self", "pairs":
        play = started(0).until("mask")
        play.server.members()
        region = play.regions[NAMES[1]]
        pairs, dealt = dict(region._secrets.pairs), region._secrets.dealt
        assert dealt is not None
        play.mask()
        words = vector(play, NAMES[1])
        if keep == "pairs":
            apply_masks(words, add=[], subtract=[dealt.self_seed])
        else:
            take_pairs_off(words, region.uid, pairs)
        assert is_noise(against_uniform(words))


def take_pairs_off(words: Words, me: bytes, pairs: Mapping[bytes, PairSecret]) -> None:
    """Remove a region's pair masks, in place."""
    lower = [pair.seed for peer, pair in pairs.items() if peer < me]
    higher = [pair.seed for peer, pair in pairs.items() if peer > me]
    apply_masks(words, add=lower, subtract=higher)


def test_a_late_vector_stays_hidden_after_the_others_are_unmasked() -> None:
    """The server opens the lost region's escrow and removes its pair masks; its own mask stays."""
    play = started(0).until("mask")
    members = play.server.members()
    late = play.regions[NAMES[2]]
    play.answer("mask", late, members)
    play.lose(NAMES[2])
    for stage in ("mask", "consent", "unmask"):
        play.exchange(stage)
    words = vector(play, NAMES[2])
    assert is_noise(against_uniform(words))
    seeds = opened_escrow(play, late.uid)
    lower = [seed for peer, seed in seeds.items() if peer < late.uid]
    higher = [seed for peer, seed in seeds.items() if peer > late.uid]
    apply_masks(words, add=lower, subtract=higher)
    assert is_noise(against_uniform(words))
    rest = [name for name in NAMES if name != NAMES[2]]
    total = play.server.close().words
    assert total.tobytes() == play.expected_sum(rest).tobytes()
    assert is_noise(against_uniform(minus(words, total)))


def opened_escrow(play: Contested, dealer: bytes) -> Mapping[bytes, bytes]:
    """Return what the server learns of a lost region: the seeds that it shared with each peer."""
    shares, config = play.server._shares[dealer], FEDERATION.config
    values = {
        config.cohort.index(holder) + 1: shamir.from_bytes(answer.escrow_shares[0].share)
        for holder, answer in play.server._answers.items()
    }
    secret = shamir.to_bytes(shamir.combine(values, shamir.basis(tuple(values))))
    seeds = sealing.open_escrow(
        secret, shares.escrow, roster_hash=shares.roster_hash, dealer=dealer
    )
    return dict(zip(shares.recipients, seeds, strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_views_of_inputs_with_one_sum_cannot_be_told_apart(name: str) -> None:
    """The regions exchange their deltas: vectors, differences and partial sums stay alike."""
    one, other = masked(0), masked(2, 1)
    assert is_noise(against_each_other(one[name], other[name]))
    assert is_noise(against_uniform(minus(one[name], other[name])))
    partial = [
        np.sum([view[each] for each in NAMES if each != name], axis=0, dtype=np.uint16)
        for view in (one, other)
    ]
    assert is_noise(against_each_other(*[each.astype("<u2") for each in partial]))


def test_the_sums_of_both_views_are_equal() -> None:
    """That is all that they have in common: the published words are the same."""
    sums = []
    for turned in 0, 1:
        play = started(turned, turned)
        published = play.finish()
        assert published.words.tobytes() == play.expected_sum(NAMES).tobytes()
        sums.append(published.words.tobytes())
    assert sums[0] == sums[1]
