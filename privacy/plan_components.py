"""What a plan may release: each component is one mechanism, so many steps of it, and a kind."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Self

from privacy import events
from privacy.canonical import Json
from privacy.errors import PlanRefusedError, UnsupportedEventError
from privacy.events import Gaussian, SampledGaussian
from privacy.fields import Fields


class ComponentKind(StrEnum):
    """What a component releases.

    Training: sums of clipped gradients over sampled units. A scalar: one clipped value in [0, 1]
    of each unit, such as a score of the current student, summed over all units. A count: one for
    each unit. A scalar and a count have a clip norm of 1, and are divided by public sizes only.
    """

    TRAIN = "train"
    SCALAR = "scalar"
    COUNT = "count"


@dataclass(frozen=True, slots=True)
class Component:
    """One kind of release: so many steps of one mechanism.

    Attributes:
        name: Such as ``train``.
        noise_multiplier: Standard deviation of the noise over the clip norm.
        sample_rate: Chance that one unit is in one step, in (0, 1]; 1 unless it trains.
        max_steps: All steps, slack included.
        kind: What it releases.
    """

    name: str
    noise_multiplier: Decimal
    sample_rate: Fraction
    max_steps: int
    kind: ComponentKind = ComponentKind.TRAIN

    def __post_init__(self) -> None:
        if not self.name:
            raise PlanRefusedError("expected a component with a name, got an empty one")
        if self.kind is not ComponentKind.TRAIN and self.sample_rate != 1:
            raise PlanRefusedError(
                f"{self.name}: expected a {self.kind} over all units, got a sample rate of "
                f"{self.sample_rate}"
            )
        _ = self.event  # refuses numbers out of range

    @property
    def event(self) -> SampledGaussian | Gaussian:
        """All steps, as the accountant sees them."""
        if self.kind is not ComponentKind.TRAIN:
            return Gaussian(self.noise_multiplier, self.max_steps)
        return SampledGaussian(self.noise_multiplier, self.sample_rate, self.max_steps)

    def to_json(self) -> dict[str, Json]:
        """Return the form that plans hold."""
        return {"name": self.name, "kind": self.kind, "event": self.event.to_json()}

    @classmethod
    def from_fields(cls, fields: Fields) -> Self:
        """Read what ``to_json`` wrote."""
        name, kind = fields.text("name"), fields.choice("kind", ComponentKind)
        event = events.from_fields(fields.object("event"))
        fields.close()
        match kind, event:
            case ComponentKind.TRAIN, SampledGaussian(noise_multiplier, sample_rate, steps):
                return cls(name, noise_multiplier, sample_rate, steps)
            case ComponentKind.SCALAR | ComponentKind.COUNT, Gaussian(noise_multiplier, steps):
                return cls(name, noise_multiplier, Fraction(1), steps, kind)
        raise UnsupportedEventError(
            f"{name}: expected a sampled-gaussian event for training and a gaussian one for a "
            f"scalar or a count, got {type(event).__name__} for {kind}"
        )
