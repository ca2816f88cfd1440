"""Conformance of the noise: the right amount, in every coordinate, fresh every time.

Two draws over the same records differ by noise alone; an update of a region without records is
noise alone. Both are compared with N(0, (σ C (1 + 1e-3))²) by bounds that hold for every number
of draws. The second also runs at the plan's own sample rate and public size, and so shows that
the divisor is their product.
"""

import math
from collections.abc import Iterator
from itertools import combinations

import numpy as np

from distillation.dp.conformance_statistics import Samples, limit, shape, spread
from distillation.dp.conformance_subject import Check, Finding, Subject
from privacy.noise import noise_scale

_SAMPLES = 20_000
_LEAST_DRAWS, _MOST_DRAWS = 2, 120
_STEPS = 4
_SHAPED = 50_000
"""Most coordinates whose distribution is looked at, spread evenly over all tensors."""
_REPEATS = 1e-3
"""Share of coordinates that may be equal in two draws: float32 makes it below 1e-5."""


def noise_findings(subject: Subject, false_alarm: float) -> Iterator[Finding]:
    """Yield what is wrong and right with the noise; each is a false alarm that rarely."""
    draws = 2 * math.ceil(_SAMPLES / subject.part.layout.size / 2)
    draws = min(max(draws, _LEAST_DRAWS), _MOST_DRAWS)
    scale = noise_scale(subject.terms.clip_norm, subject.terms.noise_multiplier)
    scale /= float(subject.terms.clip_norm)  # releases are in units of C
    with np.errstate(invalid="ignore"):  # a NaN of a faulty trainer is a finding, not a warning
        among = _draws(subject, draws, records=True) / scale
        pairs = (among[0::2] - among[1::2]) / math.sqrt(2)
        yield _spread_finding(Check.NOISE_SCALE, pairs, false_alarm)
        yield _everywhere(subject, pairs, false_alarm)
        yield _fresh_draws(among)
        alone = _draws(subject, draws, records=False) / scale
        yield _spread_finding(Check.EMPTY_STEP, alone, false_alarm)
        yield _shape(alone, false_alarm)
        yield _fresh_coordinates(subject, alone, false_alarm)
        quarter = max(1, draws // _STEPS)
        several = _draws(subject, quarter, records=False, steps=_STEPS) / scale
        yield _spread_finding(Check.FRESH_STEPS, several / math.sqrt(_STEPS), false_alarm)


def _draws(subject: Subject, count: int, *, records: bool, steps: int = 1) -> Samples:
    """Return so many releases over the made-up records, or over none at the plan's terms."""
    bench = subject.base() if records else subject.base(0)
    terms = subject.every_record() if records else subject.terms
    return np.stack([subject.released(bench, terms, steps=steps) for _ in range(count)])


_EXPECTED = {
    Check.NOISE_SCALE: "noise of the plan's scale beside records",
    Check.EMPTY_STEP: "an empty batch takes a step of noise of the plan's scale and divisor",
    Check.FRESH_STEPS: f"the noise of {_STEPS} steps adds up as that of independent steps",
}


def _spread_finding(check: Check, values: Samples, false_alarm: float) -> Finding:
    return Finding(
        check,
        spread(values) <= limit(false_alarm, 1),
        _EXPECTED[check],
        f"{_deviation(values):.4f} of it, from {values.size} coordinates",
    )


def _everywhere(subject: Subject, pairs: Samples, false_alarm: float) -> Finding:
    """Every tensor, and every single coordinate, has its noise."""
    columns = [(name, part) for name, part in subject.tensors(pairs)]
    most = limit(false_alarm, len(columns) + pairs.shape[1])
    wrong = [
        f"{name} has {_deviation(values):.4f} of its noise"
        for name, values in columns
        if spread(values) > most
    ]
    size, ratio = len(pairs), np.square(pairs).mean(axis=0)
    with np.errstate(divide="ignore"):
        surprise = size / 2 * (ratio - 1 - np.log(ratio))
    odd = int((~(surprise <= most)).sum())
    if odd:
        wrong.append(f"{odd} single coordinates have less or more")
    return Finding(
        Check.NOISE_EVERYWHERE,
        not wrong,
        "noise of the plan's scale in every tensor and coordinate",
        "; ".join(wrong) or f"it is, in {len(columns)} tensors of {pairs.shape[1]} coordinates",
    )


def _fresh_draws(draws: Samples) -> Finding:
    """No draw repeats another; what is not noised repeats too."""
    repeated = float((np.diff(draws, axis=0) == 0).mean())
    return Finding(
        Check.FRESH_DRAWS,
        repeated <= _REPEATS,
        "two updates from the same start share no noise",
        f"{repeated:.2%} of the coordinates are equal in two updates",
    )


def _shape(values: Samples, false_alarm: float) -> Finding:
    some = values.ravel()[:: math.ceil(values.size / _SHAPED)]
    surprise = shape(some)
    return Finding(
        Check.NOISE_SHAPE,
        surprise <= limit(false_alarm, 1),
        "the noise is Gaussian",
        f"{math.sqrt(surprise / 2 / some.size):.4f} from it at most, as a distribution",
    )


def _fresh_coordinates(subject: Subject, values: Samples, false_alarm: float) -> Finding:
    """Sums of coordinates have the variance of sums of independent ones."""
    sums = (values[:, :-1] + values[:, 1:]) / math.sqrt(2)
    groups = {
        "neighbours": sums[:, 0::2],
        "other neighbours": sums[:, 1::2],
        "all coordinates": values.sum(axis=1) / math.sqrt(values.shape[1]),
        "all draws": values.sum(axis=0) / math.sqrt(len(values)),
    }
    for (one, first), (other, second) in combinations(subject.tensors(values), 2):
        width = min(first.shape[1], second.shape[1])
        groups[f"{one} and {other}"] = (first[:, :width] + second[:, :width]) / math.sqrt(2)
    most = limit(false_alarm, len(groups))
    wrong = [name for name, group in groups.items() if group.size and spread(group) > most]
    return Finding(
        Check.FRESH_COORDINATES,
        not wrong,
        "every coordinate, tensor and update has noise of its own",
        f"shared between {', '.join(wrong)}" if wrong else f"it has, in {len(groups)} sums",
    )


def _deviation(values: Samples) -> float:
    return float(np.sqrt(np.square(values).mean()))
