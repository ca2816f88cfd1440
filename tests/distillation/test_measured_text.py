"""A language test set in a report's terms: the same figures as token by token, by hand."""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from distillation.dp.trainer import LocalOptimizer
from distillation.kinds import Task, Train
from distillation.language.held_out import LanguageHeldOut, language_held_out
from distillation.language_kit import LanguageKit, TokenPart
from distillation.layout import Vector
from distillation.measured_text import MeasuredText
from distillation.model_files import locate
from distillation.objectives import Objective
from distillation.recipe import Recipe
from tests.distillation import tiny
from tests.simulations import tiny_language_study

_RECIPE = Recipe(
    task=Task.LANGUAGE_MODEL,
    train=Train.NORMS,
    max_tokens=12,
    objective=Objective(soft=1.0),
    optimizer=LocalOptimizer(learning_rate=0.5),
    trained_layers=1,
    top_k=tiny.VOCABULARY,
)


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> LanguageHeldOut:
    """Return seven records, on the last layer of a student that is its teacher."""
    folder: Path = tmp_path_factory.mktemp("teacher")
    tiny_language_study.write_teacher(folder)
    kit, tokens = LanguageKit(), tiny.tokens(7, longest=12)
    teacher = kit.load_teacher(locate(str(folder)))
    marks = teacher.causal.mark(tokens, k=_RECIPE.top_k)
    return language_held_out(TokenPart(teacher.model, _RECIPE), tokens, marks)


@pytest.fixture(scope="module")
def weights(text: LanguageHeldOut) -> Vector:
    """Return a student that is not its teacher."""
    start = text.part.vector()
    moved: Vector = start + torch.linspace(-0.5, 0.5, len(start)).numpy()
    return moved


def _probabilities(text: LanguageHeldOut, weights: Vector) -> tuple[Tensor, Tensor]:
    """Return the student's probabilities and the next tokens, where they count."""
    text.part.load(weights)
    with torch.no_grad():
        logits = text.part.logits(text.part.module, text.inputs)
    own = text.targets.mask
    return logits[own].double().softmax(dim=-1), text.targets.reference[own]


def test_every_figure_is_that_of_the_whole_distribution(
    text: LanguageHeldOut, weights: Vector
) -> None:
    """Accuracy, likelihood and Brier score, token by token from whole logits."""
    quality = MeasuredText(text).quality(weights)
    probs, following = _probabilities(text, weights)
    named = probs.gather(1, following[:, None])[:, 0]
    brier = probs.square().sum(dim=1) - 2 * named + 1

    assert quality.accuracy == pytest.approx((probs.argmax(1) == following).double().mean().item())
    assert quality.nll == pytest.approx(-named.log().mean().item(), abs=1e-5)
    assert quality.brier == pytest.approx(brier.mean().item(), abs=1e-5)
    assert quality.perplexity == pytest.approx(math.exp(quality.nll))


def test_the_text_itself_measures_the_same(text: LanguageHeldOut, weights: Vector) -> None:
    """Where both have a figure, it is one figure; the divergence is asked of the text."""
    mine, its = MeasuredText(text).quality(weights), text.quality(weights)

    assert mine.accuracy == pytest.approx(its.accuracy)
    assert mine.agreement == pytest.approx(its.agreement)
    assert mine.perplexity == pytest.approx(its.perplexity, rel=1e-5)
    assert MeasuredText(text).divergence(weights) == pytest.approx(its.teacher_kl)


def test_a_student_that_is_its_teacher_measures_as_its_teacher(text: LanguageHeldOut) -> None:
    """With k the whole vocabulary, all figures but rounding are the same, and all choices agree."""
    measured, start = MeasuredText(text), text.part.student
    fresh = LanguageKit().part(start, _RECIPE).vector()
    student, teacher = measured.quality(fresh), measured.teacher_quality()

    assert student.agreement == teacher.agreement == 1
    assert student.to_dict() == pytest.approx(teacher.to_dict(), abs=1e-4)
