"""The white-box audit: canaries through the region's own trainer, seen where they are.

The attacker knows each canary's own coordinate and reads there the sum of all that was released;
whoever weighs every step by itself sees more. The trainer, its sampler, clipping and noise are the
ones that a round runs; no record is read, no budget spent, nothing sent.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from distillation.audit.bounds import Claim
from distillation.audit.canaries import DiracCanaries, audited_part
from distillation.audit.errors import AuditError
from distillation.audit.estimate import GaussianEstimate, gaussian_estimate
from distillation.audit.guessing import guess, secret_coins
from distillation.audit.power import Design, Releases, design
from distillation.audit.result import Access, AuditResult, Method
from distillation.dp.optimizer import StepTerms
from distillation.dp.trainer import LocalOptimizer
from distillation.recipe import Recipe
from distillation.trained_part import TrainedPart
from privacy.guarantee import Guarantee
from privacy.noise import SecureStream

_MOST_FILLERS = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditTerms:
    """How training is audited: fixed before a score is seen.

    Attributes:
        claim: (ε, δ) that is claimed for all steps together; a unit is a record, added or removed.
        steps: T, all private steps of the plan: rounds times local steps.
        canaries: m in each run.
        runs: Independent runs. Each has its share of the 5 %, so that all of them together
            accuse a right trainer that rarely.
        confidence: Of all runs together.
        date: The day, as 2026-01-31.
        who: Who runs it.
    """

    claim: Guarantee
    steps: int
    canaries: int = 1000
    runs: int = 1
    confidence: float = 0.95
    date: str
    who: str

    def __post_init__(self) -> None:
        if self.steps < 1 or self.runs < 1 or not 0.5 < self.confidence < 1:
            raise AuditError(
                "expected at least one step, one run and a confidence in (0.5, 1), got "
                f"{self.steps}, {self.runs} and {self.confidence}"
            )

    @property
    def run_confidence(self) -> float:
        """The confidence of one run."""
        return 1 - (1 - self.confidence) / self.runs


@dataclass(frozen=True, slots=True)
class TrainingAudit:
    """What the audit of a trainer found.

    Attributes:
        results: One a run and method.
        estimates: One a run; no verdict rests on them.
    """

    results: tuple[AuditResult, ...]
    estimates: tuple[GaussianEstimate, ...]

    @property
    def flagged(self) -> bool:
        """Whether any bound is above the claim."""
        return any(result.flagged for result in self.results)


def audit_training(
    part: TrainedPart, recipe: Recipe, terms: StepTerms, audit: AuditTerms
) -> TrainingAudit:
    """Attack the trainer as it would run in all rounds of the plan.

    Guarantees: reads no record; ``part`` has its tensors back afterwards; a trainer that keeps the
    claim is flagged with probability at most 1 - confidence by each method.

    Args:
        part: The region's trained part. If it is a linear head, the canaries go through it; else
            through a linear audit head in its place.
        recipe: The plan's recipe.
        terms: The plan's terms of a step.
        audit: What is claimed and how it is attacked.

    Raises:
        AuditError: If the audit would mean nothing.
        TrainingError: If the trainer refuses the canaries.
    """
    claim = Claim.of(audit.claim, audit.run_confidence)
    planned = Releases(
        noise_multiplier=float(terms.noise_multiplier),
        sample_rate=float(terms.sample_rate),
        steps=audit.steps,
    )
    claim.require_covers(terms, audit.steps)
    designs = _designs(audit.canaries, planned, claim)
    head = audited_part(part, audit.canaries)
    before = head.vector()
    try:
        found = list(_runs(head, recipe, terms, audit, claim, designs))
    finally:
        head.load(before)
    return TrainingAudit(
        tuple(result for results, _ in found for result in results),
        tuple(estimate for _, estimate in found),
    )


@lru_cache(maxsize=64)
def _designs(canaries: int, planned: Releases, claim: Claim) -> Mapping[Method, Design]:
    """Return each method's design; it depends on nothing that a run shows."""
    return {method: design(canaries, planned, claim.refuted_by(method)) for method in Method}


def _runs(
    head: TrainedPart,
    recipe: Recipe,
    terms: StepTerms,
    audit: AuditTerms,
    claim: Claim,
    designs: Mapping[Method, Design],
) -> Iterator[tuple[list[AuditResult], GaussianEstimate]]:
    for _ in range(audit.runs):
        scores, coins = one_run(head, recipe, terms, steps=audit.steps, canaries=audit.canaries)
        results = [
            claim.result(
                method,
                guess(scores, coins, made=planned.made),
                access=Access.WHITE_BOX,
                power=planned.power,
                date=audit.date,
                who=audit.who,
            )
            for method, planned in designs.items()
        ]
        yield results, gaussian_estimate(scores, coins, delta=float(audit.claim.delta))


def one_run(
    head: TrainedPart, recipe: Recipe, terms: StepTerms, *, steps: int, canaries: int
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Train once with coin-flipped canaries; return their scores in units of C, and the coins.

    Args:
        head: As `audited_part` returns it; changed.
        recipe: The plan's; plain gradient descent takes the place of its optimizer, which is
            post-processing, so that a delta shows the sum of all releases.
        terms: The plan's. A public size below m is raised to m: it is a divisor, no more.
        steps: T.
        canaries: m.
    """
    terms = replace(terms, public_size=max(terms.public_size, canaries))
    dirac = DiracCanaries.of(head, canaries)
    coins = secret_coins(canaries, SecureStream())
    fillers = min(terms.public_size - canaries, _MOST_FILLERS)
    bench = dirac.bench(coins, fillers=fillers, clip_norm=float(terms.clip_norm))
    rate = terms.batch_constant / float(terms.clip_norm)
    plain = replace(recipe, optimizer=LocalOptimizer(learning_rate=rate))
    delta = bench.private_update(
        head, head.vector(), plain, steps=steps, terms=terms, stream=SecureStream()
    )
    return dirac.scores(-delta), coins
