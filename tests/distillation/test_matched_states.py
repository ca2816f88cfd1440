"""Hidden states are matched privately: per record, clipped exactly, and the teacher's are kept."""

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from torch import Tensor

from distillation.classification_kit import ClassificationKit
from distillation.dp.clipping import Clipping, wrap
from distillation.dp.conformance import check_trainer
from distillation.dp.trainer import LocalOptimizer
from distillation.errors import TrainingError
from distillation.kinds import Task, Train
from distillation.kit import Labelling
from distillation.labels import LabelCache, LabelSource
from distillation.objectives import Objective, Targets, Weighted
from distillation.objectives.features import FeatureCosine, FeatureDistance
from distillation.objectives.values import Term
from distillation.recipe import Recipe
from distillation.records import Records
from distillation.teacher import Answers, ClassifierTeacher
from distillation.tokens import Tokens
from distillation.trained_part import TrainedPart
from distillation.workbench import Workbench
from privacy.noise import SecureStream
from tests.distillation import tiny
from tests.distillation.test_private_training import _optimizer, _terms

_TERMS: dict[str, Term] = {"cosine": FeatureCosine(), "distance": FeatureDistance()}


def _recipe(name: str, *, soft: float = 1.0) -> Recipe:
    return Recipe(
        task=Task.CLASSIFICATION,
        train=Train.LAST,
        max_tokens=32,
        objective=Objective(soft=soft, temperature=2.0, more=(Weighted(3.0, _TERMS[name]),)),
        optimizer=LocalOptimizer(learning_rate=0.5),
    )


def _records(count: int) -> Records:
    return Records(
        ids=tuple(f"r:{row}" for row in range(count)),
        texts=tuple(f"text {row}" for row in range(count)),
        labels=(None,) * count,
        units=tuple(str(row) for row in range(count)),
        regions=("a",) * count,
    )


class _Counting(ClassifierTeacher):
    """A teacher that remembers how many records it was asked about."""

    asked = 0

    def answer(self, tokens: Tokens, *rest: object) -> Answers:
        self.asked += len(tokens)
        return super().answer(tokens)


@pytest.fixture
def labelling(tmp_path: Path) -> Iterator[Labelling]:
    path = tmp_path / "labels.db"
    with LabelCache(path, secret=bytes(32), clock=lambda: 0, retention_s=10) as cache:
        source = LabelSource("t" * 64, "v" * 64, "", ClassificationKit().form(_recipe("cosine")))
        yield Labelling(cache, source)


def _bench(labelling: Labelling, recipe: Recipe, count: int = 9) -> tuple[Workbench, _Counting]:
    """Return the records as a region has them, asked twice, and the teacher."""
    teacher, tokens = _Counting(tiny.teacher_model(seed=5)), tiny.tokens(count)
    kit, part = ClassificationKit(), tiny.part(Train.LAST)
    inputs = part.inputs(tokens)
    for _ in range(2):
        found = kit.targets(
            teacher,
            tokens,
            _records(count),
            recipe,
            labelling,
            positions=inputs.mask.shape[1],
        )
    return Workbench(inputs, found), teacher


def test_the_teachers_states_are_kept_with_its_distributions(labelling: Labelling) -> None:
    """One box holds both, bit by bit; a second start asks for neither."""
    bench, teacher = _bench(labelling, _recipe("cosine"))
    assert teacher.asked == 9
    said = teacher.answer(tiny.tokens(9))

    assert torch.equal(bench.classes.log_probs, said.log_probs)
    assert torch.equal(bench.classes.features[0], said.features.unsqueeze(1))


def test_labels_with_states_have_a_form_of_their_own() -> None:
    """A cache that holds distributions alone is not taken for one that holds states too."""
    plain = Objective(soft=1.0)
    recipe = _recipe("cosine")

    assert not plain.matches_states
    assert recipe.objective.matches_states
    assert recipe.objective.without_states() == Objective(soft=1.0, temperature=2.0)
    assert _recipe("cosine", soft=0.0).objective.without_states().soft == 1.0
    assert ClassificationKit().form(recipe) == "distribution and pooled state"


@pytest.mark.parametrize("clipping", Clipping)
@pytest.mark.parametrize("name", _TERMS)
def test_per_record_gradients_equal_brute_force(
    labelling: Labelling, name: str, clipping: Clipping
) -> None:
    """With either term: what one record at a time gives, and not what soft labels give alone."""
    recipe = _recipe(name)
    (bench, _), part = _bench(labelling, recipe), tiny.part(Train.LAST)
    expected, soft = (_one_at_a_time(bench, part, each) for each in (recipe, _soft_alone(recipe)))
    wrapped = wrap(part.module, clipping)
    bench.losses(part, wrapped, torch.arange(9), recipe).sum().backward()

    for index, found in enumerate(_optimizer(part.module).grad_samples):
        torch.testing.assert_close(found, expected[index], rtol=1e-4, atol=1e-7)
    apart = [(a - b).norm() / b.norm() for a, b in zip(expected, soft, strict=True) if b.any()]
    assert max(map(float, apart)) > 0.1


def _soft_alone(recipe: Recipe) -> Recipe:
    return replace(recipe, objective=recipe.objective.without_states())


def _one_at_a_time(bench: Workbench, part: TrainedPart, recipe: Recipe) -> list[Tensor]:
    """Return each tensor's gradients, (9, …)."""
    rows = []
    for row in range(9):
        loss = bench.losses(part, part.module, torch.tensor([row]), recipe).sum()
        rows.append(torch.autograd.grad(loss, list(part.module.parameters())))
    return [torch.stack(of_one) for of_one in zip(*rows, strict=True)]


@pytest.mark.parametrize("name", _TERMS)
def test_private_steps_bring_the_states_nearer(labelling: Labelling, name: str) -> None:
    """Clipped sums of everybody, with next to no noise: the term that is trained on falls."""
    recipe = _recipe(name)
    (bench, _), part = _bench(labelling, recipe), tiny.part(Train.LAST)
    alone = replace(recipe, objective=Objective(more=recipe.objective.more))
    rows, start = torch.arange(9), part.vector()
    before = bench.losses(part, part.module, rows, alone).mean().item()
    terms = _terms(noise_multiplier=Decimal("1e-6"), sample_rate=Fraction(1), public_size=9)
    delta = bench.private_update(part, start, recipe, steps=20, terms=terms, stream=SecureStream())
    part.load(start + delta)

    assert bench.losses(part, part.module, rows, alone).mean().item() < 0.9 * before


def test_a_head_alone_has_no_states_to_match(labelling: Labelling) -> None:
    """It changes none: the loss refuses, as the study does."""
    recipe = _recipe("cosine")
    (bench, _), part = _bench(labelling, recipe), tiny.part(Train.HEAD)
    heads = Workbench(part.inputs(tiny.tokens(9)), bench.targets)
    with pytest.raises(TrainingError, match="in pairs of one shape"):
        heads.losses(part, part.module, torch.arange(9), recipe)


def test_records_with_and_without_states_do_not_join() -> None:
    """Else a part of them would be compared with nothing."""
    one = Targets.of_classes(torch.zeros(2, 3).log_softmax(-1), torch.tensor([0, 1]))
    other = replace(one, features=(torch.ones(2, 1, 16),))
    with pytest.raises(TrainingError, match="same hidden states"):
        one.joined(other)
    assert len(other.joined(other).features[0]) == 4


@pytest.mark.slow
def test_the_self_test_passes_with_matched_states() -> None:
    """A region's check of its trainer makes up states too."""
    part, teacher = tiny.part(Train.LAST), tiny.teacher_model(seed=5)
    found = check_trainer(part, _recipe("cosine"), _terms(), teacher=ClassifierTeacher(teacher))

    assert found.passed, found
