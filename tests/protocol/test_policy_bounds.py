"""The bounds that a region computes for itself: thresholds, consents and weights."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from protocol.config import RoundConfig
from protocol.errors import AbortError
from protocol.policy import check_heavy, check_threshold, least_consents
from tests.protocol.builders import Federation

CONFIG = Federation(4).config


def round_of(size: int, *, threshold: int, colluders: int = 0) -> RoundConfig:
    """Return a round of so many regions, all of which must survive."""
    return replace(
        CONFIG,
        cohort=tuple(i.to_bytes(16, "big") for i in range(size)),
        weights=(Fraction(1, size),) * size,
        threshold=threshold,
        min_cohort=size,
        min_survivors=size,
        assumed_colluders=colluders,
    )


def test_a_victim_and_three_colluders_cannot_hide_behind_tiny_weights() -> None:
    """Nearly a quarter each, and next to nothing for the others: 25 % at most, yet isolated."""
    federation = Federation(8, shares=(10**6,) * 4 + (1,) * 4, threshold=6)
    numbers = {"threshold": 6, "min_survivors": 6, "min_cohort": 6, "assumed_colluders": 3}
    region = federation.region(federation.names[0], max_weight=Fraction(1, 4))
    assert max(federation.weights) < Fraction(1, 4)
    with pytest.raises(AbortError, match="bad_weights"):
        region.start(federation.signed(**numbers))


@pytest.mark.parametrize(
    ("weights", "colluders", "fine"),
    [
        ((4, 4, 1), 0, True),
        ((4, 4, 4), 0, True),
        ((5, 5, 1), 0, False),
        ((4, 4, 4), 1, False),
        ((4, 4, 4, 1), 1, True),
        ((5, 5, 5, 1), 1, False),
        ((1,), 0, False),
    ],
)
def test_enough_regions_weigh_a_quarter_of_the_heaviest(
    weights: tuple[int, ...], colluders: int, fine: bool
) -> None:
    """At least three that are no colluders, exactly a quarter included."""
    shares = [Fraction(weight, sum(weights)) for weight in weights]
    if fine:
        check_heavy(shares, colluders=colluders)
        return
    with pytest.raises(AbortError, match="bad_weights"):
        check_heavy(shares, colluders=colluders)


@pytest.mark.parametrize("size", [*range(3, 11), 16, 64, 127, 128])
def test_two_lists_of_survivors_never_both_reach_the_threshold(size: int) -> None:
    """The smallest accepted threshold is two thirds and one, and 2 · t > n + n_c."""
    least = 2 * size // 3 + 1
    for colluders in {0, (size - 1) // 3, size // 2}:
        for threshold in {1, size // 2, least - 1, least, size}:
            config = round_of(size, threshold=threshold, colluders=colluders)
            if threshold >= least and 2 * threshold > size + colluders and size >= colluders + 3:
                check_threshold(config)
            else:
                with pytest.raises(AbortError, match="bad_threshold"):
                    check_threshold(config)


@pytest.mark.parametrize(
    ("size", "survivors", "least"), [(3, 3, 3), (9, 7, 7), (9, 9, 9), (10, 7, 7), (10, 10, 7)]
)
def test_up_to_nine_regions_every_survivor_consents(size: int, survivors: int, least: int) -> None:
    """With more, the threshold's number is enough; the config's threshold is seven here."""
    config = round_of(size, threshold=min(7, size))
    assert least_consents(config, survivors=survivors) == least
