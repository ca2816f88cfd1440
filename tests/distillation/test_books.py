"""The norms of a book are never below what float32 adds up, whatever cancels or overflows."""

import pytest
import torch

from distillation.dp.books import Grams, LookupBook, OuterBook
from distillation.dp.units import UnitRows

_CLOSE = 1e-5


@pytest.mark.parametrize("wide", [4, 400])
def test_cancelled_terms_hide_no_norm(wide: int) -> None:
    """Two huge positions that all but cancel: the norm is never below what float32 can add up."""
    chance = torch.Generator().manual_seed(2)
    a, g = torch.randn(1, 1, wide, generator=chance), torch.randn(1, 1, wide, generator=chance)
    for size, left in ((1e3, 1e-3), (1e4, 1e-6), (1e3, 0.0)):
        small = torch.randn(1, 1, wide, generator=chance) * left
        book = OuterBook(
            torch.cat([size * g, -size * g + small], 1), torch.cat([size * a, size * a], 1)
        )
        exact = float((book.left.double().mT @ book.right.double()).norm())
        added = float(book.weighted_sum(torch.ones(1)).double().norm())
        norm = float(book.norms(UnitRows.single(1), Grams()))

        assert norm >= exact * (1 - _CLOSE)
        assert norm * (1 + 1e-3) >= added


@pytest.mark.parametrize(("positions", "p", "d"), [(2, 16, 16), (2, 900, 900), (64, 48, 300)])
def test_float32_rounds_less_than_the_norms_allow_for(positions: int, p: int, d: int) -> None:
    """Where positions all but cancel: squares within 2e-7, sums within 1e-7 of what is possible."""
    chance = torch.Generator().manual_seed(4)
    left = torch.randn(20, positions, p, generator=chance) + 3
    right = torch.randn(20, positions, d, generator=chance) + 3
    left[:, 1::2], right[:, 1::2] = -left[:, ::2], right[:, ::2].clone()
    left += 1e-2 * torch.randn(left.shape, generator=chance)
    one, other = left.double(), right.double()
    reach = (one.norm(dim=2) * other.norm(dim=2)).sum(1)
    squares = ((left @ left.mT) * (right @ right.mT)).flatten(1).sum(1, dtype=torch.float64)
    exact = ((one @ one.mT) * (other @ other.mT)).flatten(1).sum(1)
    sums = (left.mT @ right).double() - one.mT @ other

    assert float(((squares - exact).abs() / reach**2).max()) < 2e-7
    assert float((sums.flatten(1).norm(dim=1) / reach).max()) < 1e-7


@pytest.mark.parametrize("value", [1e16, 1e25, float("inf"), float("nan")])
def test_what_overflows_has_no_finite_norm(value: float) -> None:
    """Nor does an underflown other factor make one of it."""
    big, tiny = torch.full((1, 2, 9), value), torch.full((1, 2, 9), 1e-25)
    for book in (OuterBook(big, tiny), OuterBook(tiny, big)):
        norm = book.norms(UnitRows.single(1), Grams())
        assert not norm.isfinite().any() or float(norm) >= 0.99 * 18 * 2**0.5 * value * 1e-25
    lookup = LookupBook(torch.zeros(1, 2, dtype=torch.int64), big, rows=3)

    assert not lookup.norms(UnitRows.single(1), Grams()).isfinite().any()
