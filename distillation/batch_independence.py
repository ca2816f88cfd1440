"""Is a record's output bit-identical whatever else is in its batch? Measured, not assumed.

If it were not, one record could move the labels or features of its neighbours and the clip norm
would bound nothing. Kernels differ by machine and by shape, so the check runs on the machine that
labels, once a model and length, with made-up records; where it fails, batches of that length have
one row, for which the question does not arise. So a shape follows from machine, model and length:
no real record decides over it, nor over that of another length.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from distillation.tokens import Batch, Tokens, fixed_batches

Forward: TypeAlias = Callable[[Batch], Sequence[Tensor]]
"""Maps a fixed-shape batch to tensors whose first axis is the row."""

_KNOWN_IDS = 8
"""Every vocabulary has ids below this."""


class IndependentForward:
    """A forward function, and for each length the largest number of rows that is safe for it."""

    def __init__(self, forward: Forward, *, rows: int) -> None:
        self.forward = forward
        self._rows = rows
        self._safe: dict[int, bool] = {}

    def batches(self, tokens: Tokens) -> Iterator[Batch]:
        """Yield all records in shapes that depend on one record's own length alone."""
        for batch in fixed_batches(tokens, size=self._rows):
            length = batch.input_ids.shape[1]
            if length not in self._safe:
                self._safe[length] = is_independent(self.forward, _made_up(self._rows, length))
            yield from (batch,) if self._safe[length] else _single_rows(batch)


def is_independent(forward: Forward, batch: Batch) -> bool:
    """Say whether outputs are equal, bit by bit, alone, among others and at other positions.

    Compares the outputs of a full batch with those of the batch reversed, the batch rotated by
    a third, and its first record alone among padding.
    """
    rows = len(batch.input_ids)
    reference = forward(batch)
    for order in (torch.arange(rows).flip(0), torch.arange(rows).roll(rows // 3 or 1)):
        moved = forward(Batch(order, batch.input_ids[order], batch.attention_mask[order]))
        if not all(torch.equal(a[order], b) for a, b in zip(reference, moved, strict=True)):
            return False
    place = rows // 2
    alone = forward(_alone(batch, place))
    return all(torch.equal(a[0], b[place]) for a, b in zip(reference, alone, strict=True))


def _made_up(rows: int, length: int) -> Batch:
    """Return a full batch of records of random tokens and sizes, always the same."""
    chance = torch.Generator().manual_seed(length)  # no privacy rests on it
    sizes = torch.randint(1, length + 1, (rows, 1), generator=chance)
    mask = (torch.arange(length) < sizes).long()
    ids = torch.randint(0, _KNOWN_IDS, (rows, length), generator=chance)
    return Batch(torch.arange(rows), ids * mask, mask)


def _single_rows(batch: Batch) -> Iterator[Batch]:
    """Yield each record of a batch in a batch of its own, without padding rows."""
    for place in range(len(batch.rows)):
        one = slice(place, place + 1)
        yield Batch(batch.rows[one], batch.input_ids[one], batch.attention_mask[one])


def _alone(batch: Batch, place: int) -> Batch:
    """Return a batch of padding rows with the first record of ``batch`` at ``place``."""
    ids, mask = torch.zeros_like(batch.input_ids), torch.zeros_like(batch.attention_mask)
    mask[:, 0] = 1
    ids[place], mask[place] = batch.input_ids[0], batch.attention_mask[0]
    return Batch(torch.tensor([place]), ids, mask)
