"""Teacher and student must read text alike: else their distributions are over different things."""

from pathlib import Path

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast

from distillation.errors import TeacherError
from distillation.model_files import locate
from distillation.vocabularies import require_rows, require_same_vocabulary, shared_tokenizer
from tests.distillation import tiny
from tests.simulations import tiny_language_study

_WORDS = ["[UNK]", "a", "b", "c"]


def _tokenizer(words: list[str]) -> PreTrainedTokenizerFast:
    numbered = {word: number for number, word in enumerate(words)}
    made = Tokenizer(WordLevel(numbered, unk_token="[UNK]"))
    return PreTrainedTokenizerFast(tokenizer_object=made, unk_token="[UNK]")


def test_the_same_vocabulary_is_accepted() -> None:
    """Two tokenizers that number every token alike pass, though they are two objects."""
    mine, other = _tokenizer(_WORDS), _tokenizer(_WORDS)
    require_same_vocabulary(mine, other)

    assert mine.get_vocab() == other.get_vocab()


@pytest.mark.parametrize(
    ("words", "shared"),
    [(["[UNK]", "b", "a", "c"], 2), (_WORDS[:3], 3), ([*_WORDS, "d"], 4), (["[UNK]", "x"], 1)],
    ids=["other numbers", "fewer", "more", "other words"],
)
def test_another_vocabulary_is_refused_with_the_reason(words: list[str], shared: int) -> None:
    """The message says how many tokens both number alike, and what to do."""
    with pytest.raises(TeacherError, match=f"of which {shared} have the same number") as caught:
        require_same_vocabulary(_tokenizer(_WORDS), _tokenizer(words))
    assert "number by number" in str(caught.value)


def test_a_tokenizer_of_a_larger_model_is_refused() -> None:
    """Every token needs a row in the table of embeddings; one number too many is another model."""
    student = tiny.student_model()
    words = ["[UNK]", *(f"w{number}" for number in range(tiny.VOCABULARY - 1))]
    require_rows(_tokenizer(words), student, "teacher")
    with pytest.raises(TeacherError, match=f"below {tiny.VOCABULARY}"):
        require_rows(_tokenizer([*words, "one more"]), student, "teacher")


def test_a_students_other_tokenizer_is_found_on_disk(tmp_path: Path) -> None:
    """What a region got as the student is compared with its teacher before anything is labelled."""
    for name in ("teacher", "student"):
        tiny_language_study.write_teacher(tmp_path / name)
    teacher, student = (locate(str(tmp_path / name)) for name in ("teacher", "student"))
    model = tiny.student_model()
    assert shared_tokenizer(teacher, student, model).get_vocab()["w0"] == 3
    _tokenizer(["[UNK]", "w0", "w1"]).save_pretrained(tmp_path / "student")
    with pytest.raises(TeacherError, match="share one vocabulary, got 60 and 3"):
        shared_tokenizer(teacher, student, model)
