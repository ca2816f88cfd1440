"""From public titles to answers: what stays, in which order, and that a student learns from it."""

import itertools

import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import PreTrainedTokenizerFast

from distillation.data.filters import Certainty, Form, Reason
from distillation.data.prompts import Answered, PromptPlan, answered_prompts
from distillation.errors import RecordsError
from distillation.students import cut_student
from distillation.teacher import ClassifierTeacher
from distillation.tokens import tokenize
from distillation.warm_up import WarmUp, warm_up
from tests.distillation import tiny
from tests.distillation.data import publics

_WORDS = ["".join(letters) for letters in itertools.product("bdk", "aou", "mnlt")]
_CURATED = publics.texts("bam dol kut", "kan", "dum bal")


def _tokenizer() -> PreTrainedTokenizerFast:
    vocabulary = {word: number for number, word in enumerate(["[PAD]", "[UNK]", *_WORDS])}
    words = Tokenizer(WordLevel(vocabulary, unk_token="[UNK]"))
    words.pre_tokenizer = Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=words, pad_token="[PAD]", unk_token="[UNK]")


def _answered(plan: PromptPlan, *, held_out: tuple[str, ...] = ()) -> Answered:
    return answered_prompts(
        _CURATED,
        ClassifierTeacher(tiny.teacher_model()),
        _tokenizer(),
        plan,
        max_tokens=16,
        held_out=publics.texts(*held_out),
    )


def test_curated_texts_come_first_and_answers_are_the_teachers() -> None:
    """Each text has the answer that the teacher gives to it alone."""
    found = _answered(PromptPlan(count=12))
    teacher = ClassifierTeacher(tiny.teacher_model())
    last = tokenize([found.texts[-1].text], _tokenizer(), max_tokens=16)

    assert found.texts[:3] == _CURATED
    assert len(found.texts) + sum(found.dropped.values()) == 3 + 12
    assert len(found.texts) == len(found.tokens) == len(found.answers.log_probs)
    assert torch.equal(found.answers.log_probs[-1:], teacher.answer(last).log_probs)


def test_without_generated_texts_the_curated_ones_are_all() -> None:
    """Count 0 asks no tokenizer for words."""
    found = _answered(PromptPlan(count=0))

    assert found.texts == _CURATED
    assert found.dropped == {}


def test_filters_take_generated_texts_and_no_curated_one() -> None:
    """However strict: an answer to a curated title stays, and every text that goes is counted."""
    strict = PromptPlan(count=30, certainty=Certainty(least_confidence=1.0))
    short = PromptPlan(count=30, form=Form(most_words=1))

    assert _answered(strict).texts == _CURATED
    assert _answered(strict).dropped[Reason.UNSURE_TEACHER] > 0
    assert _answered(short).dropped == {Reason.TOO_LONG: 30}


def test_held_out_texts_are_not_learned_from() -> None:
    """A text that would be generated is not, once it is in the test set."""
    plan = PromptPlan(count=12)
    victim = _answered(plan).texts[-1].text
    found = _answered(plan, held_out=(victim,))

    assert victim not in [one.text for one in found.texts]


@pytest.mark.slow
def test_a_student_comes_nearer_to_its_teacher_on_generated_texts() -> None:
    """A warm-up on three curated and forty generated texts lowers the divergence on them."""
    found = _answered(PromptPlan(count=40))
    student = cut_student(tiny.encoder(), layers=[0, 2], classes=tiny.CLASSES, feature_scale=4.0)
    before = _gap(student, found)
    settings = WarmUp(epochs=8, batch_size=8, learning_rate=1e-3)
    order = torch.Generator().manual_seed(0)
    warm_up(student, found.tokens, found.answers, settings, shuffle=order)

    assert _gap(student, found) < before / 2


def test_nothing_to_begin_with_is_refused() -> None:
    """No curated text, a negative count."""
    with pytest.raises(RecordsError, match="at least one curated"):
        answered_prompts(
            [],
            ClassifierTeacher(tiny.teacher_model()),
            _tokenizer(),
            PromptPlan(count=1),
            max_tokens=16,
        )
    with pytest.raises(RecordsError, match="count of generated"):
        PromptPlan(count=-1)


def _gap(student: torch.nn.Module, found: Answered) -> float:
    """Return the mean KL of the student from the teacher's answers."""
    own = ClassifierTeacher(student).answer(found.tokens).log_probs  # type: ignore[arg-type]
    theirs = found.answers.log_probs
    return float((theirs.exp() * (theirs - own)).sum(dim=-1).mean())
