"""Labels and features are the same bits whatever else is in the batch, or batches have one row."""

import torch
from torch import Tensor

from distillation.batch_independence import Forward, IndependentForward
from distillation.kinds import TRAINED, Task
from distillation.teacher import ClassifierTeacher
from distillation.tokens import Batch, Tokens
from tests.distillation import tiny


def _some(tokens: Tokens, rows: list[int]) -> Tokens:
    return Tokens(tuple(tokens.ids[row] for row in rows), tokens.padding)


def test_labels_are_bit_identical_in_any_company() -> None:
    """Alone, among few, among many, in another order: not one bit of a label moves."""
    teacher, tokens = ClassifierTeacher(tiny.teacher_model()), tiny.tokens(90)
    among = teacher.answer(tokens).log_probs
    for rows in ([5], [5, 6, 7], list(range(89, -1, -1)), [*range(5), *range(40, 90), 5]):
        some = teacher.answer(_some(tokens, rows)).log_probs
        assert torch.equal(some, among[rows])


def test_frozen_inputs_are_bit_identical_in_any_company() -> None:
    """The same for what the trained part sees, for both trained parts."""
    tokens = tiny.tokens(60)
    for train in TRAINED[Task.CLASSIFICATION]:
        part = tiny.part(train)
        among = part.inputs(tokens)
        alone = part.inputs(_some(tokens, [11]))
        length = int(alone.mask.sum())
        assert torch.equal(among.values[11, :length], alone.values[0, :length])


def test_a_forward_that_mixes_rows_falls_back_to_one_row() -> None:
    """A batch mean in the forward pass is noticed, and batches then have one row."""

    def mixing(batch: Batch) -> tuple[Tensor]:
        values = batch.input_ids.double()
        return (values - values.mean(),)

    assert _rows_of_batches(mixing, tiny.tokens(20)) == {1}


def test_a_forward_that_knows_positions_falls_back_to_one_row() -> None:
    """So is an output that depends on the place in the batch."""

    def placed(batch: Batch) -> tuple[Tensor]:
        rows = torch.arange(len(batch.input_ids)).unsqueeze(1)
        return (batch.input_ids + rows,)

    assert _rows_of_batches(placed, tiny.tokens(20)) == {1}


def test_an_honest_forward_keeps_its_rows() -> None:
    """Where every output depends on its own row, nothing is given up."""
    assert _rows_of_batches(lambda batch: (batch.input_ids * 2,), tiny.tokens(20)) == {16}


def test_one_length_that_fails_leaves_the_shapes_of_others_alone() -> None:
    """Else one long record would change the shape, and so the bits, of every other label."""

    def mixing_if_long(batch: Batch) -> tuple[Tensor]:
        values = batch.input_ids.double()
        return (values - values.mean() if values.shape[1] > 16 else values,)

    short = tiny.tokens(20, longest=7)
    both = Tokens((*short.ids, (3,) * 20), short.padding)
    shapes = {
        batch.input_ids.shape: batch.rows.tolist()
        for batch in IndependentForward(mixing_if_long, rows=32).batches(both)
    }

    assert shapes == {(32, 8): list(range(20)), (1, 24): [20]}


def _rows_of_batches(forward: Forward, tokens: Tokens) -> set[int]:
    """Return how many rows the batches have; every record is in exactly one."""
    batches = list(IndependentForward(forward, rows=16).batches(tokens))
    assert sorted(row for batch in batches for row in batch.rows.tolist()) == list(range(20))
    return {len(batch.input_ids) for batch in batches}
