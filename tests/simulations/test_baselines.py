"""The researcher's arms do what their descriptions say, on the same start and records."""

import math
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import torch

from client.training import step_terms
from distillation.aggregate import ServerOptimizer
from distillation.planning import recipe_of
from distillation.recipe import at_rate
from distillation.step_size import feature_length, fitting_rate
from distillation.workbench import Workbench
from privacy.report.parts import ArmName
from simulations.baselines import Arm, final_quality, labelled_only, noise, resized, trajectory
from simulations.comparisons import arms_of, compare
from simulations.study_data import StudyData
from simulations.vendor import _logistic_regression, _roman
from tests.client import region_builder
from tests.client.region_builder import World

_PRIVATE = (ArmName.DISTILLED, ArmName.WITHOUT_TEACHER)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = region_builder.make(tmp_path_factory.mktemp("world"))
    world.approve_all()
    return world


@pytest.fixture(scope="module")
def benches(world: World) -> dict[str, Workbench]:
    with region_builder.handlers(world) as opened:
        return {name: handler._training.bench for name, handler in opened.items()}


def _arm(world: World, benches: dict[str, Workbench]) -> Arm:
    plan = world.plan
    return Arm(
        recipe=recipe_of(world.study),
        benches=benches,
        weights={region.name: region.weight for region in plan.regions},
        terms=None,
        rounds=2,
        local_steps=1,
        server=ServerOptimizer(),
    )


def test_an_arm_has_weights_before_and_after_each_round(
    world: World, benches: dict[str, Workbench]
) -> None:
    """The first ones are the common start, which is not changed; each round moves them."""
    prepared, before = world.prepared, world.prepared.start.copy()
    path = list(trajectory(_arm(world, benches), prepared.part, prepared.start))

    assert len(path) == 3
    assert all((path[i] == before).all() == (i == 0) for i in range(3))
    assert (prepared.start == before).all()


def test_less_noise_moves_a_run_less(world: World, benches: dict[str, Workbench]) -> None:
    """In proportion to noise and clip norm, to the root of the steps, and against the records."""
    terms = {name: step_terms(world.plan, name) for name in benches}
    arm = replace(_arm(world, benches), terms=terms)
    first = noise(arm)
    twice = {name: replace(one, clip_norm=2 * one.clip_norm) for name, one in terms.items()}
    halved = {name: resized(one, one.public_size // 2) for name, one in terms.items()}

    assert all(one.public_size % 2 == 0 for one in terms.values())
    assert noise(replace(arm, terms=twice)) == pytest.approx(2 * first)
    assert noise(replace(arm, terms=halved)) == pytest.approx(2 * first)
    assert noise(replace(arm, rounds=4 * arm.rounds)) == pytest.approx(2 * first)
    with pytest.raises(ValueError, match="without privacy"):
        noise(replace(arm, terms=None))


def test_without_noise_and_clipping_both_ways_of_training_agree(
    world: World, benches: dict[str, Workbench]
) -> None:
    """The private trainer, with its privacy turned off by hand, is the plain one."""
    prepared, plain = world.prepared, _arm(world, benches)
    terms = {
        name: replace(
            step_terms(world.plan, name),
            noise_multiplier=Decimal("1e-12"),
            clip_norm=Decimal(10**6),
            sample_rate=Fraction(1),
            public_size=len(bench),
        )
        for name, bench in benches.items()
    }
    private = replace(plain, terms=terms)
    ends = [
        final_quality(arm, prepared.part, prepared.start, prepared.test) for arm in (plain, private)
    ]

    assert ends[0].nll == pytest.approx(ends[1].nll, abs=1e-4)
    assert ends[0].brier == pytest.approx(ends[1].brier, abs=1e-4)


def test_noise_moves_a_run_as_far_as_its_rate_promises(
    world: World, benches: dict[str, Workbench]
) -> None:
    """Where noise is all there is, the real trainer moves each weight by as much as was said."""
    terms = {
        name: replace(step_terms(world.plan, name), noise_multiplier=Decimal(10**4))
        for name in benches
    }
    arm = replace(_arm(world, benches), terms=terms, rounds=3, local_steps=2)
    arm = replace(arm, recipe=at_rate(arm.recipe, 1e-3))
    ends = [list(trajectory(arm, world.prepared.part, world.prepared.start))[-1] for _ in range(20)]
    moved = np.concatenate([end - world.prepared.start for end in ends])

    assert moved.std() == pytest.approx(1e-3 * noise(arm), rel=0.1)


@pytest.mark.parametrize(
    ("tables", "rates"),
    [
        ({}, {ArmName.NO_PRIVACY: 1.0}),
        (
            {"learning_rate": Decimal("0.5")},
            dict.fromkeys(_PRIVATE, 0.5) | {ArmName.NO_PRIVACY: 0.25},
        ),
        ({"label_learning_rate": Decimal("0.2")}, {ArmName.WITHOUT_TEACHER: 0.2}),
    ],
)
def test_every_arm_has_the_rate_that_its_noise_allows_or_the_study_gives(
    world: World,
    benches: dict[str, Workbench],
    tables: dict[str, Decimal],
    rates: dict[ArmName, float],
) -> None:
    """A given rate is everybody's; without one each private arm has that of its own noise."""
    said, labels = tables.get("learning_rate"), tables.get("label_learning_rate")
    study = replace(
        world.study,
        optimizer=replace(world.study.optimizer, learning_rate=said),
        baselines=replace(world.study.baselines, label_learning_rate=labels),
    )
    arms = arms_of(study, StudyData.read(study), world.prepared, benches)
    found = {name: one.arm.recipe.optimizer.learning_rate for name, one in arms.items()}

    assert {name: found[name] for name in rates} == rates
    for name in _PRIVATE:
        if said is None and name not in rates:
            arm, length = arms[name].arm, feature_length(study)
            clip_norm = float(study.privacy.clip_norm)
            fits = fitting_rate(noise(arm), clip_norm=clip_norm, feature_length=length)
            assert found[name] == float(fits)
    assert found[ArmName.HARD_LABELS] == found[ArmName.ALL_TRUE_LABELS] == found[ArmName.DISTILLED]
    if not tables:
        assert found[ArmName.WITHOUT_TEACHER] < found[ArmName.DISTILLED]


def test_the_labelled_records_are_those_with_a_label(benches: dict[str, Workbench]) -> None:
    """Rows keep their order, and a resized mechanism changes nothing but the size."""
    for bench in benches.values():
        some = labelled_only(bench)
        own = [int(n) for n in bench.targets.reference[:, 0] if n >= 0]
        assert some.targets.reference[:, 0].tolist() == own


def test_a_resized_mechanism_costs_the_same(world: World) -> None:
    """Sample rate, noise and clip norm stay; only the divisor follows the records."""
    terms = step_terms(world.plan, "a")

    assert resized(terms, 3) == replace(terms, public_size=3)
    assert resized(terms, 3).batch_constant == 3 * float(terms.sample_rate)


def test_every_comparison_is_there_once_and_in_order(
    world: World, benches: dict[str, Workbench]
) -> None:
    """The teacher first; arms with noise state the plan's ε, the others none."""
    data, shares = StudyData.read(world.study), list[float]()
    released = world.prepared.test.quality(world.prepared.start)
    compared = compare(world.study, data, world.prepared, benches, released, shares.append)
    arms = compared.arms
    priced = {arm.name for arm in arms if arm.epsilon is not None}

    assert [arm.name for arm in arms] == [
        *(ArmName.TEACHER, ArmName.DISTILLED, ArmName.PUBLIC_ONLY, ArmName.WITHOUT_TEACHER),
        *(ArmName.HARD_LABELS, ArmName.NO_PRIVACY, ArmName.ALL_TRUE_LABELS),
    ]
    assert priced == {arm.name for arm in arms} - {
        *(ArmName.TEACHER, ArmName.PUBLIC_ONLY, ArmName.NO_PRIVACY)
    }
    assert shares == sorted(shares)


def test_a_region_without_any_label_takes_no_part_in_an_unfair_comparison(
    world: World, benches: dict[str, Workbench]
) -> None:
    """Then there is no arm without the teacher; nor one with all labels where none are given."""
    data = replace(StudyData.read(world.study), all_labels=None)
    bare = benches["a"].targets
    targets = replace(bare, reference=torch.full_like(bare.reference, -1))
    some = {**benches, "a": replace(benches["a"], targets=targets)}
    released = world.prepared.test.quality(world.prepared.start)
    arms = compare(world.study, data, world.prepared, some, released, lambda share: None).arms

    assert not {ArmName.WITHOUT_TEACHER, ArmName.ALL_TRUE_LABELS} & {arm.name for arm in arms}


def test_the_vendors_regression_is_at_its_optimum() -> None:
    """At the fitted weights the gradient of the stated objective is zero."""
    features = torch.from_numpy(np.random.default_rng(0).normal(size=(30, 4))).float()
    target = torch.arange(30) % 3
    weight, bias = (p.double().requires_grad_() for p in _logistic_regression(features, target, 3))
    logits = features.double() @ weight.T + bias
    fit = torch.nn.functional.cross_entropy(logits, target, reduction="sum")
    (10 * fit + 0.5 * weight.square().sum()).backward()

    for p in (weight, bias):
        assert p.grad is not None
        assert float(p.grad.abs().max()) < 1e-3 * math.sqrt(p.numel())


def test_chapters_are_sorted_as_people_count() -> None:
    """Roman numerals by their value, other names before them by letter."""
    names = ["XXI", "IX", "other", "IV", "V", "X", "I", "XIV", "XIX", "another"]

    assert sorted(names, key=_roman) == [
        *("another", "other", "I", "IV", "V", "IX", "X", "XIV", "XIX", "XXI")
    ]
