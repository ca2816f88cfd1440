from __future__ import annotations

import math
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privacy.guarantee import Bound, Neighbours, Unit
from privacy.report.claim import claim, delta_text, guess_percent, in_plain_words
from tests.privacy.report.builders import bound, region

epsilons = st.decimals(Decimal("0.001"), 1000, places=3)


def test_a_claim_has_all_that_makes_it_exact() -> None:
    """ε, δ, unit, relation, lineage, date, adversary, assumptions and exceptions."""
    text = claim(region("north"), as_of="2026-11-24", assumptions=8, exceptions=6)
    for part in (
        "ε = 2.999",
        "δ = 1e-5",
        "each single record",
        "add-or-remove-one",
        "lineage titles in north",
        "as the ledger stood on 2026-11-24",
        "bounded computing power",
        "A1 to A8",
        "N1 to N6",
    ):
        assert part in text


def test_a_claim_does_not_say_too_much() -> None:
    """Not everything that a region sent, nothing exact, nothing about identity."""
    text = claim(region("north"), as_of="2026-11-24", assumptions=1, exceptions=0).lower()
    for word in ("everything", "exact", "anonym", "guarantees that"):
        assert word not in text
    assert "assumptions a1 hold" in text


@given(epsilon=epsilons, delta=st.sampled_from(["0.1", "0.00001", "0.000000001"]))
def test_the_bound_on_guessing_is_the_one_of_the_region_of_errors(
    epsilon: Decimal, delta: str
) -> None:
    """At even odds: 1 - (1 - δ) / (1 + e^ε), rounded up and never above 100."""
    percent = guess_percent(Bound(*bound("1").relation, epsilon, Decimal(delta)))
    exact = 100 * (1 - (1 - float(delta)) / (1 + math.exp(min(float(epsilon), 700))))
    assert exact - 1e-6 <= percent <= min(100, exact + 1)
    assert 50 <= percent <= 100


def test_the_bound_on_guessing_has_known_values() -> None:
    """ε = ln 3 allows three right in four; almost no ε, the coin."""
    assert guess_percent(bound(f"{math.log(3):.12f}", "0.000000001")) == 76
    assert guess_percent(bound("0.001")) == 51


def test_plain_words_say_which_guess_is_meant() -> None:
    """Whether it was used at all, or which of two was: the relation decides."""
    assert "whether one given record was used" in in_plain_words(bound("3"))
    swapped = Bound(Unit.PERSON, Neighbours.REPLACE_ONE, Decimal(3), Decimal("0.00001"))
    assert "which of two given persons" in in_plain_words(swapped)


def test_an_epsilon_that_protects_hardly_at_all_is_called_that() -> None:
    """Beyond 99 in 100 there is no limit worth a number."""
    assert "nothing worth the name" in in_plain_words(bound("8"))
    assert "at most 96 times" in in_plain_words(bound("3"))


@pytest.mark.parametrize(
    ("delta", "text"), [("0.00001", "1e-5"), ("0.000025", "2.5e-5"), ("0.1", "1e-1")]
)
def test_delta_is_written_as_people_write_it(delta: str, text: str) -> None:
    """With a power of ten."""
    assert delta_text(replace(bound("1"), delta=Decimal(delta))) == text
