"""Conformance of sampling: each record in each step with the plan's q, by a coin of its own.

The batches are watched where the trainer asks for their losses. The made-up region has as many
records as make eight a step at the plan's q, so that what is tested is the plan's own sample rate.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from math import ceil

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from distillation.dp.conformance_statistics import counts, frequency, limit
from distillation.dp.conformance_subject import BASE, Check, Finding, Subject
from distillation.dp.trainer import LocalOptimizer
from distillation.recipe import Recipe
from distillation.trained_part import TrainedPart
from distillation.workbench import Workbench
from privacy.noise import SecureStream

_A_STEP = 8
_STEPS = 400
_MOST_RECORDS = 200_000
_STILL = LocalOptimizer(learning_rate=1e-9)  # the weights hardly move: the batches are the matter


@dataclass(frozen=True, slots=True)
class _Watched(Workbench):
    """A bench of many rows over few made-up records, which remembers who was asked for."""

    count: int = 0
    seen: list[NDArray[np.int64]] = field(default_factory=list)

    def __len__(self) -> int:
        return self.count

    def losses(self, part: TrainedPart, module: nn.Module, rows: Tensor, recipe: Recipe) -> Tensor:
        """Return the losses of the records that these rows stand for."""
        self.seen.append(rows.numpy().copy())
        return Workbench.losses(self, part, module, rows % len(self.inputs), recipe)


@dataclass(frozen=True, slots=True)
class _Batches:
    """The rows of each step, as a table (steps, n) of how often a row is in it."""

    table: NDArray[np.int64]
    chance: float

    @property
    def trials(self) -> int:
        """Number of coins."""
        return self.table.size


def sampling_findings(subject: Subject, false_alarm: float) -> Iterator[Finding]:
    """Yield what is wrong and right with the sampling; each is a false alarm that rarely."""
    batches = _watch(subject)
    yield _rate(batches, false_alarm)
    yield _sizes(batches, false_alarm)
    yield _records(batches, false_alarm)
    yield _independence(batches, false_alarm)


def _watch(subject: Subject) -> _Batches:
    rate = subject.terms.sample_rate
    count = min(ceil(_A_STEP / rate), _MOST_RECORDS)
    base = subject.base()
    bench = _Watched(base.inputs, base.targets, count)
    bench.private_update(
        subject.part,
        subject.weights,
        replace(subject.recipe, optimizer=_STILL),
        steps=_STEPS,
        terms=replace(subject.terms, public_size=count),
        stream=SecureStream(),
    )
    steps = max(_STEPS, len(bench.seen))  # an empty batch asks for no loss
    table = np.zeros((steps, count), dtype=np.int64)
    for step, rows in enumerate(bench.seen):
        np.add.at(table[step], rows, 1)
    return _Batches(table, float(rate))


def _rate(batches: _Batches, false_alarm: float) -> Finding:
    total = int(batches.table.sum())
    surprise = frequency(min(total, batches.trials), batches.trials, batches.chance)
    return Finding(
        Check.SAMPLE_RATE,
        surprise <= limit(false_alarm, 1) and total <= batches.trials,
        f"each record is in a step with chance {batches.chance:.6g}",
        f"it is with {total / batches.trials:.6g}, in {len(batches.table)} steps",
    )


def _sizes(batches: _Batches, false_alarm: float) -> Finding:
    sizes = batches.table.sum(axis=1)
    surprise, statistics = counts(sizes.tolist(), batches.table.shape[1], batches.chance)
    return Finding(
        Check.SAMPLE_SIZES,
        surprise <= limit(false_alarm, statistics),
        "the sizes of the batches are binomial",
        f"{sizes.min()} to {sizes.max()} records, standard deviation {sizes.std():.2f} where "
        f"{np.sqrt(batches.table.shape[1] * batches.chance * (1 - batches.chance)):.2f} is right",
    )


def _records(batches: _Batches, false_alarm: float) -> Finding:
    """No record, and no kind of record, is drawn more often than another."""
    steps, records = batches.table.shape
    often = batches.table.sum(axis=0)
    surprise, statistics = counts(often.tolist(), steps, batches.chance)
    extremes = [frequency(min(int(n), steps), steps, batches.chance) for n in set(often.tolist())]
    kinds = [often[kind::BASE] for kind in range(min(BASE, records))]
    of_kinds = [
        frequency(min(int(kind.sum()), steps * len(kind)), steps * len(kind), batches.chance)
        for kind in kinds
    ]
    once = int(batches.table.max()) <= 1
    worst = max(surprise, *extremes, *of_kinds)
    return Finding(
        Check.SAMPLE_RECORDS,
        once and worst <= limit(false_alarm, statistics + records + len(kinds)),
        "every record is drawn alike, at most once a step, whatever it holds",
        f"{often.min()} to {often.max()} times in {steps} steps, a surprise of {worst:.1f}"
        + ("" if once else "; some more than once a step"),
    )


def _independence(batches: _Batches, false_alarm: float) -> Finding:
    """A record is drawn neither with its neighbour nor because it was drawn the step before."""
    table = batches.table.astype(bool)
    even_steps, even = len(table) // 2 * 2, table.shape[1] // 2 * 2
    groups = {
        "steps in a row": table[0:even_steps:2] & table[1:even_steps:2],
        "neighbours in the data": table[:, 0:even:2] & table[:, 1:even:2],
    }
    most = limit(false_alarm, len(groups))
    wrong = [
        f"{int(group.sum())} joint draws of {name} where {group.size * batches.chance**2:.0f} "
        "are right"
        for name, group in groups.items()
        if group.size and frequency(int(group.sum()), group.size, batches.chance**2) > most
    ]
    return Finding(
        Check.SAMPLE_INDEPENDENCE,
        not wrong,
        "every draw is by a coin of its own",
        "; ".join(wrong) or f"it is, in {len(groups)} counts of joint draws",
    )
