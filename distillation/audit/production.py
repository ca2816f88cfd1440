"""The audit of a region's real training: canaries among its records, guessed from its releases.

The canaries train with the records in every private step, whatever the weights are. The attacker is
the strongest that the guarantee allows: it knows all records and the weights at the start of every
round, and lacks the coins and the noise. So it takes off what the records alone would have moved,
up to one factor, and reads each canary's own coordinate in what remains.

Nothing of it leaves the region. What the records alone would have moved is a sum without noise; it
exists in memory while the scores are made, and is not kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from distillation.audit.bounds import Claim
from distillation.audit.canaries import DiracCanaries
from distillation.audit.errors import AuditError
from distillation.audit.guessing import guess
from distillation.audit.power import Releases, design
from distillation.audit.result import Access, AuditResult, Method
from distillation.classifier_part import HeadPart
from distillation.dp.optimizer import StepTerms
from distillation.layout import Vector
from distillation.recipe import Recipe
from distillation.trained_part import TrainedPart
from distillation.workbench import Workbench
from privacy.guarantee import Guarantee

_LEAST = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class Production:
    """What was claimed and done, fixed before a score is seen.

    Attributes:
        claim: (ε, δ) of all releases together; a unit is a record, added or removed.
        terms: The plan's terms of a step.
        steps: All private steps of these releases.
        confidence: Of each bound.
        date: The day, as 2026-01-31.
        who: Who runs it.
    """

    claim: Guarantee
    terms: StepTerms
    steps: int
    confidence: float
    date: str
    who: str


@dataclass(frozen=True, slots=True)
class RoundSeen:
    """One round of one region.

    Attributes:
        weights: The trained tensors at its start, (d,).
        delta: What the region released, (d,).
    """

    weights: Vector
    delta: Vector


def require_canaries(part: TrainedPart, count: int) -> DiracCanaries:
    """Return the canaries of a part.

    Raises:
        AuditError: If the part is no linear head with a weight for each.
    """
    if not isinstance(part, HeadPart):
        raise AuditError(
            "expected a plan that trains the head alone, since a canary has one weight of it to "
            f"itself; a {type(part).__name__} has no such weights: declare no audit"
        )
    return DiracCanaries.of(part, count)


def with_production_canaries(
    region: Workbench, part: TrainedPart, coins: NDArray[np.bool_], *, clip_norm: float
) -> Workbench:
    """Return the region's records with the canaries whose coin is true behind them.

    Guarantees: the records' rows, inputs and targets are as before, and so is the loss of each.

    Args:
        region: The region's labelled records; each is a unit.
        part: Its trained part, a linear head.
        coins: Secret, one a canary, (m,).
        clip_norm: C.

    Raises:
        AuditError: If a unit has several records, or the part is no such head.
    """
    if region.units is not None:
        raise AuditError("canaries are records; this region's units are persons")
    return require_canaries(part, len(coins)).among(region, coins, clip_norm=clip_norm)


def production_scores(
    part: TrainedPart,
    records: Workbench,
    recipe: Recipe,
    rounds: Sequence[RoundSeen],
    *,
    canaries: int,
    clip_norm: float,
) -> NDArray[np.float64]:
    """Return one score a canary, (m,); high where it seems to have trained.

    ``part`` has its tensors back afterwards.

    Args:
        part: The region's trained part.
        records: Its records, without canaries.
        recipe: The plan's.
        rounds: Every round that the region released something in.
        canaries: m.
        clip_norm: C.

    Raises:
        AuditError: If there is no round, or the part is no such head.
    """
    if not rounds:
        raise AuditError("expected at least one released round")
    dirac, before = require_canaries(part, canaries), part.vector()
    try:
        expected = sum(_records_alone(part, records, recipe, one, clip_norm) for one in rounds)
    finally:
        part.load(before)
    moved: Vector = np.negative(np.stack([one.delta for one in rounds]).sum(axis=0))
    weight = part.layout.unflatten(moved)[part.full_name("weight")].double()
    if not isinstance(expected, Tensor):
        raise AuditError("expected a sum of gradients")
    factor = (weight * expected).sum() / expected.square().sum().clamp(min=_LEAST)
    left = (weight - factor * expected).float()
    bias = torch.zeros_like(part.layout.unflatten(before)[part.full_name("bias")])
    named = {part.full_name("weight"): left, part.full_name("bias"): bias}
    return dirac.scores(part.layout.flatten(named))


def judge(
    scores: NDArray[np.float64], coins: NDArray[np.bool_], production: Production
) -> tuple[AuditResult, ...]:
    """Return what the scores show, one result a method.

    The power is that of a simulation of the plan's mechanism alone; sampled records move the
    canaries' coordinates a little too, which costs power and no validity.

    Raises:
        AuditError: If these terms do not keep the claim: flagging them would accuse the plan.
    """
    claim = Claim.of(production.claim, production.confidence)
    claim.require_covers(production.terms, production.steps)
    planned = Releases(
        noise_multiplier=float(production.terms.noise_multiplier),
        sample_rate=float(production.terms.sample_rate),
        steps=production.steps,
    )
    results = []
    for method in Method:
        how = design(len(coins), planned, claim.refuted_by(method))
        results.append(
            claim.result(
                method,
                guess(scores, coins, made=how.made),
                access=Access.WHITE_BOX,
                power=how.power,
                date=production.date,
                who=production.who,
            )
        )
    return tuple(results)


def _records_alone(
    part: TrainedPart, records: Workbench, recipe: Recipe, seen: RoundSeen, clip_norm: float
) -> Tensor:
    """Return the sum of the records' clipped gradients in the head's weight, (K, H)."""
    part.load(seen.weights)
    head = part.module
    if not isinstance(head, nn.Linear):
        raise AuditError("expected a linear head")
    inputs = records.inputs.values
    logits = head(inputs).detach().requires_grad_()
    losses = recipe.objective.per_record(logits, records.classes)
    (slopes,) = torch.autograd.grad(losses.sum(), logits)
    slope, feature = slopes[:, 0], inputs[:, 0]
    # A linear layer's gradient is slope ⊗ (feature, 1): the bias has a feature of one.
    norm = slope.norm(dim=1) * (feature.square().sum(dim=1) + 1).sqrt()
    kept = (clip_norm / norm.clamp(min=_LEAST)).clamp(max=1)
    total: Tensor = (kept[:, None] * slope).T @ feature
    return total.double()
