"""Which rows of a batch belong to which privacy unit: a record, or all records of a person.

A unit has one gradient: the sum over its rows, where each row's loss was already divided by the
unit's number of rows. It is clipped as one, so what one person can change is bounded by C, as what
one record can change is where every record is a unit of its own.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from distillation.errors import TrainingError


@dataclass(frozen=True, slots=True)
class UnitRows:
    """The units of B rows.

    Attributes:
        unit: The unit of each row, (B,), int64, from 0; none is left out.
        place: The place of each row within its unit, (B,), int64, from 0.
        count: U, the number of units.
        most: The most rows that a unit may have; a public bound where rows are private, since it
            sets the shape in which everybody's gradients are computed.
    """

    unit: Tensor
    place: Tensor
    count: int
    most: int

    @classmethod
    def single(cls, count: int) -> "UnitRows":
        """Return ``count`` rows that are each a unit."""
        return cls(torch.arange(count), torch.zeros(count, dtype=torch.int64), count, 1)

    @classmethod
    def of(cls, unit: Tensor, *, most: int) -> "UnitRows":
        """Return the rows of units that are numbered 0 to U - 1, (B,).

        Raises:
            TrainingError: If a number is left out, as an empty unit has no mean loss, or a unit
                has more rows than it may have.
        """
        sizes = torch.bincount(unit) if len(unit) else torch.zeros(0, dtype=torch.int64)
        if (sizes == 0).any():
            raise TrainingError("expected units numbered from 0 without a gap, got a gap")
        if len(sizes) and int(sizes.max()) > most:
            raise TrainingError(
                f"a unit has more records than the {most} that the plan allows: cap them, or raise "
                "max_records_per_unit in the study and make a new plan"
            )
        order = unit.argsort(stable=True)
        starts = sizes.cumsum(0) - sizes
        place = torch.empty_like(unit)
        place[order] = torch.arange(len(unit)) - starts.repeat_interleave(sizes)
        return cls(unit, place, len(sizes), most)

    @property
    def sizes(self) -> Tensor:
        """The number of rows of each unit, (U,)."""
        return torch.bincount(self.unit, minlength=self.count)

    def pick(self, units: Tensor) -> tuple[Tensor, "UnitRows"]:
        """Return the rows of these units, unit by unit, and which of them each row belongs to."""
        order = self.unit.argsort(stable=True)
        sizes = self.sizes
        starts = sizes.cumsum(0) - sizes
        rows = [order[starts[u] : starts[u] + sizes[u]] for u in units.tolist()]
        numbers = torch.arange(len(units)).repeat_interleave(sizes[units])
        empty = torch.zeros(0, dtype=torch.int64)
        return torch.cat([empty, *rows]), UnitRows.of(numbers, most=self.most)

    def fold(self, values: Tensor) -> Tensor:
        """Return each unit's rows one behind the other: (B, T, …) to (U, most · T, …), zero-padded.

        A unit with several records is then one example with a longer sequence.
        """
        if self.most <= 1:
            return values
        folded = values.new_zeros((self.count, self.most, *values.shape[1:]))
        folded[self.unit, self.place] = values
        return folded.flatten(1, 2)

    def add_up(self, values: Tensor) -> Tensor:
        """Return the sum over each unit's rows: (B, …) to (U, …)."""
        if self.most <= 1:
            return values
        total = values.new_zeros((self.count, *values.shape[1:]))
        return total.index_add_(0, self.unit, values)

    def spread(self, values: Tensor) -> Tensor:
        """Return each row's unit's value: (U, …) to (B, …)."""
        return values if self.most <= 1 else values[self.unit]
