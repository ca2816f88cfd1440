"""Data distillation: a teacher of any vocabulary answers public prompts, and a student reads it.

Soft labels need one vocabulary; text does not. So a teacher whose tokenizer is another than the
student's is asked declared-public prompts, and what it writes becomes further public text for the
warm-up, in the student's own tokens. No private record is near, so it costs no ε; that the answers
tell what this teacher was trained on is in the study's declaration like any teacher's.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import torch
from transformers import PreTrainedTokenizerBase

from distillation.data.provenance import Generator, Provenance
from distillation.data.public_text import PublicText, require_public
from distillation.errors import RecordsError, TeacherError
from distillation.language.teacher import CausalTeacher
from distillation.language.text import Form, cell_of
from distillation.objectives.instruction import Turn

Progress = Callable[[float], None]


class Dropped(StrEnum):
    """Why an answer is not read."""

    EMPTY = "empty"
    REPEATED = "repeated"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class AnsweredPrompts:
    """What the teacher wrote.

    Attributes:
        texts: Cells in the study's form, each with where it came from.
        dropped: How many answers were left out, by reason.
    """

    texts: tuple[PublicText, ...]
    dropped: Mapping[Dropped, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """How prompts are put; public constants.

    Attributes:
        teacher_sha256: The teacher's weights, for the texts' origin.
        form: Plain text is continued; in a chat the prompt is the user's turn.
        max_new_tokens: The longest answer, in the teacher's tokens; a longer one is cut there.
    """

    teacher_sha256: str
    form: Form
    max_new_tokens: int


def answer_prompts(
    prompts: Sequence[PublicText],
    teacher: CausalTeacher,
    tokenizer: PreTrainedTokenizerBase,
    asking: Asking,
    *,
    reads: Callable[[str], bool],
    progress: Progress = lambda share: None,
) -> AnsweredPrompts:
    """Return the teacher's answers as public texts: the most likely token each time, so no chance.

    Args:
        prompts: Declared public.
        teacher: Any causal model.
        tokenizer: The teacher's own.
        asking: How.
        reads: Whether the student can read a cell: short enough, with something to predict.
        progress: Called with the share that is done.

    Raises:
        RecordsError: If a prompt is not declared public, or no answer is left.
        TeacherError: If prompt and answer do not fit the teacher, or it has no end or template.
    """
    found, dropped = dict[str, PublicText](), Counter[Dropped]()
    for number, prompt in enumerate(require_public(prompts), start=1):
        answer = _answer(prompt.text, teacher, tokenizer, asking)
        cell = _cell(prompt.text, answer, asking.form)
        if not answer.strip():
            dropped[Dropped.EMPTY] += 1
        elif cell in found:
            dropped[Dropped.REPEATED] += 1
        elif not reads(cell):
            dropped[Dropped.UNREADABLE] += 1
        else:
            found[cell] = PublicText(cell, _origin(prompt, asking), prompt.declaration)
        progress(number / len(prompts))
    if not found:
        raise RecordsError(
            f"expected at least one answer that the student can read, got none of {len(prompts)}: "
            "lower max_new_tokens, raise teacher.max_tokens, or take other prompts"
        )
    return AnsweredPrompts(tuple(found.values()), dict(dropped))


def _answer(
    prompt: str, teacher: CausalTeacher, tokenizer: PreTrainedTokenizerBase, asking: Asking
) -> str:
    ids = _asked(prompt, tokenizer, asking.form)
    positions = getattr(teacher.model.config, "max_position_embeddings", None)
    if isinstance(positions, int) and len(ids) + asking.max_new_tokens > positions:
        raise TeacherError(
            f"expected prompts and answers of at most {positions} tokens together, as the teacher "
            f"that answers has positions, got a prompt of {len(ids)} and max_new_tokens = "
            f"{asking.max_new_tokens}: lower it, or shorten the prompts"
        )
    end = tokenizer.eos_token_id
    if not isinstance(end, int):
        raise TeacherError(
            "expected the tokenizer of the teacher that answers to have an end token, got none"
        )
    return str(tokenizer.decode(_continued(ids, teacher, asking.max_new_tokens, end)))


@torch.no_grad()
def _continued(ids: Sequence[int], teacher: CausalTeacher, most: int, end: int) -> list[int]:
    """Return the most likely next tokens, up to the end or to so many."""
    step, past, written = torch.tensor([list(ids)]), None, list[int]()
    while len(written) < most:
        said = teacher.model(input_ids=step, past_key_values=past, use_cache=True)
        token = int(said.logits[0, -1].argmax())
        if token == end:
            break
        written.append(token)
        step, past = torch.tensor([[token]]), said.past_key_values
    return written


def _asked(prompt: str, tokenizer: PreTrainedTokenizerBase, form: Form) -> list[int]:
    if form is Form.TEXT:
        text = prompt
    elif tokenizer.chat_template:
        turns = [{"role": "user", "content": prompt}]
        text = str(tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))
    else:
        raise TeacherError(
            "expected the teacher that answers to have a chat template, as the study's records are "
            "chats, got none: take an instruction model"
        )
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids


def _cell(prompt: str, answer: str, form: Form) -> str:
    if form is Form.TEXT:
        return f"{prompt.rstrip()} {answer.strip()}"
    return cell_of([Turn("user", prompt), Turn("assistant", answer.strip())])


def _origin(prompt: PublicText, asking: Asking) -> Provenance:
    return Provenance(
        generator=Generator.TEACHER_ANSWER,
        parameters=(
            ("form", asking.form.value),
            ("max_new_tokens", str(asking.max_new_tokens)),
            ("teacher", asking.teacher_sha256),
        ),
        sources=prompt.provenance.sources,
        rows=prompt.provenance.rows,
    )
