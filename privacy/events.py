"""What was done to the data, as data: the mechanisms that an accountant can price.

A closed grammar with one reader. It never resolves a name found in a file to code, as
``dp_accounting.DpEvent.from_named_tuple`` does: a ledger may come from a stranger.

An event says nothing of neighbours: the clip norm bounds what one unit adds to a sum, and the
accountant turns that into the sensitivity of the relation it is asked about.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import TypeAlias

from privacy.canonical import Json
from privacy.errors import UnsupportedEventError
from privacy.fields import Fields, decimal_text

# The cost of accounting grows with it, and a ledger may come from a stranger.
MAX_RECORDS_PER_UNIT = 1000


@dataclass(frozen=True, slots=True)
class Gaussian:
    """``steps`` releases of a clipped sum over all units, with Gaussian noise.

    Attributes:
        noise_multiplier: Standard deviation of the noise over the clip norm; > 0.
        steps: Number of releases; >= 1.
    """

    noise_multiplier: Decimal
    steps: int

    def __post_init__(self) -> None:
        _check(self.noise_multiplier, self.steps)

    def to_json(self) -> dict[str, Json]:
        """Return the form that plans and ledgers hold."""
        return {
            "kind": "gaussian",
            "noise_multiplier": decimal_text(self.noise_multiplier),
            "steps": self.steps,
        }


@dataclass(frozen=True, slots=True)
class SampledGaussian:
    """``steps`` releases of a Poisson-sampled, clipped sum with Gaussian noise.

    Attributes:
        noise_multiplier: Standard deviation of the noise over the clip norm; > 0.
        sample_rate: Chance that one unit is in one step, in (0, 1].
        steps: Number of releases; >= 1.
    """

    noise_multiplier: Decimal
    sample_rate: Fraction
    steps: int

    def __post_init__(self) -> None:
        _check(self.noise_multiplier, self.steps)
        _check_rate(self.sample_rate)

    def to_json(self) -> dict[str, Json]:
        """Return the form that plans and ledgers hold."""
        return {
            "kind": "sampled-gaussian",
            "noise_multiplier": decimal_text(self.noise_multiplier),
            "sample_rate": str(self.sample_rate),
            "steps": self.steps,
        }


@dataclass(frozen=True, slots=True)
class MixtureOfGaussians:
    """``steps`` releases of a sum in which one unit has several records, each sampled on its own.

    How far the unit moves the sum of one step is random: i clip norms with the chance that i of
    its records are sampled, Binomial(``records_per_unit``, ``sample_rate``). Fewer records cost
    less, so ``records_per_unit`` is a cap (Choquette-Choo et al. 2023, arXiv 2310.15526,
    corollary 4.7: each shift may be replaced by a bound on its norm).

    Attributes:
        noise_multiplier: Standard deviation of the noise over one record's clip norm; > 0.
        sample_rate: Chance that one record is in one step, in (0, 1].
        records_per_unit: Most records that one unit has; from 1 to 1,000.
        steps: Number of releases; >= 1.
    """

    noise_multiplier: Decimal
    sample_rate: Fraction
    records_per_unit: int
    steps: int

    def __post_init__(self) -> None:
        _check(self.noise_multiplier, self.steps)
        _check_rate(self.sample_rate)
        if not 1 <= self.records_per_unit <= MAX_RECORDS_PER_UNIT:
            raise UnsupportedEventError(
                f"expected from 1 to {MAX_RECORDS_PER_UNIT} records of one unit, got "
                f"{self.records_per_unit}; lower the cap"
            )

    def to_json(self) -> dict[str, Json]:
        """Return the form that plans and ledgers hold."""
        return {
            "kind": "mixture-of-gaussians",
            "noise_multiplier": decimal_text(self.noise_multiplier),
            "sample_rate": str(self.sample_rate),
            "records_per_unit": self.records_per_unit,
            "steps": self.steps,
        }


@dataclass(frozen=True, slots=True)
class Composed:
    """Several events on the same units, in any order."""

    events: tuple[Event, ...]

    def to_json(self) -> dict[str, Json]:
        """Return the form that plans and ledgers hold."""
        return {"kind": "composed", "events": [event.to_json() for event in self.events]}


Mechanism: TypeAlias = Gaussian | SampledGaussian | MixtureOfGaussians
Event: TypeAlias = Mechanism | Composed


def for_persons(event: Event, *, records: int) -> Event:
    """Return what ``event`` on records is to a person who has at most ``records`` of them.

    Args:
        event: What was done, each record bounded by one clip norm and sampled on its own.
        records: The cap on the records of one person, >= 1.

    Raises:
        UnsupportedEventError: If the cap is out of range, or the event speaks of units of several
            records already.
    """
    if isinstance(event, Composed):
        return Composed(tuple(for_persons(part, records=records) for part in event.events))
    if isinstance(event, MixtureOfGaussians):
        raise UnsupportedEventError(
            "expected an event on single records, got one on units of several: it is the "
            "person's already"
        )
    if records == 1:
        return event
    sample_rate = Fraction(1) if isinstance(event, Gaussian) else event.sample_rate
    return MixtureOfGaussians(event.noise_multiplier, sample_rate, records, event.steps)


def from_fields(fields: Fields) -> Event:
    """Read one event.

    Raises:
        UnsupportedEventError: If the kind is not in the table, or a parameter is out of range.
        MalformedDocumentError: If a field is missing, unknown or of another form.
    """
    kind = fields.text("kind")
    if kind not in _READERS:
        raise UnsupportedEventError(
            f"expected an event of {', '.join(sorted(_READERS))}, got {kind[:40]!r}; "
            "this release cannot account for it"
        )
    event = _READERS[kind](fields)
    fields.close()
    return event


def from_json(value: Json) -> Event:
    """Read one event from parsed JSON; see ``from_fields`` for what it raises."""
    return from_fields(Fields(value, where="event"))


def _gaussian(fields: Fields) -> Event:
    return Gaussian(
        noise_multiplier=fields.decimal("noise_multiplier"),
        steps=fields.integer("steps", least=1),
    )


def _sampled_gaussian(fields: Fields) -> Event:
    return SampledGaussian(
        noise_multiplier=fields.decimal("noise_multiplier"),
        sample_rate=fields.fraction("sample_rate"),
        steps=fields.integer("steps", least=1),
    )


def _mixture_of_gaussians(fields: Fields) -> Event:
    return MixtureOfGaussians(
        noise_multiplier=fields.decimal("noise_multiplier"),
        sample_rate=fields.fraction("sample_rate"),
        records_per_unit=fields.integer("records_per_unit", least=1),
        steps=fields.integer("steps", least=1),
    )


def _composed(fields: Fields) -> Event:
    return Composed(tuple(from_fields(item) for item in fields.objects("events")))


_READERS: dict[str, Callable[[Fields], Event]] = {
    "gaussian": _gaussian,
    "sampled-gaussian": _sampled_gaussian,
    "mixture-of-gaussians": _mixture_of_gaussians,
    "composed": _composed,
}


def _check(noise_multiplier: Decimal, steps: int) -> None:
    if not (noise_multiplier.is_finite() and noise_multiplier > 0):
        raise UnsupportedEventError(
            f"expected a noise multiplier > 0, got {noise_multiplier}; "
            "a release without noise has no finite ε"
        )
    if steps < 1:
        raise UnsupportedEventError(f"expected at least one step, got {steps}")


def _check_rate(sample_rate: Fraction) -> None:
    if not 0 < sample_rate <= 1:
        raise UnsupportedEventError(
            f"expected a sample rate in (0, 1], got {sample_rate}; "
            "it is the chance that one unit is in one step"
        )
