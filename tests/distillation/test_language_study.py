"""The study file of a language model: what it may say, and what a classifier's study may not."""

import re
from pathlib import Path

import pytest

from distillation.errors import StudyError
from distillation.kinds import Task, Template, Train
from distillation.planning import recipe_of
from distillation.study import Study
from tests.simulations import tiny_language_study

_STUDIES = sorted((Path(__file__).parents[2] / "studies").glob("*.toml"))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a language study; its data are not read here."""
    return tiny_language_study.make(tmp_path).file


def test_a_language_study_says_its_recipe(file: Path) -> None:
    """Task, trained set, rank and k are what the regions' recipe says."""
    recipe = recipe_of(Study.load(file))

    assert (recipe.task, recipe.train) == (Task.LANGUAGE_MODEL, Train.LORA)
    assert (recipe.rank, recipe.trained_layers, recipe.top_k) == (2, 1, 8)
    assert recipe.template == ""


def test_a_language_study_of_chats_says_so(file: Path) -> None:
    """The template is in the recipe, so in the plan and in the key of every cached label."""
    file.write_text(file.read_text().replace("max_tokens", 'template = "chat"\nmax_tokens'))

    assert recipe_of(Study.load(file)).template == Template.CHAT


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('train = "lora"', 'train = "head"', "expected lora or last or norms for the task"),
        ('region = "region"', 'region = "region"\nlabel = "kind"', "[data.private] label"),
        ('"test.csv"', '"test.csv"\nlabel = "kind"', "[data.test] label"),
        ("soft = 1.0", 'more = [{term = "brier", weight = 1}]', "[objective] more"),
        ("rank = 2", "rank = 0", "rank: expected a number >= 1"),
        ("rank = 2", "trained_layers = 3", "at most the student's 2 layers"),
        ("top_k = 8", "top_k = 0", "top_k: expected a number >= 1"),
        ('"adam"', '"adagrad"', "expected one of sgd, adam"),
        ("average = 2", "average = 0", "average: expected a number >= 1"),
        ("[warm_up]", "[warm_up]\ngenerated = 5", "[warm_up] generated: mixtures of words"),
    ],
)
def test_what_is_wrong_with_a_language_study_is_said(
    file: Path, old: str, new: str, words: str
) -> None:
    """Each mistake is refused with its place and what was expected."""
    text = file.read_text()
    assert text.count(old) == 1
    file.write_text(text.replace(old, new))
    with pytest.raises(StudyError, match=re.escape(words)):
        Study.load(file)


@pytest.mark.parametrize("path", _STUDIES, ids=lambda path: path.stem)
def test_every_study_of_the_repository_is_valid(path: Path) -> None:
    """What is shipped as an example loads."""
    assert Study.load(path).study.name
