"""The black-box audit: a real student, privately trained or not, and what its losses betray."""

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from distillation.audit.black_box import (
    StudentAudit,
    audit_student,
    loss_scores,
    made_up_records,
    with_canaries,
)
from distillation.audit.errors import AuditError
from distillation.audit.guessing import secret_coins
from distillation.audit.result import UNKNOWN_POWER
from distillation.dp.optimizer import StepTerms
from distillation.dp.trainer import LocalOptimizer
from distillation.kinds import Task, Train
from distillation.objectives import Objective
from distillation.recipe import Recipe
from distillation.trained_part import TrainedPart
from distillation.workbench import Workbench
from privacy.guarantee import Guarantee
from privacy.noise import SecureStream
from tests.distillation import tiny
from tests.distillation.audit.audited import head

CLAIM = Guarantee(Decimal(1), Decimal("0.00001"))
RECIPE = Recipe(
    task=Task.CLASSIFICATION,
    train=Train.HEAD,
    max_tokens=32,
    objective=Objective(soft=1.0, label=1.0),
    optimizer=LocalOptimizer(learning_rate=20.0),
)
COUNT = 60


def _records(part: TrainedPart, count: int, seed: int) -> Workbench:
    return made_up_records(count, part, vocabulary=30, outcomes=3, tokens=6, seed=seed)


def _audit(noise_multiplier: str, *, steps: int) -> tuple[StudentAudit, NDArray[np.float64]]:
    part = head(width=128, outcomes=3)  # more features than canaries: it can remember them
    region, canaries = _records(part, 4, 1), _records(part, COUNT, 2)
    coins = secret_coins(COUNT, SecureStream())
    terms = StepTerms(
        noise_multiplier=Decimal(noise_multiplier),
        clip_norm=Decimal(10),
        sample_rate=Fraction(1, 2),
        public_size=100,
    )
    start = part.vector()
    delta = with_canaries(region, canaries, coins).private_update(
        part, start, RECIPE, steps=steps, terms=terms, stream=SecureStream()
    )
    scores = loss_scores(part, canaries, RECIPE, start=start, released=start + delta)
    return audit_student(scores, coins, claim=CLAIM, date="2026-01-31", who="a test"), scores


@pytest.mark.slow
def test_a_student_without_noise_betrays_its_canaries() -> None:
    """Trained 400 steps with next to no noise, random labels are remembered: area above chance."""
    found, _ = _audit("1e-9", steps=400)

    assert found.membership.area.value > 0.7
    assert found.membership.area.low > 0.55


def test_scores_that_tell_everything_are_flagged() -> None:
    """Who knows every coin of 200 refutes ε = 1, and the report has the whole curve."""
    coins = secret_coins(200, SecureStream())

    found = audit_student(coins.astype(float), coins, claim=CLAIM, date="2026-01-31", who="a test")

    assert found.flagged
    assert found.membership.area.value == 1.0
    assert [hits.found.value for hits in found.membership.hits] == [1.0, 1.0, 1.0]


def test_a_private_student_stays_within_what_its_epsilon_allows() -> None:
    """With noise of 50 C a step nothing is found, and the sentences say how little that means."""
    found, scores = _audit("50", steps=5)

    assert not found.flagged
    assert np.isfinite(scores).all()
    assert {result.power for result in found.results} == {UNKNOWN_POWER}
    assert all(result.guesses == 12 for result in found.results)
    assert found.membership.area.low <= found.membership.most_area


def test_canaries_are_the_same_for_all_and_their_coins_are_not() -> None:
    """The seed makes the records; who is in is not in them."""
    part = tiny.part(Train.HEAD)
    first, second = _records(part, 20, 7), _records(part, 20, 7)
    coins = np.arange(20) < 5

    joined = with_canaries(first, second, coins)

    assert torch.equal(first.inputs.values, second.inputs.values)
    assert len(joined) == 25
    assert torch.equal(joined.targets.reference[20:], first.targets.reference[:5])


def test_canaries_join_records_of_another_length() -> None:
    """All have the part's public length, so a longer canary moves no record of the region."""
    part = tiny.part(Train.LAST)
    short = made_up_records(3, part, vocabulary=tiny.VOCABULARY, outcomes=3, tokens=4, seed=1)
    long = made_up_records(3, part, vocabulary=tiny.VOCABULARY, outcomes=3, tokens=9, seed=2)

    joined = with_canaries(short, long, np.array([True, False, True]))
    recipe = replace(RECIPE, train=Train.LAST)
    rows = torch.arange(3)
    with torch.no_grad():
        alone = short.losses(part, part.module, rows, recipe)
        among = joined.losses(part, part.module, rows, recipe)

    assert joined.inputs.values.shape[:2] == (5, part.length)
    assert torch.equal(alone, among)


def test_canaries_do_not_join_persons() -> None:
    """A canary belongs to no person."""
    part = tiny.part(Train.HEAD)
    records = _records(part, 4, 1)
    grouped = Workbench(records.inputs, records.targets, units=torch.tensor([0, 0, 1, 1]))

    with pytest.raises(AuditError, match="persons"):
        with_canaries(grouped, records, np.ones(4, dtype=np.bool_))


def test_the_part_has_its_tensors_back() -> None:
    """Scoring loads two models and leaves neither."""
    part = tiny.part(Train.HEAD)
    before = part.vector()

    scores = loss_scores(part, _records(part, 4, 1), RECIPE, start=before + 1, released=before * 2)

    assert scores.shape == (4,)
    assert (part.vector() == before).all()
