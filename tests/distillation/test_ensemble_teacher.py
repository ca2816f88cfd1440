"""Several teachers are one: a mixture of their answers, pinned by one hash."""

import json
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
import torch

from distillation.classification_kit import ClassificationKit
from distillation.ensemble_teacher import EnsembleTeacher
from distillation.errors import TeacherError
from distillation.experts import MANIFEST, locate_teacher, together, write_experts
from distillation.measure.answering import answer
from distillation.model_files import Expert, ModelFiles, locate
from distillation.records import Records
from distillation.teacher import ClassifierTeacher
from tests.distillation import tiny
from tests.simulations import tiny_study


def _expert(folder: Path, *, seed: int, order: tuple[int, ...] = (0, 1, 2)) -> ModelFiles:
    """Write a teacher whose classes are in another order; its answers are the same."""
    tiny_study.write_teacher(folder, seed=seed, order=order)
    return locate(str(folder))


def _mixed(base: Path, *weights: str) -> ModelFiles:
    return together(
        [
            Expert(_expert(base / f"t{number}", seed=number), Decimal(weight))
            for number, weight in enumerate(weights)
        ]
    )


def test_the_answer_is_the_weighted_mean(tmp_path: Path) -> None:
    """Probabilities are averaged, whatever order an expert names the classes in."""
    one, other = (ClassifierTeacher(tiny.teacher_model(seed=seed)) for seed in (0, 1))
    turned = _expert(tmp_path / "t", seed=1, order=(2, 0, 1))
    tokens = tiny.tokens(40)
    found = EnsembleTeacher([one, ClassifierTeacher.load(turned)], [3, 1]).answer(tokens)
    first, second = (each.answer(tokens) for each in (one, other))
    mean = 0.75 * first.log_probs.exp() + 0.25 * second.log_probs.exp()

    torch.testing.assert_close(found.log_probs.exp(), mean)
    assert torch.equal(found.features, first.features)


def test_an_answer_does_not_depend_on_company() -> None:
    """The mixture too is bit-identical alone and among others."""
    experts = [ClassifierTeacher(tiny.teacher_model(seed=seed)) for seed in (0, 1, 2)]
    teacher, tokens = EnsembleTeacher(experts, [1, 2, 0.3]), tiny.tokens(50)
    whole = teacher.answer(tokens).log_probs
    for row in (0, 17, 49):
        assert torch.equal(teacher.answer(tokens.rows([row])).log_probs[0], whole[row])


def test_a_folder_of_experts_is_read_back(tmp_path: Path) -> None:
    """With the same hash; another weight is another teacher."""
    files = _mixed(tmp_path, "1", "0.50")
    write_experts(files, tmp_path / "teacher")
    found = locate_teacher(tmp_path / "teacher")
    write_experts(files, tmp_path / "teacher")  # a start that was interrupted is made again
    teacher = ClassificationKit().load_teacher(found)

    assert found.weights_sha256 == files.weights_sha256
    assert found.weights_sha256 == _mixed(tmp_path, "1.0", "0.5").weights_sha256
    assert found.weights_sha256 != _mixed(tmp_path, "1", "0.6").weights_sha256
    assert isinstance(teacher, EnsembleTeacher)
    assert teacher.outcomes == tiny.CLASSES
    assert locate_teacher(tmp_path / "t0") == locate(str(tmp_path / "t0"))


def test_a_mixture_is_judged_like_any_model(tmp_path: Path) -> None:
    """Its folder is asked for answers as a student's is."""
    files = _mixed(tmp_path, "1", "3")
    write_experts(files, tmp_path / "teacher")
    ids = ("1", "2")
    records = Records(
        ids=ids, texts=("w1 w2", "w3"), labels=("a", "b"), units=ids, regions=("", "")
    )
    alone = [answer(tmp_path / name, records).probabilities for name in ("t0", "t1")]

    np.testing.assert_allclose(
        answer(tmp_path / "teacher", records).probabilities,
        0.25 * alone[0] + 0.75 * alone[1],
        rtol=1e-5,
    )


def _json(change: Callable[[dict[str, object]], None]) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        found = json.loads((folder / MANIFEST).read_text())
        change(found)
        (folder / MANIFEST).write_text(json.dumps(found, separators=(",", ":"), sort_keys=True))

    return edit


def _swap(folder: Path) -> None:
    first, second = (folder / "0").readlink(), (folder / "1").readlink()
    for number, there in enumerate((second, first)):
        (folder / str(number)).unlink()
        (folder / str(number)).symlink_to(there)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (_swap, "by their hashes"),
        (lambda folder: (folder / "1").unlink(), "is no folder here"),
        (lambda folder: (folder / MANIFEST).write_bytes(b"{"), "kind stillroom/experts/v1"),
        (_json(lambda found: found.update(kind="other")), "kind stillroom/experts/v1"),
        (_json(lambda found: found.update(experts=3)), "kind stillroom/experts/v1"),
        (_json(lambda found: found.update(experts=["x"])), "kind stillroom/experts/v1"),
        (_json(lambda found: found.update(experts=[])), "at least two"),
        (_json(lambda found: found.update(more=1)), "by their hashes"),
    ],
    ids=["swapped", "gone", "no json", "kind", "number", "text", "empty", "further"],
)
def test_another_folder_of_experts_is_refused(
    tmp_path: Path, damage: Callable[[Path], None], words: str
) -> None:
    """Experts that are others, in another order or not there are said, not mixed."""
    write_experts(_mixed(tmp_path, "1", "1"), tmp_path / "teacher")
    damage(tmp_path / "teacher")
    with pytest.raises(TeacherError, match=words):
        locate_teacher(tmp_path / "teacher")


def _other_words(folder: Path) -> None:
    path = folder / "tokenizer.json"
    path.write_text(path.read_text().replace('"w7"', '"another"'))


def _other_role(folder: Path) -> None:
    path = folder / "tokenizer_config.json"
    path.write_text(path.read_text().replace('"pad_token": "[PAD]"', '"pad_token": "[CLS]"'))


def _other_classes(folder: Path) -> None:
    path = folder / "config.json"
    path.write_text(path.read_text().replace('"c"', '"d"'))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_other_words, "teacher 2 has another"),
        (_other_role, "teacher 2 has another"),
        (_other_classes, "teacher 2 lacks c and has d"),
    ],
)
def test_teachers_that_do_not_fit_together_are_refused(
    tmp_path: Path, change: Callable[[Path], None], words: str
) -> None:
    """Another tokenizer, or another set of classes, is told with the teacher's number."""
    files = _mixed(tmp_path, "1", "1")
    change(files.experts[1].files.folder)
    with pytest.raises(TeacherError, match=words):
        ClassificationKit().load_teacher(files)


def test_what_makes_no_mixture_is_refused(tmp_path: Path) -> None:
    """One teacher, a weight of nothing, a GGUF file, no teacher, too few positions."""
    one = _expert(tmp_path / "t", seed=0)
    gguf = replace(one, gguf="model.gguf")
    for experts, words in (
        ([(one, "1")], "at least two"),
        ([(one, "1"), (one, "0")], "weight above 0"),
        ([(one, "1"), (one, "NaN")], "weight above 0"),
    ):
        with pytest.raises(TeacherError, match=words):
            together([Expert(files, Decimal(weight)) for files, weight in experts])
    with pytest.raises(TeacherError, match="teacher 2 is the GGUF file"):
        EnsembleTeacher.load(together([Expert(files, Decimal(1)) for files in (one, gguf)]))
    with pytest.raises(TeacherError, match="at least one"):
        EnsembleTeacher([], [])
    both = EnsembleTeacher([ClassifierTeacher(tiny.teacher_model(seed=s)) for s in (0, 1)], [1, 1])
    both.require_room(64)
    with pytest.raises(TeacherError, match="64"):
        both.require_room(65)
