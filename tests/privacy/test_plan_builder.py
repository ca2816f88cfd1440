from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest

from privacy.accountant import PldAccountant
from privacy.errors import PlanRefusedError
from privacy.events import Composed
from privacy.guarantee import Neighbours
from privacy.plan_builder import DeclaredRelease, solve_components
from privacy.plan_components import Component, ComponentKind


def components(runs: int, *releases: DeclaredRelease) -> tuple[Component, ...]:
    return solve_components(
        epsilon=Decimal(2),
        delta=Decimal("1e-5"),
        neighbours=Neighbours.ADD_OR_REMOVE_ONE,
        sample_rate=Fraction(1, 10),
        steps=20,
        runs=runs,
        releases=releases,
    )


@pytest.mark.slow
def test_a_sweep_and_its_scores_keep_the_promise_together() -> None:
    """Two runs, a score and a count: one joint bound of at most ε, and not much less."""
    score = DeclaredRelease("score", ComponentKind.SCALAR, Decimal(20), releases=20)
    count = DeclaredRelease("count", ComponentKind.COUNT, Decimal(50), releases=1)
    parts = components(2, score, count)
    spent = PldAccountant().epsilon(Composed(tuple(part.event for part in parts)), 1e-5)
    assert [part.name for part in parts] == ["train", "train-2", "score", "count"]
    assert [part.max_steps for part in parts] == [20, 20, 21, 2]
    assert 1.99 < spent <= 2


@pytest.mark.slow
def test_more_runs_take_more_noise_but_not_in_proportion() -> None:
    """Joint accounting of four runs needs about twice the noise of one."""
    (one,), four = components(1), components(4)
    assert len({part.noise_multiplier for part in four}) == 1
    assert one.noise_multiplier < four[0].noise_multiplier < 3 * one.noise_multiplier


def test_a_sweep_has_a_run() -> None:
    """No training is no plan."""
    with pytest.raises(PlanRefusedError, match="run"):
        components(0)


@pytest.mark.parametrize(
    ("kind", "releases"), [(ComponentKind.TRAIN, 1), (ComponentKind.SCALAR, 0)]
)
def test_a_declared_release_is_a_scalar_or_a_count(kind: ComponentKind, releases: int) -> None:
    """A further run is part of the sweep, and nothing is released zero times."""
    with pytest.raises(PlanRefusedError):
        DeclaredRelease("score", kind, Decimal(20), releases)
