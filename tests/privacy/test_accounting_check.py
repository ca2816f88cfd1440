from __future__ import annotations

import sys
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from privacy import accounting_check
from privacy.accountant import PldAccountant, RdpAccountant
from privacy.accounting_check import cross_check, price
from privacy.accounting_prv import PrvAccountant, PrvUnavailableError
from privacy.errors import UnsupportedEventError
from privacy.events import (
    Composed,
    Event,
    Gaussian,
    MixtureOfGaussians,
    SampledGaussian,
    for_persons,
)
from privacy.guarantee import Neighbours

ADD, SWAP = Neighbours.ADD_OR_REMOVE_ONE, Neighbours.REPLACE_ONE
DELTA = Decimal("0.00001")
SMALL = SampledGaussian(Decimal(6), Fraction(1, 10), 10)
PERSON = MixtureOfGaussians(Decimal(6), Fraction(1, 10), 2, 5)


def without_opacus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the import fail as it does where Opacus is not installed."""
    monkeypatch.setitem(sys.modules, "opacus.accountants.analysis", None)
    monkeypatch.setitem(sys.modules, "opacus", None)


def random_event(random: np.random.Generator) -> SampledGaussian:
    """A sample rate from 0.002 to 0.5, up to 300 steps, and noise that gives a sensible ε."""
    rate = Fraction(int(random.integers(2, 500)), 1000)
    steps = int(random.integers(1, 300))
    least = max(0.7, float(rate) * steps**0.5 / 2)
    sigma = Decimal(str(round(least * float(random.uniform(1, 4)), 3)))
    return SampledGaussian(sigma, rate, steps)


@pytest.mark.slow
def test_the_accountants_agree_on_random_settings() -> None:
    """Sixty events: the charge is within Rényi, and the third opinion within 0.01 of the PLD."""
    random = np.random.default_rng(20260726)
    for _ in range(60):
        event = random_event(random)
        found = cross_check(event, delta=DELTA, neighbours=ADD)
        official = found.pld if found.refined is None else found.refined
        assert found.renyi is not None
        assert float(found.charged) <= max(found.renyi + 1e-6, 0.001) + 0.001
        assert found.prv is not None, found.notes
        assert abs(found.prv - official) <= 0.01


def test_a_grid_too_coarse_for_many_small_steps_is_refined() -> None:
    """20,000 steps of q = .0005, σ = 10: the PLD at 1e-4 exceeds Rényi, so it is not charged."""
    event = SampledGaussian(Decimal(10), Fraction(1, 2000), 20_000)
    found = price(event, delta=Decimal("1e-6"), neighbours=ADD)
    assert found.renyi is not None
    assert found.refined is not None
    assert found.pld > found.renyi
    assert found.charged <= Decimal("0.027")


def test_what_was_said_is_kept() -> None:
    """The price holds both computations, and the charge is the official one rounded up."""
    found = price(SMALL, delta=DELTA, neighbours=ADD)
    assert found.pld == PldAccountant().epsilon(SMALL, 1e-5)
    assert found.renyi == RdpAccountant().epsilon(SMALL, 1e-5)
    assert 0 <= float(found.charged) - found.pld < 0.001
    assert found.prv is None


@pytest.mark.slow
def test_a_third_opinion_confirms_and_does_not_charge() -> None:
    """With Opacus the check has one more number, and the same charge."""
    found = cross_check(SMALL, delta=DELTA, neighbours=ADD)
    assert found.prv == PrvAccountant().epsilon(SMALL, 1e-5)
    assert found.notes == ()
    assert found.charged == price(SMALL, delta=DELTA, neighbours=ADD).charged


def test_without_opacus_there_is_a_note_and_the_same_charge(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An auditor's machine has none: that is no failure."""
    without_opacus(monkeypatch)
    event = SampledGaussian(Decimal(7), Fraction(1, 10), 10)  # in no cache yet
    found = cross_check(event, delta=DELTA, neighbours=ADD)
    assert found.prv is None
    assert found.notes == ("no third opinion: Opacus is not installed",)
    assert found.charged == price(event, delta=DELTA, neighbours=ADD).charged
    with pytest.raises(PrvUnavailableError, match="not installed"):
        PrvAccountant().epsilon(event, 1e-5)


def test_a_grid_beyond_memory_is_noted_before_it_is_made() -> None:
    """A hundred million points: the third accountant declines, without loading Opacus' arrays."""
    event = SampledGaussian(Decimal(2), Fraction(1, 2), 10**5)
    with pytest.raises(PrvUnavailableError, match="points"):
        PrvAccountant().epsilon(event, 1e-5)


def test_a_contradicting_opinion_refuses_the_event(monkeypatch: pytest.MonkeyPatch) -> None:
    """More than 0.01 apart, also on a finer grid: one of them is wrong."""

    def astray(accountant: PrvAccountant, event: Event, delta: float) -> float:
        return PldAccountant().epsilon(event, delta) + 0.02

    monkeypatch.setattr(PrvAccountant, "epsilon", astray)
    with pytest.raises(UnsupportedEventError, match="agree"):
        cross_check(SMALL, delta=DELTA, neighbours=ADD)


@pytest.mark.slow
@pytest.mark.parametrize(("event", "neighbours"), [(SMALL, SWAP), (PERSON, ADD), (PERSON, SWAP)])
def test_where_renyi_says_nothing_two_grids_must_agree(
    event: Event, neighbours: Neighbours, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If they never do, nothing is charged; the note says whose opinion is missing."""
    found = cross_check(event, delta=DELTA, neighbours=neighbours)
    assert found.renyi is None
    assert found.prv is None
    assert "third opinion" in found.notes[0]
    assert found.refined is not None
    assert abs(found.pld - found.refined) <= 0.01
    monkeypatch.setattr(accounting_check, "AGREEMENT", -1.0)
    with pytest.raises(UnsupportedEventError, match="agree"):
        cross_check(event, delta=DELTA, neighbours=neighbours)


def test_an_infinite_bound_is_no_charge(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no finite ε exists the event is refused."""

    def unbounded(accountant: object, event: Event, delta: float) -> float:
        return float("inf")

    monkeypatch.setattr(PldAccountant, "epsilon", unbounded)
    monkeypatch.setattr(RdpAccountant, "epsilon", unbounded)
    for neighbours in Neighbours:
        with pytest.raises(UnsupportedEventError, match="no finite"):
            price(SMALL, delta=DELTA, neighbours=neighbours)


def test_no_release_is_free() -> None:
    """An event whose ε at this δ is zero is still charged 0.001."""
    event = SampledGaussian(Decimal(1000), Fraction(1, 1000), 1)
    assert price(event, delta=DELTA, neighbours=ADD).charged == Decimal("0.001")


def test_a_person_of_one_record_is_a_record() -> None:
    """The cap of one changes nothing, so the price and its cache are the record's."""
    assert for_persons(SMALL, records=1) == SMALL


def test_a_person_of_several_records_is_a_mixture_everywhere() -> None:
    """Each part of a composition is priced for all of a person's records, sampled or not."""
    parts = for_persons(Composed((SMALL, Gaussian(Decimal(20), 3))), records=4)
    assert parts == Composed(
        (
            MixtureOfGaussians(Decimal(6), Fraction(1, 10), 4, 10),
            MixtureOfGaussians(Decimal(20), Fraction(1), 4, 3),
        )
    )


@pytest.mark.parametrize("records", [0, -1, 1001])
def test_a_cap_out_of_range_is_refused(records: int) -> None:
    """No records, or so many that nobody could price them."""
    with pytest.raises(UnsupportedEventError, match="records"):
        for_persons(SMALL, records=records)


def test_a_persons_event_is_not_made_a_persons_twice() -> None:
    """Four times four records would be another cap than the declared one."""
    with pytest.raises(UnsupportedEventError, match="already"):
        for_persons(PERSON, records=4)
