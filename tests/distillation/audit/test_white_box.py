"""The white-box audit of the real trainer: right ones pass, wrong ones do not, weak ones say so."""

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import torch

from distillation.audit.canaries import AuditHead, DiracCanaries, audited_part
from distillation.audit.errors import AuditError
from distillation.audit.result import Method, Verdict
from distillation.audit.white_box import audit_training, one_run
from distillation.dp.optimizer import StepTerms
from distillation.kinds import Train
from privacy.guarantee import Guarantee
from privacy.noise import SecureStream
from tests.distillation import tiny
from tests.distillation.audit.audited import AUDIT, RECIPE, TERMS, head
from tests.distillation.faulty_trainers import SIXTEEN

FAULTS = {fault.name: fault for fault in SIXTEEN}
NEXT_TO_NO_NOISE = replace(
    TERMS, noise_multiplier=Decimal("1e-9"), sample_rate=Fraction(1), clip_norm=Decimal(2)
)


def test_each_canary_is_one_clip_norm_in_one_weight() -> None:
    """Without noise, each present canary's coordinate moves by C, and no absent one's at all."""
    coins = np.arange(1000) % 3 == 0
    part = head()
    canaries = DiracCanaries.of(part, 1000)
    bench = canaries.bench(coins, fillers=50, clip_norm=2.0)
    plain = replace(RECIPE, optimizer=replace(RECIPE.optimizer, learning_rate=2000.0, momentum=0.0))

    delta = bench.private_update(
        part, part.vector(), plain, steps=1, terms=NEXT_TO_NO_NOISE, stream=SecureStream()
    )

    assert len(bench) == int(coins.sum()) + 50
    assert canaries.scores(-delta) == pytest.approx(2.0 * coins, abs=1e-4)
    others = torch.ones(21, 384)
    others[canaries.outcome, canaries.feature] = 0
    weight = part.layout.unflatten(delta)["head.weight"]
    assert float((weight * others).abs().max()) < 1e-5


def test_a_canary_has_a_weight_of_its_own() -> None:
    """1,000 canaries are in 1,000 places, over all outcomes."""
    canaries = DiracCanaries.of(head(), 1000)

    places = set(zip(canaries.outcome.tolist(), canaries.feature.tolist(), strict=True))
    assert len(places) == 1000
    assert set(canaries.outcome.tolist()) == set(range(21))


def test_a_part_without_room_gets_an_audit_head() -> None:
    """The region's own head where it has room; else a linear one through the same trainer."""
    own = head()
    last = tiny.part(Train.LAST)

    assert audited_part(own, 1000) is own
    for part in (head(width=16, outcomes=3), last):
        stand_in = audited_part(part, 1000)
        assert isinstance(stand_in, AuditHead)
        assert len(DiracCanaries.of(stand_in, 1000).outcome) == 1000
    with pytest.raises(AuditError, match="linear head"):
        DiracCanaries.of(last, 10)


@pytest.mark.slow
def test_a_right_trainer_is_not_flagged() -> None:
    """The demo's size, 1,000 canaries; the part has its tensors back, and all is said."""
    part = head()
    before = part.vector()

    found = audit_training(part, RECIPE, TERMS, AUDIT)

    assert not found.flagged
    assert [result.method for result in found.results] == list(Method)
    gaussian = found.results[1]
    assert gaussian.verdict() is Verdict.NO_EVIDENCE
    assert Decimal("0.5") < gaussian.lower_bound < Decimal(4)
    assert gaussian.cap > AUDIT.claim.epsilon
    assert 1 < found.estimates[0].epsilon < 6
    assert (part.vector() == before).all()


@pytest.mark.slow
def test_the_layers_of_another_part_are_replaced_and_audited() -> None:
    """A part of several layers is audited through a linear head."""
    part = tiny.part(Train.LAST)

    found = audit_training(part, RECIPE, TERMS, replace(AUDIT, canaries=400))

    assert not found.flagged
    assert found.results[1].canaries == 400


@pytest.mark.slow
def test_a_right_trainer_is_not_flagged_in_twenty_runs() -> None:
    """Acceptance: none of twenty runs, each with coins of its own, is above the claim."""
    part = audited_part(head(), 1000)
    bounds = []
    for _ in range(20):
        found = audit_training(part, RECIPE, TERMS, AUDIT)
        bounds += [result.lower_bound for result in found.results]

    assert len(bounds) == 40
    assert max(bounds) <= AUDIT.claim.epsilon


@pytest.mark.slow
@pytest.mark.parametrize("name", ["no noise", "noise over the root of the batch", "no clipping"])
def test_a_broken_trainer_is_flagged(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What leaves far too much is above the claim, by the Gaussian bound."""
    FAULTS[name].plant(monkeypatch)

    found = audit_training(head(), RECIPE, TERMS, AUDIT)

    assert found.flagged
    assert found.results[1].verdict() is Verdict.EVIDENCE_AGAINST


@pytest.mark.slow
@pytest.mark.parametrize("name", ["noise at 0.9 σ", "shuffled epochs", "the same noise every step"])
def test_what_an_audit_misses_is_known(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """These faults are real and not flagged: conformance finds them, this audit does not."""
    FAULTS[name].plant(monkeypatch)

    assert not audit_training(head(), RECIPE, TERMS, AUDIT).flagged


@pytest.mark.slow
def test_several_runs_share_the_doubt() -> None:
    """Two runs have 97.5 % each, so that both together have 95 %."""
    found = audit_training(head(), RECIPE, TERMS, replace(AUDIT, runs=2))

    assert [result.confidence for result in found.results] == [Decimal("0.975000000")] * 4
    assert not found.flagged


def test_a_claim_that_the_plan_does_not_keep_is_refused() -> None:
    """Attacking ε = 1 where the plan costs 5.25 would accuse the plan, not the trainer."""
    claim = Guarantee(Decimal(1), Decimal("0.00001"))

    with pytest.raises(AuditError, match="one plan"):
        audit_training(head(), RECIPE, TERMS, replace(AUDIT, claim=claim))


def test_a_small_region_is_audited_with_many_canaries() -> None:
    """A public size below m is raised: it is a divisor, and scores do not depend on it."""
    small: StepTerms = replace(TERMS, public_size=50)

    scores, coins = one_run(head(), RECIPE, small, steps=20, canaries=200)

    assert scores.shape == coins.shape == (200,)
    assert np.isfinite(scores).all()
    assert 0.5 < scores.std() / 20**0.5 < 2


@pytest.mark.parametrize("wrong", [{"runs": 0}, {"steps": 0}, {"confidence": 0.5}])
def test_terms_of_an_audit_that_mean_nothing_are_refused(wrong: dict[str, int]) -> None:
    """No run shows nothing."""
    with pytest.raises(AuditError, match="at least one"):
        replace(AUDIT, **wrong)  # type: ignore[arg-type]  # wrong on purpose
