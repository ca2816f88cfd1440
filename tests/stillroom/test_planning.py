"""``stillroom plan``: what a steward reads before approving, for people and as JSON."""

import json
from pathlib import Path

import pytest

from distillation.step_size import learning_rate
from distillation.study import Study
from privacy.charging import charge
from privacy.plan import TRAIN, Plan
from stillroom.planning import write_plan
from tests.simulations import tiny_study


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_study.make(tmp_path_factory.mktemp("study")).file


def test_the_plan_is_written_and_its_costs_are_said(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every region's ε, noise and size as they stand in the file, and the rate of its steps."""
    target = tmp_path / "run" / "plan.json"
    write_plan(study, target, as_json=True)
    said, plan = json.loads(capsys.readouterr().out), Plan.from_bytes(target.read_bytes())
    noise = {region.name: region.component(TRAIN).noise_multiplier for region in plan.regions}

    assert said["plan"] == plan.hash
    assert said["learning_rate"] == f"{learning_rate(Study.load(study)):f}"
    for row in said["regions"]:
        assert row["epsilon"] == f"{charge(plan, row['region']).epsilon:f}"
        assert row["noise_multiplier"] == f"{noise[row['region']]:f}"
    assert {row["region"] for row in said["regions"]} == set(plan.cohort)


@pytest.mark.parametrize(
    ("optimizer", "words"),
    [("", ", as the noise allows"), ("[optimizer]\nlearning_rate = 0.25\n", "rate 0.25")],
)
def test_people_read_whose_choice_the_rate_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], optimizer: str, words: str
) -> None:
    """One that a study gives is not said to come from the noise."""
    made = tiny_study.make(tmp_path)
    made.edit("[warm_up]", f"{optimizer}[warm_up]")
    write_plan(made.file, tmp_path / "run" / "plan.json", as_json=False)
    said = capsys.readouterr().out

    assert words in said
    assert ("as the noise allows" in said) == (not optimizer)
