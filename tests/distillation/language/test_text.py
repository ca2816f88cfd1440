"""Text cells become records of tokens, and say which tokens count."""

import pytest
import torch

from distillation.errors import RecordsError, TrainingError
from distillation.language.targets import token_targets
from distillation.language.text import Form, LanguageTokens, cell_of, read_language
from distillation.objectives.instruction import Turn
from distillation.objectives.values import UNLABELLED
from distillation.tokens import Tokens
from distillation.top_k import TopK
from tests.distillation.language.words import word_tokenizer

_CHAT = cell_of(
    [
        Turn("user", "hello who are you"),
        Turn("assistant", "a student"),
        Turn("user", "of who"),
        Turn("assistant", "of yours"),
    ]
)


def _words(tokens: LanguageTokens, row: int = 0) -> list[str]:
    pairs = zip(tokens.ids[row], tokens.counts[row], strict=True)
    return [str(word_tokenizer().decode([i])) for i, counts in pairs if counts]


def test_in_a_chat_the_assistants_turns_count() -> None:
    """With the end of each turn, and nothing else."""
    read = read_language([_CHAT], word_tokenizer(), form=Form.CHAT, max_tokens=30)

    assert _words(read) == ["a", "student", "<end>", "of", "yours", "<end>"]


def test_in_a_whole_chat_all_but_the_first_token_count() -> None:
    """There is nothing before the first."""
    read = read_language([_CHAT], word_tokenizer(), form=Form.CHAT_WHOLE, max_tokens=30)

    assert len(_words(read)) == len(read.ids[0]) - 1


def test_a_text_ends_with_the_end_token() -> None:
    """Which is predicted too."""
    read = read_language(["hello you"], word_tokenizer(), form=Form.TEXT, max_tokens=3)

    assert _words(read) == ["you", "<end>"]


@pytest.mark.parametrize(
    "cell",
    ["hello", "{}", '[{"role": "judge", "content": "hello"}]', '[{"role": "user"}]', "[1]"],
)
def test_what_is_no_chat_is_refused_by_its_row(cell: str) -> None:
    """The message has the row, and nothing of the cell."""
    with pytest.raises(RecordsError, match="row 2 is no chat") as caught:
        read_language([_CHAT, cell], word_tokenizer(), form=Form.CHAT, max_tokens=30)
    assert "hello" not in str(caught.value)
    assert "judge" not in str(caught.value)


def test_nothing_is_cut_off_silently() -> None:
    """Records that are too long, or have nothing to predict, are named by row."""
    with pytest.raises(RecordsError, match=r"rows 2.*max_tokens"):
        read_language(["hello", "who are you"], word_tokenizer(), form=Form.TEXT, max_tokens=3)
    with pytest.raises(RecordsError, match="rows 1"):
        read_language(["", "hello"], word_tokenizer(), form=Form.TEXT, max_tokens=3)


def test_targets_are_the_next_tokens_that_count() -> None:
    """Position t stands for the token at t + 1; padding is no position."""
    tokens = LanguageTokens(((5, 6, 7), (8, 9)), 0, ((False, False, True), (False, True)))
    targets = token_targets(tokens, None, length=4)

    assert targets.mask.tolist() == [[False, True, False, False], [True, False, False, False]]
    no = UNLABELLED
    assert targets.reference.tolist() == [[no, 7, no, no], [9, no, no, no]]


def test_labels_of_other_records_are_refused() -> None:
    """As many labels as tokens, of one kind, within the public length."""
    tokens = Tokens(((5, 6, 7), (8, 9)), 0)

    def label(size: int, temperature: float = 1.0) -> TopK:
        return TopK.of(torch.zeros(size, 10).log_softmax(-1), k=2, temperature=temperature)

    assert token_targets(tokens, [label(3), label(2)], length=3).labels.ids.shape == (2, 3, 2)
    with pytest.raises(TrainingError, match="other records"):
        token_targets(tokens, [label(2), label(3)], length=3)
    with pytest.raises(TrainingError, match="one k and temperature"):
        token_targets(tokens, [label(3), label(2, 2.0)], length=3)
    with pytest.raises(TrainingError, match="at most 2 tokens"):
        token_targets(tokens, None, length=2)


def test_what_counts_fits_the_tokens() -> None:
    """A first token cannot count."""
    with pytest.raises(RecordsError, match="every token but the first"):
        LanguageTokens(((5, 6),), 0, ((True, True),))
