"""A study that gives no rate has one that its noise allows; every other rate stays as given."""

from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from distillation.errors import StudyError
from distillation.model_files import locate
from distillation.planning import make_plan, recipe_of
from distillation.step_size import (
    LOGIT_NOISE,
    LONGEST_STEP,
    Share,
    feature_length,
    follows_noise,
    learning_rate,
    weight_noise,
)
from distillation.students import save_classifier
from distillation.study import Study
from distillation.teacher import load_tokenizer
from privacy.plan import TRAIN, Plan
from tests.distillation import tiny
from tests.distillation.studies import SHORT, load
from tests.distillation.test_planning import artifacts
from tests.simulations import tiny_study

_NOISY = {"epsilon = 2.0": "epsilon = 0.2"}
_EDITS = {
    "a small ε": _NOISY,
    "a smaller one": {"epsilon = 2.0": "epsilon = 0.1"},
    "a large clip norm": _NOISY | {"delta = 1e-5": "delta = 1e-5\nclip_norm = 4.0"},
    "many rounds": _NOISY | {"rounds = 10": "rounds = 40\nlocal_steps = 3"},
    "large batches": _NOISY | {"sample_rate = 0.1": "sample_rate = 0.5"},
    "short features": _NOISY | {"layers = [0, 5]": "layers = [0, 5]\nfeature_scale = 2"},
    "unequal regions": _NOISY | {"public_size = 1800": "public_size = 5000"},
}


def _edited(edits: dict[str, str]) -> str:
    text = SHORT
    for old, new in edits.items():
        assert text.count(old) == 1
        text = text.replace(old, new)
    return text


def _shares(plan: Plan) -> list[Share]:
    return [
        Share(
            weight=float(region.weight),
            noise_multiplier=float(region.component(TRAIN).noise_multiplier),
            clip_norm=float(plan.clip_norm),
            batch=float(region.public_size * region.component(TRAIN).sample_rate),
        )
        for region in plan.regions
    ]


@pytest.mark.parametrize("name", _EDITS)
def test_the_plans_noise_moves_a_logit_by_the_same_whatever_the_study_says(
    tmp_path: Path, name: str
) -> None:
    """With the plan's own noise, weights and sizes; three digits of the rate are kept."""
    study = load(tmp_path, _edited(_EDITS[name]))
    plan, rate = make_plan(study, artifacts()), learning_rate(study)
    steps = plan.rounds * plan.local_steps
    length = float(study.student.feature_scale) ** 2 + 1
    moved = float(rate) * weight_noise(_shares(plan), steps=steps) * length**0.5

    assert follows_noise(study)
    assert moved == pytest.approx(LOGIT_NOISE, rel=0.01)
    assert moved <= LOGIT_NOISE
    assert len(rate.as_tuple().digits) <= 3
    assert recipe_of(study).optimizer.learning_rate == float(rate)


@pytest.mark.parametrize("clip_norm", ["0.5", "1.0", "3.0"])
def test_with_little_noise_a_steps_length_is_the_limit(tmp_path: Path, clip_norm: str) -> None:
    """A large ε would allow steps that overshoot."""
    clipped = f"delta = 1e-5\nclip_norm = {clip_norm}"
    edits = {"epsilon = 2.0": "epsilon = 8.0", "delta = 1e-5": clipped}
    study = load(tmp_path, _edited(edits))
    length = (float(study.student.feature_scale) ** 2 + 1) ** 0.5
    step = float(learning_rate(study)) * float(clip_norm) * length

    assert step == pytest.approx(LONGEST_STEP, rel=0.01)
    assert step <= LONGEST_STEP


def test_a_runs_noise_moves_a_logit_by_as_much_as_it_says() -> None:
    """Drawn step by step in four regions, the noise on a logit is what the formula says."""
    chance, steps, rate, width = np.random.default_rng(0), 12, 0.7, 64
    sizes = (100.0, 150.0, 200.0, 250.0)
    shares = [
        Share(weight=size / 700, noise_multiplier=3.0, clip_norm=0.5, batch=size / 2)
        for size in sizes
    ]
    feature = chance.standard_normal(width)
    feature *= 8 / np.linalg.norm(feature)
    moved = np.zeros((4000, width + 1))
    for one in shares:
        noise = chance.standard_normal((steps, *moved.shape)).sum(axis=0)
        moved -= rate * one.weight * one.noise_multiplier * one.clip_norm / one.batch * noise
    found = (moved @ np.append(feature, 1.0)).std()

    assert found == pytest.approx(rate * weight_noise(shares, steps=steps) * 65**0.5, rel=0.05)


@pytest.mark.parametrize(
    ("tables", "rate"),
    [
        ("[optimizer]\nlearning_rate = 0.25", "0.25"),
        ("[optimizer]\nmomentum = 0.5", "1"),
        ("[optimizer]\nserver_momentum = 0.5", "1"),
        ("[optimizer]\nserver_learning_rate = 0.5", "1"),
        ('[optimizer]\nserver = "adam"', "1"),
    ],
)
def test_other_studies_keep_their_rate(tmp_path: Path, tables: str, rate: str) -> None:
    """One that is given is taken; where steps are not plain the formula says nothing."""
    study = load(tmp_path, SHORT + tables)

    assert not follows_noise(study)
    assert learning_rate(study) == Decimal(rate)


@pytest.mark.parametrize("train", ["norms", "lora", "last"])
def test_more_than_a_head_keeps_its_rate(tmp_path: Path, train: str) -> None:
    """The formula is a linear head's."""
    study = load(tmp_path, _edited({"layers = [0, 5]": f'layers = [0, 5]\ntrain = "{train}"'}))

    assert not follows_noise(study)
    assert learning_rate(study) == 1


def test_a_student_that_goes_on_has_the_features_that_it_has(tmp_path: Path) -> None:
    """The released student's own length, which the new study cannot name."""
    made = tiny_study.make(tmp_path)
    first = Study.load(made.file)
    tokenizer = load_tokenizer(locate(str(made.folder / "teacher")))
    save_classifier(tiny.student_model(), tokenizer, made.folder / "first" / "student")
    (made.folder / "first" / "plan.json").write_bytes(make_plan(first, artifacts()).to_bytes())
    made.edit("layers = [0, 2]", 'from = "first"')
    further = Study.load(made.file)
    usual = float(first.student.feature_scale), float(tiny.student_model().config.feature_scale)

    assert (feature_length(first), feature_length(further)) == usual
    assert usual[0] != usual[1]
    assert learning_rate(first) != learning_rate(further)
    made.edit('from = "first"', 'from = "first"\nfeature_scale = 2')
    with pytest.raises(StudyError, match="keeps its own"):
        Study.load(made.file)
