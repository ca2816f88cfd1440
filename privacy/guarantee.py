"""(ε, δ) as exact numbers, and the two things they are meaningless without.

ε is always said with δ, the privacy unit and the neighbouring relation. Numbers are decimals,
so that sums of charges are exact and the ledger's bytes are what was compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, Context, Decimal, Inexact, InvalidOperation
from enum import StrEnum

from privacy.canonical import Json
from privacy.errors import InvalidBudgetError
from privacy.fields import Fields, decimal_text

_EXACT = Context(prec=100, traps=[Inexact, InvalidOperation])
GRID = Decimal("0.001")  # ε is charged and shown in steps of this


class Unit(StrEnum):
    """What differential privacy protects."""

    RECORD = "record"
    PERSON = "person"


class Neighbours(StrEnum):
    """Which two data sets must be hard to tell apart."""

    ADD_OR_REMOVE_ONE = "add-or-remove-one"
    REPLACE_ONE = "replace-one"


@dataclass(frozen=True, slots=True)
class Guarantee:
    """An (ε, δ) pair: what was promised, or what was charged.

    Attributes:
        epsilon: Bound on the privacy loss, in nats; finite and >= 0.
        delta: Additive slack of the bound; in [0, 1).
    """

    epsilon: Decimal
    delta: Decimal

    def __post_init__(self) -> None:
        if not (self.epsilon.is_finite() and self.epsilon >= 0):
            raise InvalidBudgetError(f"expected a finite ε >= 0, got {self.epsilon}")
        if not (self.delta.is_finite() and 0 <= self.delta < 1):
            raise InvalidBudgetError(f"expected a δ in [0, 1), got {self.delta}")

    def __add__(self, other: Guarantee) -> Guarantee:
        """Return the sum by basic composition, exactly."""
        return Guarantee(
            _EXACT.add(self.epsilon, other.epsilon), _EXACT.add(self.delta, other.delta)
        )

    def covers(self, spent: Guarantee) -> bool:
        """Return whether ``spent`` stays within this ceiling."""
        return spent.epsilon <= self.epsilon and spent.delta <= self.delta

    def minus(self, spent: Guarantee) -> Guarantee:
        """Return what is left of this ceiling, never below zero."""
        return Guarantee(
            max(Decimal(0), _EXACT.subtract(self.epsilon, spent.epsilon)),
            max(Decimal(0), _EXACT.subtract(self.delta, spent.delta)),
        )


NOTHING = Guarantee(Decimal(0), Decimal(0))


@dataclass(frozen=True, slots=True)
class Bound:
    """A guarantee with its unit and relation: an account's limit, or a plan's charge.

    Attributes:
        unit: What is protected.
        neighbours: The relation between the two data sets.
        epsilon: In nats; > 0.
        delta: In (0, 1).
    """

    unit: Unit
    neighbours: Neighbours
    epsilon: Decimal
    delta: Decimal

    def __post_init__(self) -> None:
        if self.epsilon.is_nan() or self.delta.is_nan() or self.epsilon <= 0 or self.delta <= 0:
            raise InvalidBudgetError(
                f"expected ε > 0 and δ > 0, got ε = {self.epsilon}, δ = {self.delta}; "
                "a Gaussian mechanism cannot keep a promise of zero"
            )
        _ = Guarantee(self.epsilon, self.delta)  # refuses what is infinite, and δ >= 1

    @property
    def relation(self) -> tuple[Unit, Neighbours]:
        """The unit and the neighbouring relation, as a key."""
        return self.unit, self.neighbours

    @property
    def guarantee(self) -> Guarantee:
        """The (ε, δ) alone."""
        return Guarantee(self.epsilon, self.delta)

    def to_json(self) -> dict[str, Json]:
        """Return the form that plans and ledgers hold."""
        return {
            "unit": self.unit,
            "neighbours": self.neighbours,
            "epsilon": decimal_text(self.epsilon),
            "delta": decimal_text(self.delta),
        }

    @classmethod
    def from_fields(cls, fields: Fields) -> Bound:
        """Read what ``to_json`` wrote.

        Raises:
            MalformedDocumentError: If a field is missing, unknown or of another form.
            InvalidBudgetError: If ε or δ is no promise.
        """
        bound = cls(
            unit=fields.choice("unit", Unit),
            neighbours=fields.choice("neighbours", Neighbours),
            epsilon=fields.decimal("epsilon"),
            delta=fields.decimal("delta"),
        )
        fields.close()
        return bound

    def __str__(self) -> str:
        return describe(self.guarantee, unit=self.unit, neighbours=self.neighbours)


# What a steward grants an account is a bound; the name says which role it plays.
Limit = Bound


def describe(guarantee: Guarantee, *, unit: Unit, neighbours: Neighbours) -> str:
    """Return one line, such as ``(ε = 3, δ = 1e-5), record, add-or-remove-one``."""
    return f"(ε = {_plain(guarantee.epsilon)}, δ = {_plain(guarantee.delta)}), {unit}, {neighbours}"


def round_up(epsilon: float) -> Decimal:
    """Return ``epsilon`` rounded up to the grid of 0.001 on which ε is charged and shown.

    Raises:
        InvalidBudgetError: If ``epsilon`` is negative, infinite or NaN.
    """
    exact = Decimal(epsilon)
    if not (exact.is_finite() and exact >= 0):
        raise InvalidBudgetError(f"expected a finite ε >= 0, got {epsilon}")
    return exact.quantize(GRID, rounding=ROUND_CEILING)


def _plain(value: Decimal) -> str:
    """Print like a person would: 3, 2.5, 1e-5."""
    if value and value < GRID:
        digits = f"{value.normalize():e}"
        return digits.replace("e-0", "e-")
    return decimal_text(value)
