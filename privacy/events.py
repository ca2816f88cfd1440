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
        if not 0 < self.sample_rate <= 1:
            raise UnsupportedEventError(
                f"expected a sample rate in (0, 1], got {self.sample_rate}; "
                "it is the chance that one unit is in one step"
            )

    def to_json(self) -> dict[str, Json]:
        """Return the form that plans and ledgers hold."""
        return {
            "kind": "sampled-gaussian",
            "noise_multiplier": decimal_text(self.noise_multiplier),
            "sample_rate": str(self.sample_rate),
            "steps": self.steps,
        }


@dataclass(frozen=True, slots=True)
class Composed:
    """Several events on the same units, in any order."""

    events: tuple[Event, ...]

    def to_json(self) -> dict[str, Json]:
        """Return the form that plans and ledgers hold."""
        return {"kind": "composed", "events": [event.to_json() for event in self.events]}


Mechanism: TypeAlias = Gaussian | SampledGaussian
Event: TypeAlias = Mechanism | Composed


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


def _composed(fields: Fields) -> Event:
    return Composed(tuple(from_fields(item) for item in fields.objects("events")))


_READERS: dict[str, Callable[[Fields], Event]] = {
    "gaussian": _gaussian,
    "sampled-gaussian": _sampled_gaussian,
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
