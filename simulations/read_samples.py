"""Texts to read at the end of a language study: the same public prompts to each model.

Prompts come from declared-public records alone: of a chat everything before the last turn of the
assistant, of a text its first words. Answers are greedy, so they are the same every time.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from distillation.language.samples import generate
from distillation.language.text import Form, turns_of
from distillation.layout import Vector
from distillation.records import Records
from simulations.prepare import Prepared

_PROMPTS, _WORDS, _NEW_TOKENS = 6, 6, 40


@dataclass(frozen=True, slots=True)
class Sample:
    """One prompt and what each model says to it.

    Attributes:
        prompt: As a person would read it.
        answers: By the model's name.
    """

    prompt: str
    answers: Mapping[str, str]


def read_samples(prepared: Prepared, public: Records, released: Vector) -> list[Sample]:
    """Return what teacher, public student and released student say to public prompts.

    The student's trained tensors are the released ones afterwards.

    Args:
        prepared: The models.
        public: Records that prompts may be taken from.
        released: The released trained tensors, (d,).
    """
    bench = prepared.bench
    form = Form(bench.recipe.template or Form.TEXT)
    shown = prompts(public.texts, bench.tokenizer, form)
    rendered = list(shown.values())
    said = {
        "teacher": _say(bench.teacher.model, bench.tokenizer, rendered),
        "public data only": _student(prepared, prepared.start, rendered),
        "student": _student(prepared, released, rendered),
    }
    return [
        Sample(prompt, {name: answers[place] for name, answers in said.items()})
        for place, prompt in enumerate(shown)
    ]


def prompts(texts: Sequence[str], tokenizer: PreTrainedTokenizerBase, form: Form) -> dict[str, str]:
    """Return some different prompts, as they are read and as the model gets them."""
    found: dict[str, str] = {}
    for text in texts:
        shown, rendered = _of_text(text) if form is Form.TEXT else _of_chat(text, tokenizer)
        found.setdefault(shown, rendered)
        if len(found) == _PROMPTS:
            break
    return found


def samples_page(samples: Sequence[Sample]) -> str:
    """Return the samples as Markdown."""
    parts = ["# Texts to read\n\nPublic prompts; each model's most likely answer.\n"]
    for sample in samples:
        parts.append(f"## {sample.prompt}\n")
        parts += [
            f"- **{name}**: {json.dumps(text, ensure_ascii=False)}"
            for name, text in sample.answers.items()
        ]
        parts.append("")
    return "\n".join(parts)


def _of_chat(text: str, tokenizer: PreTrainedTokenizerBase) -> tuple[str, str]:
    turns = turns_of(text)
    last = max(place for place, turn in enumerate(turns) if turn.role == "assistant")
    before = [{"role": turn.role, "content": turn.text} for turn in turns[:last]]
    rendered = tokenizer.apply_chat_template(before, tokenize=False, add_generation_prompt=True)
    return before[-1]["content"], str(rendered)


def _of_text(text: str) -> tuple[str, str]:
    start = " ".join(text.split()[:_WORDS])
    return start, start


def _student(prepared: Prepared, weights: Vector, rendered: Sequence[str]) -> list[str]:
    prepared.part.load(weights)
    prepared.part.write_back()
    return _say(prepared.student, prepared.bench.tokenizer, rendered)


def _say(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, rendered: Sequence[str]
) -> list[str]:
    return generate(model, tokenizer, rendered, max_new_tokens=_NEW_TOKENS)
