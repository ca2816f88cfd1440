"""Plans follow from studies: weights, range, hashes, and the same plan each time."""

import dataclasses
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distillation.layout import Layout
from distillation.model_files import ModelFiles
from distillation.planning import PlannedArtifacts, capped_weights, make_plan, source_sha256
from distillation.study import Study
from privacy.charging import charge
from privacy.plan import TRAIN, Plan
from tests.simulations import tiny_study

_HASHES = [f"{number:064x}" for number in range(1, 7)]


def _artifacts() -> PlannedArtifacts:
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
    return make_plan(study, _artifacts())


def test_every_region_keeps_the_promise(study: Study, plan: Plan) -> None:
    """Slack included, no region is charged more than the study's ε."""
    for name in plan.cohort:
        assert charge(plan, name).epsilon <= study.privacy.epsilon


def test_the_same_study_makes_the_same_plan(study: Study, plan: Plan) -> None:
    """Whoever has study and artifacts can make the plan again and compare its hash."""
    assert make_plan(study, _artifacts()).hash == plan.hash


def test_another_artifact_is_another_plan(study: Study, plan: Plan) -> None:
    """The plan's hash covers what travels beside it."""
    other = ModelFiles(Path(), _HASHES[-1], _HASHES[-1])
    for changed in (
        dataclasses.replace(_artifacts(), public_data_sha256=_HASHES[-1]),
        dataclasses.replace(_artifacts(), code_sha256=_HASHES[-1]),
        dataclasses.replace(_artifacts(), teacher=other),
        dataclasses.replace(_artifacts(), student=other),
        dataclasses.replace(_artifacts(), layout=Layout((("head.bias", (3,)),))),
    ):
        assert make_plan(study, changed).hash != plan.hash


def test_the_range_covers_the_noise(study: Study, plan: Plan) -> None:
    """Eight standard deviations of a round's noise lie within the encoded range."""
    component = plan.regions[0].component(TRAIN)
    deviation = float(component.noise_multiplier * plan.clip_norm) * plan.local_steps**0.5
    batch = float(plan.regions[0].public_size * component.sample_rate)

    assert float(plan.sum.value_range) >= 8 * deviation / batch


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
