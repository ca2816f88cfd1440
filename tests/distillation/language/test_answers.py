"""A teacher of another vocabulary answers public prompts as text, and the student reads it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import PreTrainedTokenizerBase

from distillation.data.artifact import from_bytes, to_bytes
from distillation.data.provenance import Generator
from distillation.data.public_text import Declaration, PublicText, declared
from distillation.errors import RecordsError, TeacherError
from distillation.language.answers import Asking, Dropped, answer_prompts
from distillation.language.teacher import CausalTeacher
from distillation.language.text import Form
from distillation.model_files import locate
from distillation.teacher import load_tokenizer
from tests.distillation.language.words import word_tokenizer
from tests.simulations import tiny_language_study

_DECLARED = Declaration(origin="prompts", reason="made for this test")


@pytest.fixture(scope="module")
def asked(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[CausalTeacher, PreTrainedTokenizerBase]:
    folder = tmp_path_factory.mktemp("teacher")
    tiny_language_study.write_teacher(folder)
    files = locate(str(folder))
    return CausalTeacher.load(files), load_tokenizer(files)


def _prompts(folder: Path, *texts: str) -> tuple[PublicText, ...]:
    path = folder / "prompts.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return declared(path, "text", _DECLARED)


def _asking(form: Form = Form.TEXT, *, most: int = 5) -> Asking:
    return Asking(teacher_sha256="a" * 64, form=form, max_new_tokens=most)


def test_an_answer_is_the_most_likely_continuation(
    tmp_path: Path, asked: tuple[CausalTeacher, PreTrainedTokenizerBase]
) -> None:
    """What the cache of past states gives is what the whole text gives, a token at a time."""
    teacher, tokenizer = asked
    found = answer_prompts(_prompts(tmp_path, "w3 w4"), teacher, tokenizer, _asking(), reads=bool)
    ids = tokenizer("w3 w4")["input_ids"]
    with torch.no_grad():
        for _ in range(5):
            token = int(teacher.model(input_ids=torch.tensor([ids])).logits[0, -1].argmax())
            if token == tokenizer.eos_token_id:
                break
            ids.append(token)
    (text,) = found.texts

    assert tokenizer(text.text)["input_ids"] == ids
    assert len(ids) > 2
    assert text.provenance.generator is Generator.TEACHER_ANSWER
    assert text.provenance.rows == (1,)
    assert from_bytes(to_bytes(found.texts)) == found.texts


def test_what_the_student_cannot_read_is_left_out_and_counted(
    tmp_path: Path, asked: tuple[CausalTeacher, PreTrainedTokenizerBase]
) -> None:
    """Repeated answers and those that do not fit; a run with none left is an error."""
    teacher, tokenizer = asked
    prompts = _prompts(tmp_path, "w3 w4", "w5 w6", "w3 w4 ")
    found = answer_prompts(
        prompts, teacher, tokenizer, _asking(), reads=lambda cell: not cell.startswith("w5")
    )

    assert len(found.texts) == 1
    assert found.dropped == {Dropped.REPEATED: 1, Dropped.UNREADABLE: 1}
    with pytest.raises(RecordsError, match="none of 3"):
        answer_prompts(prompts, teacher, tokenizer, _asking(), reads=lambda cell: False)


def test_a_chat_is_asked_in_the_teachers_own_form(
    tmp_path: Path, asked: tuple[CausalTeacher, PreTrainedTokenizerBase]
) -> None:
    """Its template asks; the cell is a chat, which any student's template can render."""
    teacher, tokenizer = asked[0], word_tokenizer()
    found = answer_prompts(
        _prompts(tmp_path, "who are you"), teacher, tokenizer, _asking(Form.CHAT), reads=bool
    )
    user, assistant = json.loads(found.texts[0].text)

    assert user == {"role": "user", "content": "who are you"}
    assert assistant["role"] == "assistant"
    assert assistant["content"]


@pytest.mark.parametrize(
    ("change", "most", "words"),
    [
        (lambda t: setattr(t, "chat_template", None), 5, "chat template"),
        (lambda t: setattr(t, "eos_token", None), 5, "end token"),
        (lambda t: None, 300, "lower it"),
    ],
    ids=["template", "end", "room"],
)
def test_a_teacher_that_cannot_answer_is_refused(
    tmp_path: Path,
    asked: tuple[CausalTeacher, PreTrainedTokenizerBase],
    change: Callable[[PreTrainedTokenizerBase], None],
    most: int,
    words: str,
) -> None:
    """A missing template or end, or too few positions, is told before anything is written."""
    tokenizer = word_tokenizer()
    change(tokenizer)
    with pytest.raises(TeacherError, match=words):
        answer_prompts(
            _prompts(tmp_path, "who are you"),
            asked[0],
            tokenizer,
            _asking(Form.CHAT, most=most),
            reads=bool,
        )


def test_private_text_is_no_prompt(asked: tuple[CausalTeacher, PreTrainedTokenizerBase]) -> None:
    """Only what was declared public goes in, whatever the type checker is told."""
    with pytest.raises(RecordsError, match="declared public"):
        answer_prompts(["w1"], *asked, _asking(), reads=bool)  # type: ignore[list-item]
