"""Per-record gradients of one tensor that are never written out: the book of a layer.

The gradient of a linear layer's weight is a sum over positions of outer products. Its norm follows
from the factors alone, and so does the clipped sum, so that a B × d matrix of gradients is not
needed (Goodfellow 2015, arXiv 1510.01799; Li et al. 2022, arXiv 2110.05679; Bu et al. 2023, arXiv
2210.00038). What is kept is the layer's input and the gradient of its output.

The norms are upper bounds. A sum of products loses digits where large terms cancel, and weights
that somebody chose to that end could hide a large gradient; so each norm carries its rounding.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import torch
from torch import Tensor

from distillation.dp.units import UnitRows
from distillation.errors import TrainingError

_PIECE_FLOATS = 1 << 22
"""Most values of per-record gradients that the direct form holds at once, 16 MiB."""

_CANCELLED = 1e-3
"""Below this share of its largest possible value, a float32 square is computed again in float64.

Its rounding is below 2e-7 of that value, so below 1e-4 of the norm above the threshold.
"""

_ROUNDING = 1e-6
"""Of the largest possible norm: many times the float32 rounding of the clipped sum.

Both are measured by `test_float32_rounds_less_than_the_norms_allow_for`.
"""

_HUGE = 1e30
"""A position whose squared length is above it counts as overflown: the record adds nothing.

Below it, what a product with an underflown factor can hide is at most 1e-7.
"""


class Grams:
    """Inner products between positions, once for each input however many layers share it."""

    def __init__(self) -> None:
        self._known: dict[tuple[object, ...], Tensor] = {}

    def of(self, values: Tensor) -> Tensor:
        """Return (U, T, T) of (U, T, d)."""
        key = (values.data_ptr(), values.shape, values.stride())
        if key not in self._known:
            self._known[key] = _gram(values)
        return self._known[key]


class Book(ABC):
    """The gradient of one tensor for each of B rows, as what it can be computed from."""

    @abstractmethod
    def __len__(self) -> int:
        """Return B."""

    @abstractmethod
    def norms(self, units: UnitRows, grams: Grams) -> Tensor:
        """Return a close upper bound of the norm of each unit's gradient, (U,), float64."""

    @abstractmethod
    def weighted_sum(self, factors: Tensor) -> Tensor:
        """Return the sum of the rows' gradients, each times its factor, (B,)."""

    @abstractmethod
    def written_out(self) -> Tensor:
        """Return the gradients themselves, (B, …): for tests, large."""

    @abstractmethod
    def without(self, rows: Tensor) -> "Book":
        """Return the book with zero for the rows where ``rows``, (B,), is true."""

    @abstractmethod
    def joined(self, other: "Book") -> "Book":
        """Return the book of both uses of the tensor by the same rows."""

    def sum(self, dim: int = 0) -> Tensor:
        """Return the sum over the rows, as the written-out tensor would."""
        if dim != 0:
            raise TrainingError(f"a book adds up its rows, dimension 0; got dimension {dim}")
        return self.weighted_sum(torch.ones(len(self)))


@dataclass(frozen=True, slots=True)
class OuterBook(Book):
    """Gradients Σ_t left_t right_tᵀ of a matrix.

    Attributes:
        left: (B, T, p).
        right: (B, T, d).
    """

    left: Tensor
    right: Tensor

    def __len__(self) -> int:
        return len(self.left)

    def norms(self, units: UnitRows, grams: Grams) -> Tensor:
        """Return the norms by the cheaper of two forms."""
        left, right = units.fold(self.left), units.fold(self.right)
        positions, p, d = left.shape[1], left.shape[2], right.shape[2]
        if positions * (p + d) <= p * d:
            # folded copies are new each time: their addresses may be used again
            shared = grams if units.most <= 1 else Grams()
            return _from_grams(shared.of(left), shared.of(right), left, right)
        return _direct(left, right)

    def weighted_sum(self, factors: Tensor) -> Tensor:
        """Scale the smaller factor, then take one product over all positions."""
        left, right = self.left, self.right
        by = factors.to(left.dtype).view(-1, 1, 1)
        if left.shape[-1] <= right.shape[-1]:
            left = left * by
        else:
            right = right * by
        return left.flatten(0, 1).mT @ right.flatten(0, 1)

    def written_out(self) -> Tensor:
        """Return (B, p, d)."""
        return self.left.mT @ self.right

    def without(self, rows: Tensor) -> "OuterBook":
        """Zero both factors: zero times NaN would still be NaN."""
        return OuterBook(_zeroed(self.left, rows), _zeroed(self.right, rows))

    def joined(self, other: Book) -> "OuterBook":
        """Put the positions of both uses one behind the other."""
        if not isinstance(other, OuterBook):
            raise TrainingError("one tensor is used by layers of two kinds: untie it")
        return OuterBook(
            torch.cat([self.left, other.left], dim=1), torch.cat([self.right, other.right], dim=1)
        )


@dataclass(frozen=True, slots=True)
class LookupBook(Book):
    """Gradients of an embedding: position t adds ``grad_t`` to the row ``ids_t``.

    Attributes:
        ids: (B, T), int64.
        grad: (B, T, d); zero where the id is the padding's.
        rows: V, the number of rows of the embedding.
    """

    ids: Tensor
    grad: Tensor
    rows: int = field(kw_only=True)

    def __len__(self) -> int:
        return len(self.ids)

    def norms(self, units: UnitRows, grams: Grams) -> Tensor:
        """Return the norms; positions with the same id add up."""
        ids, grad = units.fold(self.ids), units.fold(self.grad)
        same = (ids.unsqueeze(2) == ids.unsqueeze(1)).to(grad.dtype)
        return _from_grams(same, _gram(grad), None, grad)

    def weighted_sum(self, factors: Tensor) -> Tensor:
        """Return (V, d)."""
        scaled = self.grad * factors.to(self.grad.dtype).view(-1, 1, 1)
        total = scaled.new_zeros((self.rows, scaled.shape[-1]))
        return total.index_add_(0, self.ids.flatten(), scaled.flatten(0, 1))

    def written_out(self) -> Tensor:
        """Return (B, V, d)."""
        out = self.grad.new_zeros((len(self.ids), self.rows, self.grad.shape[-1]))
        return out.scatter_add_(1, self.ids.unsqueeze(-1).expand_as(self.grad), self.grad)

    def without(self, rows: Tensor) -> "LookupBook":
        """Zero the gradients; ids are never NaN."""
        return LookupBook(self.ids, _zeroed(self.grad, rows), rows=self.rows)

    def joined(self, other: Book) -> "LookupBook":
        """Put the positions of both uses one behind the other."""
        if not isinstance(other, LookupBook):
            raise TrainingError("one tensor is used by layers of two kinds: untie it")
        return LookupBook(
            torch.cat([self.ids, other.ids], dim=1),
            torch.cat([self.grad, other.grad], dim=1),
            rows=self.rows,
        )


def _gram(values: Tensor) -> Tensor:
    """Return (U, T, T) of (U, T, d)."""
    products: Tensor = values @ values.mT
    return products


def _from_grams(a: Tensor, b: Tensor, left: Tensor | None, right: Tensor) -> Tensor:
    """Return norms, (U,), from the inner products (U, T, T) of both factors.

    Args:
        a: Of the left factors.
        b: Of the right factors.
        left: The left factors, (U, T, p); None where ``a`` is exact.
        right: The right factors, (U, T, d).
    """
    squared = (a * b).flatten(1).sum(1, dtype=torch.float64)
    lengths = torch.stack([a.diagonal(dim1=1, dim2=2), b.diagonal(dim1=1, dim2=2)])
    reach = lengths.sqrt().prod(0).sum(1, dtype=torch.float64)
    reach[(lengths > _HUGE).flatten(2).any(2).any(0)] = torch.inf
    doubtful = squared < _CANCELLED * reach**2
    if doubtful.any():
        one = a[doubtful].double() if left is None else _gram(left[doubtful].double())
        again = one * _gram(right[doubtful].double())
        squared[doubtful] = again.flatten(1).sum(1).clamp(min=0)
    bounds: Tensor = squared.sqrt() + _ROUNDING * reach
    return bounds


def _direct(left: Tensor, right: Tensor) -> Tensor:
    """Return norms, (U,), from gradients that are written out a few units at a time."""
    size = max(1, _PIECE_FLOATS // (left.shape[2] * right.shape[2]))
    found = [
        (some.mT @ other).flatten(1).norm(dim=1).double()
        for some, other in zip(left.split(size), right.split(size), strict=True)
    ]
    reach = (left.norm(dim=2) * right.norm(dim=2)).sum(1, dtype=torch.float64)
    bounds: Tensor = torch.cat(found) + _ROUNDING * reach
    return bounds


def _zeroed(values: Tensor, rows: Tensor) -> Tensor:
    zeroed: Tensor = values.masked_fill(rows.view(-1, *(1,) * (values.dim() - 1)), 0)
    return zeroed
