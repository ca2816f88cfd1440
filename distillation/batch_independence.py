"""Is a record's output bit-identical whatever else is in its batch? Measured, not assumed.

If it were not, one record could move the labels or features of its neighbours and the clip norm
would bound nothing. Kernels differ by machine and by shape, so the check runs on the machine that
labels, once a model and shape; where it fails, batches have one row, for which the question does
not arise.
"""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from distillation.tokens import Batch, Tokens, fixed_batches

Forward: TypeAlias = Callable[[Batch], Sequence[Tensor]]
"""Maps a fixed-shape batch to tensors whose first axis is the row."""


class IndependentForward:
    """A forward function with the largest number of rows that is safe on this machine.

    Attributes:
        rows: Rows of every batch: as asked, or 1 once a shape has failed.
    """

    def __init__(self, forward: Forward, *, rows: int) -> None:
        self.forward = forward
        self.rows = rows
        self._proven: set[int] = set()

    def settle(self, tokens: Tokens) -> int:
        """Check every length of ``tokens`` that was not checked yet; return the rows to use."""
        for batch in fixed_batches(tokens, size=self.rows):
            length = batch.input_ids.shape[1]
            if self.rows == 1 or length in self._proven:
                continue
            if not is_independent(self.forward, batch):
                self.rows = 1
            self._proven.add(length)
        return self.rows


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


def _alone(batch: Batch, place: int) -> Batch:
    """Return a batch of padding rows with the first record of ``batch`` at ``place``."""
    ids, mask = torch.zeros_like(batch.input_ids), torch.zeros_like(batch.attention_mask)
    mask[:, 0] = 1
    ids[place], mask[place] = batch.input_ids[0], batch.attention_mask[0]
    return Batch(torch.tensor([place]), ids, mask)
