"""A teacher is whole, names its classes, and gives each record one distribution."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification

from distillation.errors import TeacherError
from distillation.model_files import locate
from distillation.teacher import ClassifierTeacher, load_tokenizer
from distillation.tokens import Tokens
from tests.distillation import tiny
from tests.simulations import tiny_study


@pytest.fixture(scope="module")
def teacher_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    tiny_study.make(folder)
    return folder / "teacher"


def test_an_answer_is_a_distribution_for_each_record() -> None:
    """Probabilities add up to one, features have length one, records keep their order."""
    teacher, tokens = ClassifierTeacher(tiny.teacher_model()), tiny.tokens(40)
    shares: list[float] = []
    answers = teacher.answer(tokens, shares.append)

    assert answers.log_probs.shape == (40, 1, 3)
    torch.testing.assert_close(answers.log_probs.exp().sum(-1), torch.ones(40, 1))
    torch.testing.assert_close(answers.features.norm(dim=1), torch.ones(40))
    for row in (0, 17, 39):
        alone = teacher.answer(Tokens((tokens.ids[row],), tokens.padding))
        assert torch.equal(alone.log_probs[0], answers.log_probs[row])
        assert torch.equal(alone.features[0], answers.features[row])
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_the_answer_is_the_models_own() -> None:
    """Against the model asked record by record, without padding or batches."""
    model, tokens = tiny.teacher_model(), tiny.tokens(9)
    answers = ClassifierTeacher(model).answer(tokens)
    for row, ids in enumerate(tokens.ids):
        one = torch.tensor([ids])
        with torch.no_grad():
            logits = model(one, torch.ones_like(one)).logits
        torch.testing.assert_close(
            answers.log_probs[row], logits.log_softmax(-1), atol=1e-5, rtol=1e-4
        )


def test_any_classifier_of_transformers_can_teach(tmp_path: Path) -> None:
    """An ordinary BERT classifier, with dropout that is off and classes in the logits' order."""
    config = BertConfig(
        vocab_size=tiny.VOCABULARY,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=24,
        max_position_embeddings=64,
        id2label={1: "no", 0: "yes"},
        label2id={"no": 1, "yes": 0},
    )
    BertForSequenceClassification(config).save_pretrained(tmp_path)
    teacher, tokens = ClassifierTeacher.load(locate(str(tmp_path))), tiny.tokens(5)

    assert teacher.outcomes == ("yes", "no")
    assert torch.equal(teacher.answer(tokens).log_probs, teacher.answer(tokens).log_probs)


def test_nothing_to_label_is_an_error() -> None:
    """No records, no answer."""
    with pytest.raises(TeacherError, match="at least one record"):
        ClassifierTeacher(tiny.teacher_model()).answer(Tokens((), 0))


def _config(**changes: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return change


def _without_head(folder: Path) -> None:
    shutil.rmtree(folder)
    tiny.encoder().save_pretrained(folder)


def _cut(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_cut, "SafetensorError"),
        (_without_head, r"classifier\.weight: is it an encoder without its head"),
        (_config(id2label={"0": "a", "1": "b", "2": "c", "3": "d"}), "RuntimeError"),
        (_config(id2label={"0": "a", "1": "b", "7": "c"}), r"numbers \[0, 1, 7\]"),
        (_config(id2label={"0": "a", "1": "b", "2": "b"}), "every class once"),
        (_config(encoder={"model_type": "bert", "hidden_act": "nothing"}), "KeyError"),
        (_config(encoder={}), "ValueError"),
        (_config(model_type="nothing"), "ValueError"),
        (lambda folder: (folder / "config.json").write_text("{"), "OSError"),
    ],
    ids=[
        *("cut weights", "no head", "a class too many", "a gap", "a class twice"),
        *("unknown part", "no encoder", "unknown kind", "no JSON"),
    ],
)
def test_a_damaged_or_partial_teacher_is_refused(
    teacher_folder: Path, tmp_path: Path, spoil: Callable[[Path], object], words: str
) -> None:
    """Above all one without its head: transformers would make up weights and say nothing."""
    shutil.copytree(teacher_folder, tmp_path / "teacher")
    spoil(tmp_path / "teacher")
    with pytest.raises(TeacherError, match=words):
        ClassifierTeacher.load(locate("teacher", base=tmp_path))


@pytest.mark.parametrize("content", [None, "{", "{}", "[]", '{"added_tokens": []}'])
def test_a_teacher_without_its_tokenizer_is_refused(
    teacher_folder: Path, tmp_path: Path, content: str | None
) -> None:
    """A missing or damaged tokenizer is named as one."""
    shutil.copytree(teacher_folder, tmp_path / "teacher")
    file = tmp_path / "teacher" / "tokenizer.json"
    file.unlink()
    if content is not None:
        file.write_text(content)
    with pytest.raises(TeacherError, match="expected a tokenizer"):
        load_tokenizer(locate("teacher", base=tmp_path))


@pytest.mark.parametrize(("max_tokens", "fits"), [(8, True), (64, True), (65, False), (300, False)])
def test_a_teacher_needs_a_position_for_every_padded_token(max_tokens: int, fits: bool) -> None:
    """The tiny teacher has 64 positions; a text of 65 tokens would be padded to 96."""
    teacher = ClassifierTeacher(tiny.teacher_model())
    if fits:
        teacher.require_room(max_tokens)
        return
    with pytest.raises(TeacherError, match=r"lower teacher\.max_tokens"):
        teacher.require_room(max_tokens)
