"""Does a teacher that saw the records break the claim? A student is trained many times to see.

The student learns from soft labels with this product's own private trainer: its sampling, clipping
and noise, σ solved for ε = 1. The teacher is a ridge regression. In one world the region holds an
outlier, in the other it does not; nothing else differs. With a public teacher the outlier is one
clipped gradient among many. With a region-private teacher, fitted on the region's records, it
moves every record's label, in every step.

An adversary reads one number off the student and guesses the world. From its errors, with 95 %
Clopper-Pearson bounds, follows a lower bound on the ε that the training really had
(Jagielski et al. 2020, arXiv 2006.07709). Threshold and direction are chosen on runs of their own.
The check of lineages is bypassed here: ``privacy.lineage.admit`` refuses this teacher.
"""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction

os.environ.setdefault("OMP_NUM_THREADS", "1")  # tiny tensors are quicker on one thread

import numpy as np
import torch
from measure import options, publish, say
from numpy.typing import NDArray
from scipy.stats import beta
from torch import Tensor, nn

from distillation.dp.optimizer import StepTerms
from distillation.dp.trainer import LocalOptimizer, train_privately
from distillation.objectives import UNLABELLED, Objective, Targets
from privacy.accounting_solver import solve_noise_multiplier
from privacy.errors import LineageRefusedError
from privacy.lineage import Declaration, TeacherLineage, admit
from privacy.noise import SecureStream

EPSILON, DELTA = Decimal(1), Decimal("0.00001")
STEPS, RATE = 20, Fraction(1, 4)
RECORDS, WIDTH = 200, 4
RIDGE, SHARPNESS = 1.0, 2.0
OUTLIER = 30.0
CONFIDENCE = 0.95
_OBJECTIVE = Objective(soft=1.0)
_OPTIMIZER = LocalOptimizer(learning_rate=1.0)

Scores = NDArray[np.float64]


class Kind(StrEnum):
    """What the teacher was fitted on."""

    PUBLIC = "public"
    REGION_PRIVATE = "region-private"


@dataclass(frozen=True, slots=True)
class Sample:
    """Records of a linear law: features (n, WIDTH) and answers (n,)."""

    x: Tensor
    y: Tensor

    def with_outlier(self) -> "Sample":
        """Return the sample and one more record, far out and against the law."""
        far = torch.zeros(1, WIDTH)
        far[0, 0] = OUTLIER
        return Sample(torch.cat([self.x, far]), torch.cat([self.y, torch.tensor([-OUTLIER])]))


@dataclass(frozen=True, slots=True)
class Finding:
    """What the adversary achieved against one teacher.

    Attributes:
        runs: Students in all.
        measured: Students of each world that the bound rests on; the others chose the threshold.
        missed: Students with the outlier that were taken for students without.
        false_alarms: Students without the outlier that were taken for students with.
        epsilon_lower: Lower bound on ε at DELTA; never below 0.
        cap: The bound for no error at all in so many runs.
    """

    runs: int
    measured: int
    missed: int
    false_alarms: int
    epsilon_lower: float
    cap: float


def main() -> None:
    """Train, attack, print."""
    asked = options(__doc__ or "")
    publish(figures(80 if asked.quick else 400), asked.out)


def figures(runs: int) -> dict[str, object]:
    """Attack both teachers with ``runs`` students a world, and show the table."""
    terms = StepTerms(
        noise_multiplier=solve_noise_multiplier(
            epsilon=EPSILON, delta=DELTA, sample_rate=RATE, steps=STEPS
        ),
        clip_norm=Decimal(1),
        sample_rate=RATE,
        public_size=RECORDS + 1,
    )
    found = {kind: attack(kind, runs, terms) for kind in Kind}
    show(found, terms)
    return {
        "claim": {"epsilon": float(EPSILON), "delta": float(DELTA), "unit": "record"},
        "neighbours": "add-or-remove-one",
        "noise_multiplier": float(terms.noise_multiplier),
        "steps": STEPS,
        "sample_rate": float(RATE),
        "records": RECORDS,
        "confidence": CONFIDENCE,
        "teachers": {
            kind.value: {
                "admission": admission(kind),
                **{name: getattr(finding, name) for name in Finding.__slots__},
            }
            for kind, finding in found.items()
        },
    }


def sample(count: int, seed: int) -> Sample:
    """Return records whose answer is their first feature and some noise."""
    chance = torch.Generator().manual_seed(seed)  # made-up data; no privacy rests on it
    x = torch.randn(count, WIDTH, generator=chance)
    return Sample(x, x[:, 0] + 0.5 * torch.randn(count, generator=chance))


def fit(seen: Sample) -> Tensor:
    """Return the ridge regression of answers on features, (WIDTH,)."""
    gram = seen.x.T @ seen.x + RIDGE * torch.eye(WIDTH)
    weights: Tensor = torch.linalg.solve(gram, seen.x.T @ seen.y)
    return weights


def soft_labels(weights: Tensor, records: Sample) -> Targets:
    """Return what the teacher says of each record: two classes, by the sign of its answer."""
    answers = SHARPNESS * (records.x @ weights)
    log_probs = torch.stack([torch.zeros_like(answers), answers], dim=1).log_softmax(-1)
    return Targets.of_classes(log_probs, torch.full((len(answers),), UNLABELLED))


def attack(kind: Kind, runs: int, terms: StepTerms) -> Finding:
    """Train ``runs`` students in each world and tell the worlds apart."""
    public, region = sample(RECORDS, 1), sample(RECORDS, 2)
    worlds = []
    for records in (region, region.with_outlier()):
        teacher = fit(public if kind is Kind.PUBLIC else records)  # the one line that breaks it
        targets = soft_labels(teacher, records)
        worlds.append(np.array([student(records, targets, terms) for _ in range(runs)]))
        say(f"{kind}: {runs} students trained on {len(records.x)} records")
    return tell_apart(*worlds)


def student(records: Sample, targets: Targets, terms: StepTerms) -> float:
    """Train one student from zero and return how it weighs the outlier's feature."""
    head = nn.Linear(WIDTH, 2)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)

    def loss(module: nn.Module, rows: Tensor) -> Tensor:
        return _OBJECTIVE.per_record(
            module(records.x[rows].requires_grad_()).unsqueeze(1), targets[rows]
        )

    change = train_privately(
        head,
        loss,
        records=len(records.x),
        steps=STEPS,
        terms=terms,
        optimizer=_OPTIMIZER,
        stream=SecureStream(),
    )["weight"]
    return float(change[1, 0] - change[0, 0])


def tell_apart(without: Scores, with_it: Scores) -> Finding:
    """Choose a threshold on a quarter of the scores, and bound ε by the errors on the rest.

    Args:
        without: One score a student, shape (n,), from the world without the outlier.
        with_it: The same with it.
    """
    cut = len(without) // 4
    sign, threshold = _threshold(without[:cut], with_it[:cut])
    missed = int((sign * with_it[cut:] <= threshold).sum())
    false_alarms = int((sign * without[cut:] > threshold).sum())
    measured = len(without) - cut
    return Finding(
        runs=len(without) + len(with_it),
        measured=measured,
        missed=missed,
        false_alarms=false_alarms,
        epsilon_lower=epsilon_lower(missed, false_alarms, measured),
        cap=epsilon_lower(0, 0, measured),
    )


def _threshold(without: Scores, with_it: Scores) -> tuple[float, float]:
    """Return direction and threshold with the fewest errors; the middle where several have."""
    sign = 1.0 if with_it.mean() >= without.mean() else -1.0
    points = np.sort(np.concatenate([without, with_it]))
    middles = np.sort(sign * (points[1:] + points[:-1]) / 2)
    errors = [
        (sign * with_it <= middle).sum() + (sign * without > middle).sum() for middle in middles
    ]
    best = middles[np.flatnonzero(np.array(errors) == min(errors))]
    return sign, float(best[len(best) // 2])


def epsilon_lower(missed: int, false_alarms: int, runs: int) -> float:
    """Return the ε that these errors of ``runs`` guesses in each world exclude from below.

    (ε, δ)-DP asks 1 − δ ≤ FNR + e^ε FPR and the same with the two exchanged. Both rates have an
    upper bound at once with the confidence CONFIDENCE.
    """
    misses, alarms = _at_most(missed, runs), _at_most(false_alarms, runs)
    ratios = ((1 - float(DELTA) - a) / b for a, b in ((misses, alarms), (alarms, misses)))
    return max(0.0, *(math.log(ratio) if ratio > 0 else 0.0 for ratio in ratios))


def _at_most(events: int, runs: int) -> float:
    """Return the Clopper-Pearson upper bound on a rate; half of the doubt for each of two."""
    if events == runs:
        return 1.0
    return float(beta.ppf(1 - (1 - CONFIDENCE) / 2, events + 1, runs - events))


def admission(kind: Kind) -> str:
    """Return what the product says to this teacher."""
    try:
        admit(Declaration(TeacherLineage(kind)))
    except LineageRefusedError as refusal:
        return f"refused: {refusal}"
    return "admitted"


def show(found: Mapping[Kind, Finding], terms: StepTerms) -> None:
    """Print the table for people."""
    say(
        f"\nclaim: ε = {EPSILON}, δ = {DELTA}, record, add-or-remove-one; σ = "
        f"{terms.noise_multiplier}, {STEPS} steps at q = {float(RATE)}\n"
        f"{'teacher':16}{'runs':>6}{'missed':>9}{'false':>7}{'ε at least':>12}{'cap':>6}  claim"
    )
    for kind, one in found.items():
        word = "BROKEN" if one.epsilon_lower > EPSILON else "not refuted"
        say(
            f"{kind:16}{one.runs:>6}{one.missed:>5}/{one.measured}{one.false_alarms:>4}/"
            f"{one.measured}{one.epsilon_lower:>9.2f}{one.cap:>6.2f}  {word}"
        )


if __name__ == "__main__":
    main()
