from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privacy.canonical import Json, dumps, loads
from privacy.errors import MalformedDocumentError, UnsupportedEventError
from privacy.events import (
    Composed,
    Event,
    Gaussian,
    MixtureOfGaussians,
    SampledGaussian,
    from_json,
)

NOISE = st.decimals("0.001", 100, places=3)
STEPS = st.integers(1, 10**6)
RATES = st.fractions(0, 1, max_denominator=10**6).filter(bool)
MECHANISMS: st.SearchStrategy[Event] = (
    st.builds(Gaussian, NOISE, STEPS)
    | st.builds(SampledGaussian, NOISE, RATES, STEPS)
    | st.builds(MixtureOfGaussians, NOISE, RATES, st.integers(1, 1000), STEPS)
)
EVENTS = st.recursive(
    MECHANISMS, lambda inner: st.builds(Composed, st.lists(inner, max_size=3).map(tuple))
)


@given(event=EVENTS)
def test_an_event_survives_the_round_trip(event: Event) -> None:
    """Every event of the grammar is read as it was written, through bytes."""
    assert from_json(loads(dumps(event.to_json()))) == event


@pytest.mark.parametrize("kind", ["laplace", "non-private", "builtins.eval", "", "Gaussian"])
def test_an_unknown_kind_is_refused(kind: str) -> None:
    """Nothing in a file names code; what is not in the table is not accounted for."""
    with pytest.raises(UnsupportedEventError):
        from_json({"kind": kind, "noise_multiplier": "1", "steps": 1})


@pytest.mark.parametrize(
    "value",
    [
        {"kind": "gaussian", "noise_multiplier": "1", "steps": 1, "extra": 1},
        {"kind": "gaussian", "noise_multiplier": "1"},
        {"kind": "gaussian", "noise_multiplier": "1", "steps": 0},
        {"kind": "sampled-gaussian", "noise_multiplier": "1", "steps": 1, "sample_rate": "0.5"},
        {
            "kind": "mixture-of-gaussians",
            "noise_multiplier": "1",
            "sample_rate": "1/2",
            "records_per_unit": 0,
            "steps": 1,
        },
        {"kind": "composed", "events": "none"},
        [],
    ],
)
def test_another_form_is_refused(value: Json) -> None:
    """A missing, unknown or misspelt field is refused."""
    with pytest.raises(MalformedDocumentError):
        from_json(value)


@pytest.mark.parametrize("noise", ["0", "-1", "NaN", "Infinity"])
def test_no_noise_is_no_event(noise: str) -> None:
    """A release without noise has no finite ε."""
    with pytest.raises(UnsupportedEventError):
        Gaussian(Decimal(noise), 1)


@pytest.mark.parametrize("rate", [Fraction(0), Fraction(-1, 2), Fraction(3, 2)])
def test_a_rate_is_a_chance(rate: Fraction) -> None:
    """Sample rates lie in (0, 1]."""
    with pytest.raises(UnsupportedEventError):
        SampledGaussian(Decimal(1), rate, 1)


def test_an_event_happens() -> None:
    """Zero steps are no event."""
    with pytest.raises(UnsupportedEventError):
        SampledGaussian(Decimal(1), Fraction(1, 2), 0)


@pytest.mark.parametrize("records", [0, 1001])
def test_a_unit_has_some_records_and_not_any_number(records: int) -> None:
    """A stranger's ledger cannot ask for a computation without end."""
    with pytest.raises(UnsupportedEventError, match="records"):
        MixtureOfGaussians(Decimal(1), Fraction(1, 2), records, 1)


def test_a_mixture_checks_its_noise_and_rate() -> None:
    """As every other mechanism does."""
    with pytest.raises(UnsupportedEventError):
        MixtureOfGaussians(Decimal(0), Fraction(1, 2), 2, 1)
    with pytest.raises(UnsupportedEventError):
        MixtureOfGaussians(Decimal(1), Fraction(3, 2), 2, 1)
