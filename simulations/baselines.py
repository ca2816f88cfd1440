"""The researcher's arms: the same training code without ledger, masks or regions' consent.

They say what the distilled student should be compared with. Arms that add noise use the plan's
(q, σ, C, steps), so they cost the same ε; but nothing here is charged to an account, and the
reports mark every figure from here as the researcher's, not as a release.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import torch

from client.training import step_terms
from distillation.aggregate import ModelState, ServerOptimizer, advance
from distillation.dp.optimizer import StepTerms
from distillation.evaluation import Quality
from distillation.kit import Measured
from distillation.layout import Vector
from distillation.plan_terms import optimizer_of
from distillation.planning import recipe_of
from distillation.recipe import Recipe
from distillation.step_size import Share, weight_noise
from distillation.study import Study
from distillation.trained_part import TrainedPart
from distillation.workbench import Workbench
from privacy.noise import SecureStream, poisson_sample
from privacy.plan import Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One way of training, over the same regions from the same start.

    Attributes:
        recipe: Objective and local optimiser.
        benches: Each region's records.
        weights: Each region's share of the average; they sum to 1.
        terms: Each region's terms; None trains without clipping and noise.
        rounds: Number of rounds.
        local_steps: Steps of a region in one round.
        server: The server's optimiser.
        sampled: Without privacy, the share of a region's records in one step.
    """

    recipe: Recipe
    benches: Mapping[str, Workbench]
    weights: Mapping[str, Fraction]
    terms: Mapping[str, StepTerms] | None
    rounds: int
    local_steps: int
    server: ServerOptimizer
    sampled: Fraction = Fraction(1)


def planned_arm(study: Study, plan: Plan, benches: Mapping[str, Workbench]) -> Arm:
    """Return the arm that trains as the plan says, with its noise.

    Args:
        study: The study.
        plan: Its plan.
        benches: Each region's labelled records.
    """
    return Arm(
        recipe=recipe_of(study),
        benches=benches,
        weights={region.name: region.weight for region in plan.regions},
        terms={name: step_terms(plan, name) for name in plan.cohort},
        rounds=plan.rounds,
        local_steps=plan.local_steps,
        server=optimizer_of(plan),
    )


def final_quality(arm: Arm, part: TrainedPart, start: Vector, test: Measured) -> Quality:
    """Train one arm and return its quality after the last round.

    Args:
        arm: What to train.
        part: A trained part to work on; its tensors are overwritten.
        start: Weights before the first round, (d,).
        test: The public test set.
    """
    *_, last = trajectory(arm, part, start)
    return test.quality(last)


def trajectory(arm: Arm, part: TrainedPart, start: Vector) -> Iterator[Vector]:
    """Yield the weights before the first round, and what would be released after each, (d,)."""
    state = ModelState.start(start)
    yield start
    for _ in range(arm.rounds):
        mean = np.zeros(len(start))
        for name, bench in arm.benches.items():
            mean += float(arm.weights[name]) * _update(arm, name, bench, part, state.weights)
        state = advance(state, mean, arm.server)
        yield state.released


def noise(arm: Arm) -> float:
    """Return how far an arm's noise moves a weight over all its rounds, at the learning rate 1.

    Raises:
        ValueError: If the arm has no noise.
    """
    if arm.terms is None:
        raise ValueError("expected an arm with noise, got one without privacy")
    shares = [
        Share(
            weight=float(arm.weights[name]),
            noise_multiplier=float(terms.noise_multiplier),
            clip_norm=float(terms.clip_norm),
            batch=terms.batch_constant,
        )
        for name, terms in arm.terms.items()
    ]
    return weight_noise(shares, steps=arm.rounds * arm.local_steps)


def labelled_only(bench: Workbench) -> Workbench:
    """Return the records that have a label of their own."""
    return bench.subset((bench.targets.reference >= 0).any(dim=1).nonzero()[:, 0])


def resized(terms: StepTerms, public_size: int) -> StepTerms:
    """Return the same mechanism over a part of the region's records."""
    return replace(terms, public_size=public_size)


def _update(
    arm: Arm, name: str, bench: Workbench, part: TrainedPart, weights: Vector
) -> np.ndarray:
    if arm.terms is None:
        return _plain_update(arm, bench, part, weights).astype(np.float64)
    delta = bench.private_update(
        part,
        weights,
        arm.recipe,
        steps=arm.local_steps,
        terms=arm.terms[name],
        stream=SecureStream(),
    )
    return delta.astype(np.float64)


def _plain_update(arm: Arm, bench: Workbench, part: TrainedPart, weights: Vector) -> Vector:
    """Take gradient steps without clipping and noise: the same recipe, without privacy."""
    part.load(weights)
    optimizer = torch.optim.SGD(
        [p for p in part.module.parameters() if p.requires_grad],
        lr=arm.recipe.optimizer.learning_rate,
        momentum=arm.recipe.optimizer.momentum,
    )
    for _ in range(arm.local_steps):
        optimizer.zero_grad()
        batch = torch.from_numpy(poisson_sample(SecureStream(), len(bench), arm.sampled))
        for rows in batch.split(512):
            losses = bench.losses(part, part.module, rows, arm.recipe)
            (losses.sum() / len(batch)).backward()
        optimizer.step()
    return np.asarray(part.vector() - weights, dtype=np.float32)
