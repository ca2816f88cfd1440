"""Causal teachers: the label of a record is its own, and it is what the model says."""

import importlib
import sys
from pathlib import Path

import pytest
import torch

from distillation.errors import TeacherError
from distillation.language.models import save_causal
from distillation.language.teacher import CausalTeacher
from distillation.model_files import ModelFiles
from distillation.tokens import Tokens
from tests.distillation.language.causal import FAMILIES, VOCABULARY, causal_model, tokens
from tests.distillation.language.words import word_tokenizer


@pytest.mark.parametrize("family", FAMILIES)
def test_a_label_is_bit_identical_in_any_company(family: str) -> None:
    """Alone, among others, at other places: the same bits."""
    teacher, some = CausalTeacher(causal_model(family)), tokens(9)
    among = teacher.label(some, k=5, temperature=2.0)
    order = list(reversed(range(len(some))))
    moved = teacher.label(some.rows(order), k=5, temperature=2.0)

    for row in (0, 4, 8):
        label = among[row]
        (alone,) = teacher.label(some.rows([row]), k=5, temperature=2.0)
        for other in (alone, moved[order.index(row)]):
            assert torch.equal(label.ids, other.ids)
            assert torch.equal(label.log_probs, other.log_probs)
            assert torch.equal(label.log_tail, other.log_tail)


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_padded_does_not_matter(family: str) -> None:
    """A record padded with any token is labelled as the model labels it without padding."""
    model = causal_model(family)
    teacher, (ids,) = CausalTeacher(model), tokens(1, longest=7).ids
    plain = model(input_ids=torch.tensor([ids])).logits[0].log_softmax(-1)

    found = [teacher.mark(Tokens((ids,), padding), k=VOCABULARY)[0] for padding in (0, 7)]

    for mark in found:
        torch.testing.assert_close(mark.label.log_probs, plain)
        follows = plain[torch.arange(len(ids) - 1), torch.tensor(ids[1:])]
        torch.testing.assert_close(mark.following[:-1], follows)
    assert torch.equal(found[0].label.log_probs, found[1].label.log_probs)


def test_later_tokens_change_no_earlier_label() -> None:
    """The label of a position depends on what stands before it alone."""
    teacher = CausalTeacher(causal_model())
    first, second = (3, 9, 4, 8, 2), (3, 9, 4, 1, 1)
    one, other = teacher.label(Tokens((first, second), 0), k=4, temperature=1.0)

    assert torch.equal(one.log_probs[:3], other.log_probs[:3])
    assert not torch.equal(one.log_probs[3:], other.log_probs[3:])


def test_it_loads_what_was_saved(tmp_path) -> None:  # type: ignore[no-untyped-def]  # pytest's
    """A saved model labels as before."""
    model, some = causal_model(), tokens(3)
    save_causal(model, word_tokenizer(), tmp_path)
    again = CausalTeacher.load(ModelFiles(tmp_path, "", ""))

    before = CausalTeacher(model).label(some, k=3, temperature=1.0)
    after = again.label(some, k=3, temperature=1.0)

    assert again.vocabulary == VOCABULARY
    assert all(torch.equal(a.log_probs, b.log_probs) for a, b in zip(before, after, strict=True))


def test_no_room_no_records_no_k() -> None:
    """Each is refused with what to do."""
    teacher = CausalTeacher(causal_model())
    teacher.require_room(32)
    with pytest.raises(TeacherError, match=r"lower teacher\.max_tokens"):
        teacher.require_room(33)
    with pytest.raises(TeacherError, match="at least one record"):
        teacher.label(Tokens((), 0), k=2, temperature=1.0)
    with pytest.raises(TeacherError, match="k >= 1"):
        teacher.label(tokens(1), k=0, temperature=1.0)


def test_a_folder_without_safetensors_is_refused(tmp_path) -> None:  # type: ignore[no-untyped-def]
    """A pickle is never read, even where it is the only file."""
    model = causal_model()
    model.config.save_pretrained(tmp_path)
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")

    with pytest.raises(TeacherError, match="safetensors"):
        CausalTeacher.load(ModelFiles(tmp_path, "", ""))


def test_a_gguf_file_without_its_reader_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The package that is missing is named, before anything is read."""
    monkeypatch.delitem(sys.modules, "gguf", raising=False)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if "site-packages" not in p])
    importlib.invalidate_caches()

    with pytest.raises(TeacherError, match="pip install gguf"):
        CausalTeacher.load(ModelFiles(tmp_path, "", "", gguf="model.gguf"))


def test_a_gguf_file_that_is_none_is_refused(tmp_path: Path) -> None:
    """Damaged weights are told in one sentence, not by the reader's own error."""
    pytest.importorskip("gguf")
    (tmp_path / "model.gguf").write_bytes(b"GGUF of something else")

    with pytest.raises(TeacherError, match=tmp_path.name):
        CausalTeacher.load(ModelFiles(tmp_path, "", "", gguf="model.gguf"))
