"""Texts become ids whole or not at all, and a record's shape follows from its own length."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerBase

from distillation.errors import RecordsError
from distillation.model_files import locate
from distillation.teacher import load_tokenizer
from distillation.tokens import Batch, Tokens, fixed_batches, padded_batch, tokenize
from tests.simulations import tiny_study

_SECRET = "w1 w2 w3 w4 w5 w6 w7"
_rows = st.lists(st.integers(1, 40), min_size=1, max_size=50)
_sizes = st.integers(1, 40)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> PreTrainedTokenizerBase:
    folder: Path = tmp_path_factory.mktemp("study")
    tiny_study.make(folder)
    return load_tokenizer(locate("teacher", base=folder))


def _tokens(lengths: list[int]) -> Tokens:
    """Return records of these lengths; each holds its own number plus one, again and again."""
    return Tokens(tuple((row + 1,) * length for row, length in enumerate(lengths)), padding=0)


@given(lengths=_rows, size=_sizes)
def test_every_record_is_in_one_batch_with_all_its_tokens(lengths: list[int], size: int) -> None:
    """Ids and mask hold the record and nothing of another; what is left of a row is padding."""
    tokens, seen = _tokens(lengths), []
    for batch in fixed_batches(tokens, size=size):
        for place, row in enumerate(batch.rows.tolist()):
            own = batch.input_ids[place][batch.attention_mask[place].bool()]
            assert tuple(own.tolist()) == tokens.ids[row]
            assert int(batch.input_ids[place].count_nonzero()) == len(tokens.ids[row])
            seen.append(row)

    assert sorted(seen) == list(range(len(lengths)))


@given(lengths=_rows, others=_rows, size=_sizes)
def test_a_records_shape_depends_on_its_own_length_alone(
    lengths: list[int], others: list[int], size: int
) -> None:
    """Whatever else there is, a record meets the same number of rows and the same length."""
    alone = _shapes(_tokens(lengths), size)
    among = _shapes(_tokens([*lengths, *others]), size)

    assert {row: among[row] for row in alone} == alone
    for row, (rows, length) in alone.items():
        assert rows == size
        assert lengths[row] <= length


def _shapes(tokens: Tokens, size: int) -> dict[int, tuple[int, ...]]:
    return {
        row: tuple(batch.input_ids.shape)
        for batch in fixed_batches(tokens, size=size)
        for row in batch.rows.tolist()
    }


@given(lengths=_rows, size=_sizes)
def test_no_row_is_without_a_token(lengths: list[int], size: int) -> None:
    """A mean over no token would be NaN, in padding rows too."""
    for batch in fixed_batches(_tokens(lengths), size=size):
        assert batch.attention_mask.any(dim=1).all()


def test_a_public_batch_is_as_long_as_its_longest() -> None:
    """Public training pads to the batch, in the order that was asked for."""
    batch: Batch = padded_batch(_tokens([2, 5, 3]), [2, 0])

    assert batch.rows.tolist() == [2, 0]
    assert torch.equal(batch.input_ids, torch.tensor([[3, 3, 3], [1, 1, 0]]))
    assert torch.equal(batch.attention_mask, torch.tensor([[1, 1, 1], [1, 1, 0]]))


def test_the_longest_bucket_is_the_limit() -> None:
    """A record that fits no bucket is refused, not cut."""
    assert next(iter(fixed_batches(_tokens([512]), size=1))).input_ids.shape == (1, 512)
    with pytest.raises(RecordsError, match="at most 512 tokens"):
        list(fixed_batches(_tokens([513]), size=1))


def test_a_text_is_its_tokens(tokenizer: PreTrainedTokenizerBase) -> None:
    """Nothing is added, dropped or cut; one id a word of this tokenizer."""
    tokens = tokenize(["w0 w1 w1", "w5"], tokenizer, max_tokens=3)

    assert [len(ids) for ids in tokens.ids] == [3, 1]
    assert tokens.ids[0][1] == tokens.ids[0][2] != tokens.ids[0][0]
    assert tokens.padding == tokenizer.pad_token_id


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["w1", _SECRET, "w2"], r"at most 3 tokens, but 1 are longer \(rows 2\)"),
        ([_SECRET] * 7, r"7 are longer \(rows 1, 2, 3, 4, 5, …\)"),
        (["w1", " \t", _SECRET[:5]], r"nothing to read in 1 texts \(rows 2\)"),
        (["\n"] * 6, r"in 6 texts \(rows 1, 2, 3, 4, 5, …\)"),
    ],
)
def test_a_text_that_cannot_be_used_is_counted_not_quoted(
    tokenizer: PreTrainedTokenizerBase, texts: list[str], words: str
) -> None:
    """Too long, or without a token (its mean would be NaN): rows are named, words are not."""
    with pytest.raises(RecordsError, match=words) as caught:
        tokenize(texts, tokenizer, max_tokens=3)

    assert "w2" not in str(caught.value)
