"""Plans follow from studies: weights, range, hashes, and the same plan each time."""

import dataclasses
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from client.training import step_terms
from distillation.aggregate import Squares
from distillation.dp.trainer import train_privately
from distillation.kinds import ServerRule, Train
from distillation.layout import Layout
from distillation.model_files import ModelFiles
from distillation.objectives import Weighted
from distillation.objectives.reverse import ReverseKl
from distillation.plan_terms import optimizer_of
from distillation.planning import (
    PlannedArtifacts,
    make_plan,
    recipe_of,
    source_sha256,
)
from distillation.region_weights import capped_weights
from distillation.step_size import learning_rate
from distillation.study import Study, TermTable
from privacy.charging import charge
from privacy.errors import PlanRefusedError
from privacy.lineage import TeacherLineage
from privacy.noise import SecureStream
from privacy.plan import TRAIN, OptimizerName, OptimizerTerms, Plan
from tests.simulations import tiny_study

_HASHES = [f"{number:064x}" for number in range(1, 7)]


def artifacts() -> PlannedArtifacts:
    teacher, tokenizer, student, public, code, _ = _HASHES
    return PlannedArtifacts(
        teacher=ModelFiles(Path(), teacher, tokenizer),
        student=ModelFiles(Path(), student, tokenizer),
        layout=Layout((("head.bias", (3,)), ("head.weight", (3, 16)))),
        public_data_sha256=public,
        code_sha256=code,
    )


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return Study.load(tiny_study.make(tmp_path_factory.mktemp("study")).file)


@pytest.fixture(scope="module")
def plan(study: Study) -> Plan:
    return make_plan(study, artifacts())


def test_every_region_keeps_the_promise(study: Study, plan: Plan) -> None:
    """Slack included, no region is charged more than the study's ε."""
    for name in plan.cohort:
        assert charge(plan, name).epsilon <= study.privacy.epsilon


def test_the_same_study_makes_the_same_plan(study: Study, plan: Plan) -> None:
    """Whoever has study and artifacts can make the plan again and compare its hash."""
    assert make_plan(study, artifacts()).hash == plan.hash


def test_the_plan_says_how_the_server_moves_the_student(study: Study, plan: Plan) -> None:
    """Adam's constants and the mean are in the plan, read back, and are what both sides use."""
    optimizer = dataclasses.replace(
        study.optimizer, server=ServerRule.ADAM, server_momentum=Decimal("0.9"), average=3
    )
    other = make_plan(dataclasses.replace(study, optimizer=optimizer), artifacts())
    used = optimizer_of(Plan.from_bytes(other.to_bytes()))

    assert other.optimizer.name is OptimizerName.AVERAGED_ADAM
    assert (used.momentum, used.squares, used.average) == (0.9, Squares(0.99, 0.001), 3)
    assert other.hash != plan.hash
    assert "average" not in plan.optimizer.to_json()
    assert optimizer_of(plan).squares is None


@pytest.mark.parametrize(
    ("name", "constants"),
    [
        (OptimizerName.SGD, {"average": 2}),
        (OptimizerName.SGD, {"adaptivity": Decimal(1)}),
        (OptimizerName.ADAM, {}),
        (OptimizerName.ADAM, {"second_momentum": Decimal(1), "adaptivity": Decimal(1)}),
        (OptimizerName.ADAM, {"second_momentum": Decimal(0), "adaptivity": Decimal(0)}),
        (OptimizerName.AVERAGED_SGD, {}),
        (OptimizerName.AVERAGED_SGD, {"average": 0}),
    ],
)
def test_a_rule_has_its_own_constants_and_no_others(
    name: OptimizerName, constants: dict[str, Decimal]
) -> None:
    """A rule without its constants, or with another's, is refused: nothing is assumed."""
    with pytest.raises(PlanRefusedError):
        OptimizerTerms(name, Decimal(1), Decimal(0), **constants)  # type: ignore[arg-type]


def test_further_terms_are_in_the_recipe_and_so_in_the_plan(study: Study, plan: Plan) -> None:
    """A term of the study is built from the registry, weighted, and covered by the plan's hash."""
    term = TermTable(term="reverse", weight=Decimal("0.25"), temperature=Decimal(3))
    more = dataclasses.replace(study, objective=dataclasses.replace(study.objective, more=(term,)))
    recipe = recipe_of(more)

    assert recipe.objective.more == (Weighted(0.25, ReverseKl(temperature=3.0)),)
    assert make_plan(more, artifacts()).artifacts.recipe == recipe.hash != plan.artifacts.recipe


def test_another_artifact_is_another_plan(study: Study, plan: Plan) -> None:
    """The plan's hash covers what travels beside it."""
    other = ModelFiles(Path(), _HASHES[-1], _HASHES[-1])
    for changed in (
        dataclasses.replace(artifacts(), public_data_sha256=_HASHES[-1]),
        dataclasses.replace(artifacts(), code_sha256=_HASHES[-1]),
        dataclasses.replace(artifacts(), teacher=other),
        dataclasses.replace(artifacts(), teacher=ModelFiles(Path(), _HASHES[0], _HASHES[-1])),
        dataclasses.replace(artifacts(), student=other),
        dataclasses.replace(artifacts(), layout=Layout((("head.bias", (3,)),))),
    ):
        assert make_plan(study, changed).hash != plan.hash


def test_the_range_covers_the_noise(study: Study, plan: Plan) -> None:
    """Eight standard deviations of a round's noise lie within the encoded range."""
    component = plan.regions[0].component(TRAIN)
    deviation = float(component.noise_multiplier * plan.clip_norm) * plan.local_steps**0.5
    batch = float(plan.regions[0].public_size * component.sample_rate)

    assert float(plan.sum.value_range) >= 8 * float(learning_rate(study)) * deviation / batch


@pytest.mark.slow
@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("study", {"name": "another"}),
        ("privacy", {"epsilon": Decimal("2.5")}),
        ("privacy", {"delta": Decimal("0.0005")}),
        ("privacy", {"clip_norm": Decimal("0.5")}),
        ("federation", {"rounds": 4}),
        ("federation", {"local_steps": 1}),
        ("federation", {"sample_rate": Fraction(1, 4)}),
        ("federation", {"bits": 16}),
        ("optimizer", {"learning_rate": Decimal("0.125")}),
        ("optimizer", {"momentum": Decimal("0.5")}),
        ("optimizer", {"server_learning_rate": Decimal("0.5")}),
        ("optimizer", {"server_momentum": Decimal("0.5")}),
        ("objective", {"temperature": Decimal("3.5")}),
        ("objective", {"label": Decimal("0.25")}),
        ("teacher", {"max_tokens": 17}),
        ("teacher", {"population": "the vendor's customers"}),
        ("teacher", {"lineage": TeacherLineage.EXTERNAL_PRIVATE, "population": "customers"}),
        ("student", {"train": Train.LAST}),
    ],
)
def test_another_choice_is_another_plan(
    study: Study, plan: Plan, table: str, change: dict[str, object]
) -> None:
    """What a steward approves covers every choice that training or privacy rests on."""
    edited = dataclasses.replace(getattr(study, table), **change)
    other = make_plan(dataclasses.replace(study, **{table: edited}), artifacts())

    assert other.hash != plan.hash
    assert Plan.from_bytes(other.to_bytes()) == other


def test_a_plan_does_not_depend_on_the_order_of_the_regions(study: Study, plan: Plan) -> None:
    """Two people who list the same regions in another order make the same plan."""
    turned = dataclasses.replace(study, regions=dict(sorted(study.regions.items(), reverse=True)))

    assert make_plan(turned, artifacts()).hash == plan.hash


@pytest.mark.parametrize("momentum", ["0", "0.9"])
def test_no_noise_of_any_region_is_cut_off(study: Study, momentum: str) -> None:
    """Also of the smallest region, over several steps with momentum: the range holds it all."""
    regions = {
        name: dataclasses.replace(region, public_size=size)
        for (name, region), size in zip(study.regions.items(), (20, 40, 80, 160, 320), strict=True)
    }
    optimizer = dataclasses.replace(study.optimizer, momentum=Decimal(momentum))
    other = dataclasses.replace(study, regions=regions, optimizer=optimizer)
    plan, recipe = make_plan(other, artifacts()), recipe_of(other)
    reach = float(plan.sum.value_range)
    for name in plan.cohort:
        module = torch.nn.Linear(1, 2000)
        delta = train_privately(
            module,
            lambda net, rows: net(torch.zeros(len(rows), 1)).sum(dim=1),
            records=0,
            steps=plan.local_steps,
            terms=step_terms(plan, name),
            optimizer=recipe.optimizer,
            stream=SecureStream(),
        )
        assert max(float(change.abs().max()) for change in delta.values()) < reach


@given(sizes=st.lists(st.integers(1, 10_000), min_size=3, max_size=12))
def test_weights_are_capped_shares(sizes: list[int]) -> None:
    """They add up to one, keep the order of the sizes, and none is above the cap."""
    named = {f"r{number}": size for number, size in enumerate(sizes)}
    weights = capped_weights(named)
    cap = max(Fraction(1, 4 if len(sizes) > 4 else 2), Fraction(1, len(sizes)))

    assert sum(weights.values()) == 1
    assert max(weights.values()) <= cap
    assert all(
        weights[a] <= weights[b] for a in named for b in named if named[a] <= named[b]
    )  # fmt: skip


def test_the_codes_hash_sees_every_change(tmp_path: Path) -> None:
    """Another byte, another name, another package: another identity."""
    (tmp_path / "one.py").write_text("a = 1\n")
    first = source_sha256({"client": tmp_path})
    renamed = source_sha256({"server": tmp_path})
    (tmp_path / "one.py").write_text("a = 2\n")

    assert len({first, renamed, source_sha256({"client": tmp_path})}) == 3
