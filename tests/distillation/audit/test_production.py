"""Canaries among real records: the records train as before, and the coins can be read again."""

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import torch

from distillation.audit.errors import AuditError
from distillation.audit.membership import membership
from distillation.audit.production import (
    RoundSeen,
    production_scores,
    require_canaries,
    with_production_canaries,
)
from distillation.kinds import Train
from distillation.objectives import Targets
from distillation.trained_part import FrozenInputs
from distillation.workbench import Workbench
from privacy.noise import SecureStream
from tests.distillation import tiny
from tests.distillation.audit.audited import RECIPE, TERMS, head

CANARIES, CLIP = 200, float(TERMS.clip_norm)


def records(count: int = 600) -> Workbench:
    """Records with a common direction, which moves the head far more than a canary does."""
    chance = torch.Generator().manual_seed(0)
    common = torch.randn(384, generator=chance)
    labels = torch.randint(0, 21, (count,), generator=chance)
    noise = torch.randn(count, 384, generator=chance)
    inputs = 4 * torch.nn.functional.normalize(common + noise, dim=1)
    answers = torch.nn.functional.one_hot(labels, 21).float().mul(4).log_softmax(-1)
    mask = torch.ones(count, 1, dtype=torch.bool)
    return Workbench(FrozenInputs(inputs[:, None], mask), Targets.of_classes(answers, labels))


def test_a_records_loss_is_what_it_was() -> None:
    """Canaries behind the records change no row of them."""
    part, own = head(), records(50)
    coins = np.arange(CANARIES) % 2 == 0
    bench = with_production_canaries(own, part, coins, clip_norm=CLIP)
    rows = torch.arange(50)

    assert len(bench) == 50 + CANARIES // 2
    assert torch.equal(
        bench.losses(part, part.module, rows, RECIPE), own.losses(part, part.module, rows, RECIPE)
    )


def test_what_the_records_did_is_taken_off() -> None:
    """Without noise the coins are all but known; from the releases alone they are not."""
    part, own = head(), records()
    coins = np.random.default_rng(3).random(CANARIES) < 0.5
    bench = with_production_canaries(own, part, coins, clip_norm=CLIP)
    terms = replace(TERMS, noise_multiplier=Decimal("0.01"), sample_rate=Fraction(1, 2))
    plain = replace(RECIPE, optimizer=replace(RECIPE.optimizer, momentum=0.0))
    weights, rounds = part.vector(), []
    for _ in range(4):
        delta = bench.private_update(
            part, weights, plain, steps=2, terms=terms, stream=SecureStream()
        )
        rounds.append(RoundSeen(weights, delta))
        weights = weights + delta
    start = part.vector()
    scores = production_scores(part, own, plain, rounds, canaries=CANARIES, clip_norm=CLIP)
    blind = require_canaries(part, CANARIES).scores(start - weights)

    assert membership(scores, coins, epsilon=1, delta=0).area.value > 0.96
    assert membership(blind, coins, epsilon=1, delta=0).area.value < 0.94
    assert np.array_equal(part.vector(), start)


def test_where_no_canary_has_a_place_there_is_none() -> None:
    """Persons, other trained parts, no room, no round."""
    coins = np.ones(CANARIES, dtype=np.bool_)
    layer = tiny.part(Train.LAST)
    persons = replace(records(4), units=torch.tensor([0, 0, 1, 1]))
    with pytest.raises(AuditError, match="persons"):
        with_production_canaries(persons, head(), coins, clip_norm=CLIP)
    with pytest.raises(AuditError, match="the head alone"):
        with_production_canaries(records(4), layer, coins, clip_norm=CLIP)
    with pytest.raises(AuditError, match="200 weights"):
        with_production_canaries(records(4), head(width=4, outcomes=3), coins, clip_norm=CLIP)
    with pytest.raises(AuditError, match="one released round"):
        production_scores(head(), records(4), RECIPE, [], canaries=CANARIES, clip_norm=CLIP)
