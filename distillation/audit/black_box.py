"""The black-box audit: who was in, judged by a released student's losses alone.

Canaries are made-up records with random labels. Each is in a region's training set or not by a
secret coin. Whoever has the student asks for its loss on each; a loss that fell more than others'
speaks for membership. Scores use released models only, so they cost no budget, but the canaries
take part in training: they should be at most a hundredth of the records.

It sees less than the white-box audit, and how much less depends on student and canaries, so its
power is unknown. A small bound here says little.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from distillation.audit.bounds import Claim
from distillation.audit.errors import AuditError
from distillation.audit.guessing import guess
from distillation.audit.membership import Membership, membership
from distillation.audit.result import UNKNOWN_POWER, Access, AuditResult, Method
from distillation.layout import Vector
from distillation.objectives import Targets
from distillation.recipe import Recipe
from distillation.tokens import Tokens
from distillation.trained_part import FrozenInputs, TrainedPart
from distillation.workbench import Workbench
from privacy.guarantee import Guarantee

_SURE = 10.0
"""Log-odds of a canary's label in the made-up teacher's answer."""


@dataclass(frozen=True, slots=True)
class StudentAudit:
    """What a released student betrays about the canaries.

    Attributes:
        results: One a method; their power is unknown.
        membership: The ROC curve and what (ε, δ) allows.
    """

    results: tuple[AuditResult, ...]
    membership: Membership

    @property
    def flagged(self) -> bool:
        """Whether any bound is above the claim."""
        return any(result.flagged for result in self.results)


def made_up_records(
    count: int, part: TrainedPart, *, vocabulary: int, outcomes: int, tokens: int, seed: int
) -> Workbench:
    """Return records of random tokens with random labels; there is no secret in them.

    Args:
        count: How many.
        part: Makes their inputs.
        vocabulary: Token ids are below it; at least 2.
        outcomes: Number of classes.
        tokens: Length of each record.
        seed: Public: the coins, not the records, are secret.
    """
    chance = torch.Generator().manual_seed(seed)
    ids = torch.randint(1, vocabulary, (count, tokens), generator=chance).tolist()
    labels = torch.randint(0, outcomes, (count,), generator=chance)
    answers = torch.nn.functional.one_hot(labels, outcomes).float() * _SURE
    inputs = part.inputs(Tokens(tuple(map(tuple, ids)), 0))
    return Workbench(inputs, Targets.of_classes(answers.log_softmax(-1), labels))


def with_canaries(region: Workbench, canaries: Workbench, coins: NDArray[np.bool_]) -> Workbench:
    """Return the region's records with the canaries whose coin is true behind them.

    Raises:
        AuditError: If a unit has several records: a canary belongs to no person.
    """
    if region.units is not None:
        raise AuditError("canaries are records; this region's units are persons")
    present = canaries.subset(torch.from_numpy(np.flatnonzero(coins)))
    a, b = region.inputs, present.inputs
    return Workbench(
        FrozenInputs(torch.cat([a.values, b.values]), torch.cat([a.mask, b.mask])),
        region.classes.joined(present.classes),
    )


@torch.no_grad()
def loss_scores(
    part: TrainedPart, canaries: Workbench, recipe: Recipe, *, start: Vector, released: Vector
) -> NDArray[np.float64]:
    """Return by how much each canary's loss fell from the public start to the student, (m,).

    The start takes the place of a model that never saw the canary, and makes canaries that are
    hard in themselves comparable. ``part`` has its tensors back afterwards.
    """
    before = part.vector()
    rows, losses = torch.arange(len(canaries)), []
    try:
        for weights in (start, released):
            part.load(weights)
            losses.append(canaries.losses(part, part.module, rows, recipe).double())
    finally:
        part.load(before)
    found: NDArray[np.float64] = (losses[0] - losses[1]).numpy()
    return found


def audit_student(
    scores: NDArray[np.float64],
    coins: NDArray[np.bool_],
    *,
    claim: Guarantee,
    date: str,
    who: str,
    made: int | None = None,
    confidence: float = 0.95,
) -> StudentAudit:
    """Return what a student's scores on the canaries show.

    Args:
        scores: One a canary, (m,), such as `loss_scores`.
        coins: Whether it was in, (m,).
        claim: (ε, δ) of all releases together.
        date: The day, as 2026-01-31.
        who: Who ran it.
        made: r, fixed before a score is seen; None: a fifth of the canaries.
        confidence: Of each bound.

    Raises:
        AuditError: If scores and coins do not fit.
    """
    attacked = Claim.of(claim, confidence)
    guesses = guess(scores, coins, made=made or 2 * max(1, len(coins) // 10))
    results = tuple(
        attacked.result(
            method, guesses, access=Access.BLACK_BOX, power=UNKNOWN_POWER, date=date, who=who
        )
        for method in Method
    )
    found = membership(scores, coins, epsilon=float(claim.epsilon), delta=float(claim.delta))
    return StudentAudit(results, found)
