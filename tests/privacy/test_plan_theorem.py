"""The plan theorem (docs/plan-theorem.md) in its smallest cases, by enumeration.

Discrete mechanisms, so that every adaptive strategy can be listed and its δ is exact: randomized
responses of several strengths, and one that is asymmetric, as sampled mechanisms are.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from fractions import Fraction
from typing import TypeAlias

import pytest

# The laws of one mechanism's output on two neighbouring data sets, by outcome.
Pair: TypeAlias = tuple[tuple[Fraction, Fraction], ...]
Transcript: TypeAlias = tuple[tuple[Fraction, Fraction], ...]


def response(truth: Fraction) -> Pair:
    """A randomized response that says the truth with this chance."""
    return ((truth, 1 - truth), (1 - truth, truth))


STRONG, WEAK = response(Fraction(9, 10)), response(Fraction(3, 5))
# One data set shows an outcome that the other never has: a loss that may be infinite.
LOPSIDED: Pair = (
    (Fraction(1, 4), Fraction(1, 2)),
    (Fraction(7, 10), Fraction(1, 2)),
    (Fraction(1, 20), Fraction(0)),
)
MULTISETS = [
    (STRONG, WEAK),
    (STRONG, LOPSIDED),
    (WEAK, WEAK, STRONG),
    pytest.param((WEAK, LOPSIDED, STRONG), marks=pytest.mark.slow),
]
FACTORS = [Fraction(1, 3), Fraction(1), Fraction(3, 2), Fraction(4), Fraction(9), Fraction(14)]


def product(pairs: tuple[Pair, ...]) -> Transcript:
    """All of them at once, whatever was seen."""
    one = Fraction(1)
    return tuple(
        (math.prod((p for p, _ in part), start=one), math.prod((q for _, q in part), start=one))
        for part in itertools.product(*pairs)
    )


def strategies(left: tuple[Pair, ...], *, may_stop: bool = True) -> Iterator[Transcript]:
    """Every deterministic analyst: whom to ask next, given each answer, or to stop."""
    if may_stop or not left:
        yield ((Fraction(1), Fraction(1)),)
    for place, pair in enumerate(left):
        rest = left[:place] + left[place + 1 :]
        after = list(strategies(rest, may_stop=may_stop))
        for chosen in itertools.product(after, repeat=len(pair)):
            yield tuple(
                (p * further_p, q * further_q)
                for (p, q), further in zip(pair, chosen, strict=True)
                for further_p, further_q in further
            )


def hockey_stick(transcript: Transcript, factor: Fraction) -> Fraction:
    """The exact δ at e^ε = ``factor``."""
    return sum((max(Fraction(0), p - factor * q) for p, q in transcript), start=Fraction(0))


@pytest.mark.parametrize("multiset", MULTISETS)
def test_every_adaptive_strategy_is_within_the_product(multiset: tuple[Pair, ...]) -> None:
    """For every order, chosen by answers, every early stop, and at every ε."""
    whole = product(multiset)
    ceilings = {factor: hockey_stick(whole, factor) for factor in FACTORS}
    seen = 0
    for transcript in strategies(multiset):
        assert sum(p for p, _ in transcript) == sum(q for _, q in transcript) == 1
        for factor, ceiling in ceilings.items():
            assert hockey_stick(transcript, factor) <= ceiling
        seen += 1
    assert seen > len(multiset)


@pytest.mark.parametrize("multiset", MULTISETS[:3])
def test_an_analyst_who_asks_everything_gets_exactly_the_product(
    multiset: tuple[Pair, ...],
) -> None:
    """The bound is no looser than it must be: without a stop it is reached in any order."""
    whole = product(multiset)
    for transcript in strategies(multiset, may_stop=False):
        for factor in FACTORS:
            assert hockey_stick(transcript, factor) == hockey_stick(whole, factor)


def test_the_accountants_library_composes_the_same_product() -> None:
    """dp_accounting's composition of two responses is above the exact δ, and hardly so."""
    from dp_accounting.pld import privacy_loss_distribution as pld

    composed = pld.from_randomized_response(0.2, 2).compose(pld.from_randomized_response(0.8, 2))
    whole = product((STRONG, WEAK))
    for factor in FACTORS[1:]:
        exact = float(hockey_stick(whole, factor))
        found = float(composed.get_delta_for_epsilon(math.log(factor)))
        assert exact - 1e-12 <= found <= exact + 1e-3


def test_choosing_mechanisms_by_what_was_seen_is_not_covered() -> None:
    """Why an ε computed along the way is no filter.

    After a first answer either follow-up gives δ = 1/20 at e^ε = 4, so whoever computes ε for what
    was really asked finds the budget kept, on every path. Picking the follow-up by the answer
    gives δ = 7/100.
    """
    first, factor = response(Fraction(3, 5)), Fraction(4)
    steady = response(Fraction(3, 4))
    rare: Pair = ((Fraction(1, 20), Fraction(0)), (Fraction(19, 20), Fraction(1)))
    for follow_up in (steady, rare):
        assert hockey_stick(product((first, follow_up)), factor) == Fraction(1, 20)
    picked = tuple(
        (p * further_p, q * further_q)
        for (p, q), follow_up in zip(first, (steady, rare), strict=True)
        for further_p, further_q in follow_up
    )
    assert hockey_stick(picked, factor) == Fraction(7, 100)
