"""How large a private step is where a study does not say: as large as its noise allows.

The noise of a whole run moves each weight of the mean of the regions by a normal amount of
standard deviation

    s = η · √T · √Σᵣ (wᵣ C σᵣ / (qᵣ Nᵣ))²

and so a logit of a linear head by s √(f² + 1), where f is the length of its features and 1 the
bias's. The learning rate η is chosen for this to be `LOGIT_NOISE`, whatever ε, the clip norm, the
regions' sizes and the number of steps are. Where there is next to no noise, the length of a step is
the limit: all records of a batch that pull the same way move a logit by η C √(f² + 1), which is
kept to `LONGEST_STEP`. All of these are public constants of the plan, so the choice costs no ε. Why
these numbers: docs/decisions/0039.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Context, Decimal

from distillation.former_run import former_run
from distillation.kinds import ServerRule, Task, Train
from distillation.region_weights import capped_weights
from distillation.study import Study
from privacy.accounting_solver import solve_noise_multiplier
from privacy.plan_builder import slack_rounds

LOGIT_NOISE = 0.4
"""Standard deviation, in nats, of what a run's noise adds to a logit; measured."""
LONGEST_STEP = 12.0
"""How far one step can move a logit, in nats; measured: twice as far makes some students worse."""

_THREE_DIGITS = Context(prec=3, rounding=ROUND_FLOOR)  # so that a recipe can be read and retyped
_OTHERWISE = Decimal(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """One region's part in the noise of a step.

    Attributes:
        weight: w, its share of the mean.
        noise_multiplier: σ.
        clip_norm: C.
        batch: q N, the public batch constant, > 0.
    """

    weight: float
    noise_multiplier: float
    clip_norm: float
    batch: float


def weight_noise(shares: Iterable[Share], *, steps: int) -> float:
    """Return s at the learning rate 1: how far a run's noise moves each weight of the mean.

    Args:
        shares: The regions.
        steps: T, private steps of a region in the whole run.
    """
    variance = sum(
        (one.weight * one.clip_norm * one.noise_multiplier / one.batch) ** 2 for one in shares
    )
    return math.sqrt(steps * variance)


def fitting_rate(noise: float, *, clip_norm: float, feature_length: float) -> Decimal:
    """Return the largest rate, to three digits, at which neither noise nor a step goes too far.

    Args:
        noise: s at the rate 1, as `weight_noise` returns it; 0: there is none.
        clip_norm: C.
        feature_length: f, of what the head reads.
    """
    longest = LONGEST_STEP / clip_norm
    of_a_logit = math.hypot(feature_length, 1)
    bound = min(LOGIT_NOISE / noise, longest) if noise else longest
    return _THREE_DIGITS.create_decimal_from_float(bound / of_a_logit)


def learning_rate(study: Study) -> Decimal:
    """Return the rate of a region's private steps: the study's own, or the one that fits its noise.

    Raises:
        InvalidBudgetError: If no noise multiplier keeps the promise.
        StudyError: If the run that the student goes on from cannot be read.
        UnsupportedEventError: If the rate or the number of steps is out of range.
    """
    said = study.optimizer.learning_rate
    if said is not None:
        return said
    if not follows_noise(study):
        return _OTHERWISE
    terms, sizes = study.federation, {n: r.public_size for n, r in study.regions.items()}
    sigma = solve_noise_multiplier(
        epsilon=study.privacy.epsilon,
        delta=study.privacy.delta,
        sample_rate=terms.sample_rate,
        steps=(terms.rounds + slack_rounds(terms.rounds)) * terms.local_steps,
    )
    shares = (
        Share(
            weight=float(weight),
            noise_multiplier=float(sigma),
            clip_norm=float(study.privacy.clip_norm),
            batch=float(terms.sample_rate * sizes[name]),
        )
        for name, weight in capped_weights(sizes).items()
    )
    return fitting_rate(
        weight_noise(shares, steps=terms.rounds * terms.local_steps),
        clip_norm=float(study.privacy.clip_norm),
        feature_length=feature_length(study),
    )


def feature_length(study: Study) -> float:
    """Return f of the study's student, a classifier: its own, or that of the one it goes on from.

    Raises:
        StudyError: If the run that it goes on from cannot be read.
    """
    former = former_run(study)
    return float(study.student.feature_scale) if former is None else former.feature_length


def follows_noise(study: Study) -> bool:
    """Return whether the study leaves its rate to the noise: a head, plain steps, no rate given."""
    how = study.optimizer
    is_plain = how.server is ServerRule.SGD and not (how.momentum or how.server_momentum)
    is_head = study.study.task is Task.CLASSIFICATION and study.student.train is Train.HEAD
    return how.learning_rate is None and is_head and is_plain and how.server_learning_rate == 1
