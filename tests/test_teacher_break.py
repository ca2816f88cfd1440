"""The demonstration that a region-private teacher breaks the claim, in its quick form."""

import importlib
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

BENCH = Path(__file__).parents[1] / "bench"


@pytest.fixture
def teacher_break(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return the bench, which is a script beside its helpers and no package."""
    monkeypatch.syspath_prepend(BENCH)
    return importlib.import_module("teacher_break")


@pytest.mark.slow
def test_a_region_private_teacher_breaks_the_claim_and_a_public_one_does_not(
    teacher_break: ModuleType,
) -> None:
    """Same trainer, noise and records: only what the teacher was fitted on differs."""
    figures = json.loads(json.dumps(teacher_break.figures(80)))
    public, private = (figures["teachers"][kind] for kind in ("public", "region-private"))

    assert private["epsilon_lower"] > figures["claim"]["epsilon"] == 1.0
    assert public["epsilon_lower"] <= figures["claim"]["epsilon"]
    assert private["cap"] > figures["claim"]["epsilon"]
    assert public["admission"] == "admitted"
    assert "change every label" in private["admission"]


@pytest.mark.parametrize(
    ("missed", "false_alarms", "runs", "expected"),
    [(0, 0, 300, 4.392), (30, 30, 60, 0.0), (60, 0, 60, 0.0), (0, 60, 60, 0.0)],
)
def test_errors_bound_epsilon_from_below(
    teacher_break: ModuleType, missed: int, false_alarms: int, runs: int, expected: float
) -> None:
    """No error in 300 runs: each rate is at most 1 − 0.025^(1/300), and ε at least the log."""
    bound = teacher_break.epsilon_lower(missed, false_alarms, runs)

    assert bound == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("sign", [1, -1])
def test_worlds_that_differ_are_told_apart_in_either_direction(
    teacher_break: ModuleType, sign: int
) -> None:
    """The adversary learns the direction on runs that the bound does not rest on."""
    scores = np.linspace(0.0, 1.0, 80)
    found = teacher_break.tell_apart(sign * scores, sign * (scores + 5))

    assert (found.missed, found.false_alarms, found.measured) == (0, 0, 60)
    assert found.epsilon_lower == found.cap > 2.7


def test_worlds_that_do_not_differ_bound_nothing(teacher_break: ModuleType) -> None:
    """Scores of one law, seeded: the bound stays at zero."""
    chance = np.random.default_rng(7)
    found = teacher_break.tell_apart(chance.normal(size=400), chance.normal(size=400))

    assert found.epsilon_lower == 0.0
