"""The parts of a plan: regions, the sum, the optimizer, the artifacts.

Each is a value that cannot be wrong by itself; whether they fit together is ``plan``'s matter.
All are read by ``from_fields``, which raises ``MalformedDocumentError`` for what is no such part
and what the constructor raises for what may not be.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from dataclasses import fields as dataclass_fields
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Self

from privacy.canonical import Json
from privacy.errors import PlanRefusedError
from privacy.fields import Fields, decimal_text
from privacy.plan_components import Component

_UNDECLARED = 0  # how a plan, which has no nulls, writes that there is no cap


class OptimizerName(StrEnum):
    """How both sides turn the published sum into the next student."""

    SGD = "sgd"
    ADAM = "adam"
    AVERAGED_SGD = "averaged-sgd"
    AVERAGED_ADAM = "averaged-adam"

    @property
    def is_adaptive(self) -> bool:
        """Whether it remembers squares."""
        return self in (OptimizerName.ADAM, OptimizerName.AVERAGED_ADAM)

    @property
    def is_averaged(self) -> bool:
        """Whether the released student is the mean of several rounds'."""
        return self in (OptimizerName.AVERAGED_SGD, OptimizerName.AVERAGED_ADAM)


@dataclass(frozen=True, slots=True)
class RegionTerms:
    """What one region may do.

    Attributes:
        name: The region.
        public_size: A public bound on its number of units, never counted from the data.
        max_records_per_unit: The cap on one unit's records.
        weight: Its share of the average, a public constant.
        components: What it may release, by unique name.
        max_records_per_person: Where the unit is the record: a declared cap on the records of one
            person; None if nothing is declared, and then nothing is said about persons.
    """

    name: str
    public_size: int
    max_records_per_unit: int
    weight: Fraction
    components: tuple[Component, ...]
    max_records_per_person: int | None = None

    def __post_init__(self) -> None:
        if not self.name or self.public_size < 1 or self.max_records_per_unit < 1:
            raise PlanRefusedError(
                f"expected a named region with a public size and a cap of records per unit of at "
                f"least 1, got {self.name!r}, {self.public_size}, {self.max_records_per_unit}"
            )
        if self.max_records_per_person is not None and self.max_records_per_person < 1:
            raise PlanRefusedError(
                f"{self.name}: expected at least one record of one person, got "
                f"{self.max_records_per_person}; leave the cap out where none is declared"
            )
        if not 0 < self.weight <= 1:
            raise PlanRefusedError(f"{self.name}: expected a weight in (0, 1], got {self.weight}")
        names = [component.name for component in self.components]
        if not names or len(set(names)) != len(names):
            raise PlanRefusedError(f"{self.name}: expected components with different names")

    def component(self, name: str) -> Component:
        """Return the component of that name.

        Raises:
            PlanRefusedError: If there is none.
        """
        for component in self.components:
            if component.name == name:
                return component
        raise PlanRefusedError(f"{self.name}: the plan has no component {name!r}")

    def to_json(self) -> dict[str, Json]:
        """Return the form that plans hold."""
        return {
            "name": self.name,
            "public_size": self.public_size,
            "max_records_per_unit": self.max_records_per_unit,
            "max_records_per_person": self.max_records_per_person or _UNDECLARED,
            "weight": str(self.weight),
            "components": [component.to_json() for component in self.components],
        }

    @classmethod
    def from_fields(cls, fields: Fields) -> Self:
        """Read what ``to_json`` wrote."""
        terms = cls(
            name=fields.text("name"),
            public_size=fields.integer("public_size", least=1),
            max_records_per_unit=fields.integer("max_records_per_unit", least=1),
            max_records_per_person=fields.integer("max_records_per_person") or None,
            weight=fields.fraction("weight"),
            components=tuple(map(Component.from_fields, fields.objects("components"))),
        )
        fields.close()
        return terms


@dataclass(frozen=True, slots=True, kw_only=True)
class SumTerms:
    """How the regions' updates are added up.

    Attributes:
        threshold: Regions needed to unmask; more than half of the cohort and the colluders.
        min_survivors: Regions that a sum must contain; at least ``threshold``, and three more
            than colluders.
        assumed_colluders: Regions that may share what they know with the coordinator.
        any_survivors: Whether sums over any large enough sets may follow each other, even where
            several of them together would isolate a few regions. Each region's own guarantee
            holds either way; what the sum hides beyond it does not.
        bits: Width of one encoded word, 16 or 32.
        rotate: Whether deltas are rotated before they are encoded.
        value_range: Largest magnitude that is encoded; what exceeds it is clipped.
    """

    threshold: int
    min_survivors: int
    assumed_colluders: int = 0
    any_survivors: bool = False
    bits: int
    rotate: bool = False
    value_range: Decimal

    def __post_init__(self) -> None:
        if self.bits not in (16, 32):
            raise PlanRefusedError(f"expected words of 16 or 32 bits, got {self.bits}")
        if self.assumed_colluders < 0:
            raise PlanRefusedError(f"expected colluders >= 0, got {self.assumed_colluders}")
        require_positive("the encoded range", self.value_range)

    def to_json(self) -> dict[str, Json]:
        """Return the form that plans hold."""
        return {
            "threshold": self.threshold,
            "min_survivors": self.min_survivors,
            "assumed_colluders": self.assumed_colluders,
            "any_survivors": self.any_survivors,
            "bits": self.bits,
            "rotate": self.rotate,
            "value_range": decimal_text(self.value_range),
        }

    @classmethod
    def from_fields(cls, fields: Fields) -> Self:
        """Read what ``to_json`` wrote."""
        terms = cls(
            threshold=fields.integer("threshold", least=1),
            min_survivors=fields.integer("min_survivors", least=1),
            assumed_colluders=fields.integer("assumed_colluders"),
            any_survivors=fields.boolean("any_survivors"),
            bits=fields.integer("bits"),
            rotate=fields.boolean("rotate"),
            value_range=fields.decimal("value_range"),
        )
        fields.close()
        return terms


@dataclass(frozen=True, slots=True)
class OptimizerTerms:
    """How the published sum becomes the next student, on both sides.

    Attributes:
        name: The rule, which says which of the rest it has.
        learning_rate: Its step size; > 0.
        momentum: Its memory of earlier rounds, in [0, 1).
        second_momentum: Its memory of the squares, in [0, 1); adaptive rules only.
        adaptivity: What is added to the root of the squares, > 0; adaptive rules only.
        average: Over how many of the last rounds the released student is a mean; 1: the last.
    """

    name: OptimizerName
    learning_rate: Decimal
    momentum: Decimal
    second_momentum: Decimal | None = None
    adaptivity: Decimal | None = None
    average: int = 1

    def __post_init__(self) -> None:
        require_positive("the server's learning rate", self.learning_rate)
        for momentum in (self.momentum, self.second_momentum or Decimal(0)):
            if not (momentum.is_finite() and 0 <= momentum < 1):
                raise PlanRefusedError(f"expected a momentum in [0, 1), got {momentum}")
        if self.adaptivity is not None:
            require_positive("the server's adaptivity", self.adaptivity)
        given = {self.second_momentum is not None, self.adaptivity is not None}
        if given != {self.name.is_adaptive} or (self.average > 1) != self.name.is_averaged:
            raise PlanRefusedError(
                f"expected the constants of the server's rule {self.name}, got a second momentum "
                f"{self.second_momentum}, adaptivity {self.adaptivity}, average {self.average}"
            )
        if self.average < 1:
            raise PlanRefusedError(f"expected a mean over at least 1 round, got {self.average}")

    def to_json(self) -> dict[str, Json]:
        """Return the form that plans hold."""
        said: dict[str, Json] = {
            "name": self.name,
            "learning_rate": decimal_text(self.learning_rate),
            "momentum": decimal_text(self.momentum),
        }
        if self.second_momentum is not None and self.adaptivity is not None:
            said["second_momentum"] = decimal_text(self.second_momentum)
            said["adaptivity"] = decimal_text(self.adaptivity)
        if self.name.is_averaged:
            said["average"] = self.average
        return said

    @classmethod
    def from_fields(cls, fields: Fields) -> Self:
        """Read what ``to_json`` wrote."""
        name = fields.choice("name", OptimizerName)
        optimizer = cls(
            name=name,
            learning_rate=fields.decimal("learning_rate"),
            momentum=fields.decimal("momentum"),
            second_momentum=fields.decimal("second_momentum") if name.is_adaptive else None,
            adaptivity=fields.decimal("adaptivity") if name.is_adaptive else None,
            average=fields.integer("average", least=2) if name.is_averaged else 1,
        )
        fields.close()
        return optimizer


@dataclass(frozen=True, slots=True)
class Artifacts:
    """SHA-256, in hexadecimal, of what travels beside the plan.

    Attributes:
        layout: Names, shapes and types of the trained tensors.
        student: The student before the first round.
        recipe: Objective and local training.
        public_data: The declared public data; with generated text, the record that names both.
        teacher: The teacher's weights.
        tokenizer: Its tokenizer.
        code: The code bundle.
    """

    layout: str
    student: str
    recipe: str
    public_data: str
    teacher: str
    tokenizer: str
    code: str

    def __post_init__(self) -> None:
        for name, digest in asdict(self).items():
            if not re.fullmatch("[0-9a-f]{64}", digest):
                raise PlanRefusedError(
                    f"expected the SHA-256 of {name} as 64 lower-case hexadecimal digits, "
                    f"got {digest[:80]!r}"
                )

    def to_json(self) -> dict[str, Json]:
        """Return the form that plans hold."""
        return asdict(self)

    @classmethod
    def from_fields(cls, fields: Fields) -> Self:
        """Read what ``to_json`` wrote."""
        names = [item.name for item in dataclass_fields(cls)]
        artifacts = cls(**{name: fields.hex_bytes(name, size=32) for name in names})
        fields.close()
        return artifacts


def require_positive(what: str, value: Decimal) -> None:
    """Refuse a number that is not finite and above zero.

    Raises:
        PlanRefusedError: With ``what`` in the message.
    """
    if not (value.is_finite() and value > 0):
        raise PlanRefusedError(f"expected {what} to be a finite number above 0, got {value}")
