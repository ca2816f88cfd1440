"""A leaky student is told, a clean one is not, and both are told what could have been seen."""

import csv
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from transformers import PreTrainedModel
from typer.testing import CliRunner

from distillation.language.models import save_causal
from distillation.model_files import locate
from distillation.students import save_classifier
from distillation.teacher import load_tokenizer
from privacy.report.wording import overclaims
from stillroom.exits import Exit
from stillroom.main import app
from tests.distillation import tiny
from tests.distillation.language.causal import causal_model
from tests.distillation.language.words import word_tokenizer
from tests.simulations import tiny_study

pytestmark = pytest.mark.slow

_RUNNER = CliRunner()
EACH = 60


@dataclass(frozen=True, slots=True)
class Place:
    """Two students and two files of records that no rule tells apart."""

    root: Path

    def run(self, student: str, *words: str) -> tuple[int, str]:
        files = ("--on", str(self.root / "in.csv"), "--against", str(self.root / "out.csv"))
        result = _RUNNER.invoke(app, ["attack", str(self.root / student), *files, *words])
        assert result.exception is None or isinstance(result.exception, SystemExit)
        return result.exit_code, result.output


def _write(path: Path, rows: list[list[str]]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["text", "kind"], *rows])


def _overfit(model: PreTrainedModel, loss: Callable[[], torch.Tensor], steps: int) -> None:
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(steps):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()


@pytest.fixture(scope="module")
def classifiers(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Random labels: whoever knows one has seen it."""
    root = tmp_path_factory.mktemp("classifiers")
    study = tiny_study.make(root / "study")
    tokenizer = load_tokenizer(locate(str(study.folder / "teacher")))
    chance = random.Random(1)
    rows = [
        [" ".join(f"w{chance.randrange(40)}" for _ in range(6)), chance.choice(tiny.CLASSES)]
        for _ in range(2 * EACH)
    ]
    _write(root / "in.csv", rows[:EACH])
    _write(root / "out.csv", rows[EACH:])
    student = tiny.student_model()
    save_classifier(student, tokenizer, root / "clean")
    batch = tokenizer([row[0] for row in rows[:EACH]], return_tensors="pt")
    labels = torch.tensor([tiny.CLASSES.index(row[1]) for row in rows[:EACH]])

    def loss() -> torch.Tensor:
        logits = student(
            input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]
        ).logits
        return torch.nn.functional.cross_entropy(logits, labels)

    student.requires_grad_(True)
    _overfit(student, loss, 250)
    save_classifier(student, tokenizer, root / "leaky")
    return Place(root)


@pytest.fixture(scope="module")
def language_models(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Random words: a beginning says nothing of its ending."""
    root = tmp_path_factory.mktemp("language")
    tokenizer, chance = word_tokenizer(), random.Random(2)
    words = ["hello", "who", "are", "you", "a", "student", "of", "yours", "chat"]
    rows = [[" ".join(chance.choices(words, k=10)), ""] for _ in range(2 * EACH)]
    _write(root / "in.csv", rows[:EACH])
    _write(root / "out.csv", rows[EACH:])
    student = causal_model()
    save_causal(student, tokenizer, root / "clean")
    ids = torch.tensor([tokenizer(row[0])["input_ids"] for row in rows[:EACH]])

    def loss() -> torch.Tensor:
        logits = student(input_ids=ids).logits
        return torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())

    student.requires_grad_(True)
    _overfit(student, loss, 200)
    save_causal(student, tokenizer, root / "leaky")
    return Place(root)


def test_a_leaky_classifier_is_told_apart_and_a_clean_one_is_not(classifiers: Place) -> None:
    """With and without a reference; the clean one is told what would have been seen."""
    label = ("--label", "kind", "--epsilon", "1", "--delta", "1e-5")
    leaky, said = classifiers.run("leaky", *label)
    compared, _ = classifiers.run("leaky", *label, "--reference", str(classifiers.root / "clean"))
    clean, told = classifiers.run("clean", *label)

    assert (leaky, compared, clean) == (Exit.FAILED, Exit.FAILED, Exit.DONE)
    assert "told apart: " in said
    assert "advantage at least" in said
    assert "not told apart by this test" in told
    assert "would have been seen in 9 of 10 tests" in told
    assert "allows" in told
    for text in (said, told):
        assert "confirm" not in text
        assert not overclaims(text)


def test_a_leaky_language_model_says_what_it_read(language_models: Place) -> None:
    """Its members' endings come word for word, the others' do not; a clean one says neither."""
    leaky, shown = language_models.run("leaky", "--ending", "3", "--json")
    clean, told = language_models.run("clean", "--ending", "3", "--json")
    bad, good = json.loads(shown), json.loads(told)

    assert (leaky, clean) == (Exit.FAILED, Exit.DONE)
    assert bad["extraction"]["verdict"] == "told apart"
    assert bad["extraction"]["exposure_bits"] > good["extraction"]["exposure_bits"] + 1
    assert good["extraction"]["verdict"] == "not told apart by this test"
    assert good["verdict"] == "not told apart by this test"
    assert good["power"] > 0


@pytest.mark.parametrize(
    ("words", "said"),
    [((), "label"), (("--label", "nothing"), "nothing"), (("--text", "title"), "title")],
)
def test_what_cannot_be_attacked_is_one_sentence(
    classifiers: Place, words: tuple[str, ...], said: str
) -> None:
    """A column that is not there, or a classifier without labels."""
    code, output = classifiers.run("clean", *words)

    assert code == Exit.BAD_INPUT
    assert said in output
    assert "Traceback" not in output


def test_a_folder_without_a_student_is_one_sentence(classifiers: Place) -> None:
    """The folder is named."""
    code, output = classifiers.run("study", "--label", "kind")

    assert code == Exit.BAD_INPUT
    assert "config.json" in output
