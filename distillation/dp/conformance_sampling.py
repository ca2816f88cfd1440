"""Conformance of sampling: each record in each step with the plan's q, by a coin of its own.

The batches are watched where the trainer asks for their losses. The made-up region has as many
records as make 32 a step at the plan's q, so that what is tested is the plan's own sample rate.

The steps are the trainer's own. Where the trained part is large, a step of it costs a hundred times
what sampling does; then a linear layer takes its place in these steps, and a few more steps of the
real part show that it is sampled at the same rate.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from math import ceil

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from distillation.dp.conformance_statistics import counts, frequency, limit
from distillation.dp.conformance_subject import BASE, Check, Finding, Subject
from distillation.dp.trainer import LocalOptimizer
from distillation.recipe import Recipe
from distillation.tokens import Batch
from distillation.trained_part import FrozenInputs, TrainedPart
from distillation.workbench import Workbench
from privacy.noise import SecureStream

_A_STEP = 32
_STEPS = 100
_MOST_RECORDS = 200_000
_LARGE = 20_000
"""From so many trained values on, a linear layer takes the place of the trained part."""
_REAL_UPDATES = 1
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


class _StandIn(TrainedPart):
    """A linear layer over one input, with as many outcomes as the teacher has."""

    def __init__(self, part: TrainedPart, outcomes: int) -> None:
        super().__init__(part.student, nn.Linear(1, outcomes), length=1)

    def full_name(self, name: str) -> str:
        """Return the name as it is."""
        return name

    def frozen(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return a one for every record."""
        count = len(batch.input_ids)
        return torch.ones(count, 1, 1), torch.ones(count, 1, dtype=torch.bool)

    def logits(self, module: nn.Module, inputs: FrozenInputs) -> Tensor:
        """Return the layer's logits."""
        out: Tensor = module(inputs.values)
        return out


@dataclass(frozen=True, slots=True)
class _Batches:
    """The rows of each step, as a table (steps, n) of how often a row is in it."""

    table: NDArray[np.int16]
    chance: float

    @property
    def trials(self) -> int:
        """Number of coins."""
        return self.table.size


def sampling_findings(subject: Subject, false_alarm: float) -> Iterator[Finding]:
    """Yield what is wrong and right with the sampling; each is a false alarm that rarely."""
    large = subject.part.layout.size >= _LARGE
    light = subject.with_part(_stand_in(subject)) if large else subject
    batches = _watch(light)
    together = _together(light)
    yield _rate(batches, _watch_real(subject) if large else None, false_alarm)
    yield _sizes(batches, false_alarm)
    yield _records(batches, together, false_alarm)
    yield _independence(batches, false_alarm)


def _stand_in(subject: Subject) -> _StandIn:
    return _StandIn(subject.part, len(subject.teacher.outcomes))


def _watch(subject: Subject) -> _Batches:
    """Watch the steps of one update."""
    seen, count = _seen(subject, steps=_STEPS)
    table = np.zeros((max(_STEPS, len(seen)), count), dtype=np.int16)
    for step, rows in enumerate(seen):  # an empty batch asks for no loss
        np.add.at(table[step], rows, 1)
    return _Batches(table, float(subject.terms.sample_rate))


def _watch_real(subject: Subject) -> _Batches:
    """Watch updates of one step each: what is asked for in pieces is one batch."""
    seen, count = [], 0
    for _ in range(_REAL_UPDATES):
        pieces, count = _seen(subject, steps=1)
        seen.append(np.concatenate([np.zeros(0, dtype=np.int64), *pieces]))
    table = np.zeros((_REAL_UPDATES, count), dtype=np.int16)
    for step, rows in enumerate(seen):
        np.add.at(table[step], rows, 1)
    return _Batches(table, float(subject.terms.sample_rate))


def _together(subject: Subject) -> bool:
    """Return whether the two records of a person are in the same steps."""
    pieces, _ = _seen(subject, steps=_STEPS // 10, of_a_person=2)
    return all(np.array_equal(np.sort(rows)[0::2] + 1, np.sort(rows)[1::2]) for rows in pieces)


def _seen(
    subject: Subject, *, steps: int, of_a_person: int = 1
) -> tuple[list[NDArray[np.int64]], int]:
    """Return the rows that one update asks for, piece by piece, and of how many rows."""
    count = of_a_person * min(ceil(_A_STEP / subject.terms.sample_rate), _MOST_RECORDS)
    units = torch.arange(count) // of_a_person if of_a_person > 1 else None
    base = subject.base()
    bench = _Watched(base.inputs, base.targets, units=units, count=count)
    bench.private_update(
        subject.part,
        subject.weights,
        replace(subject.recipe, optimizer=_STILL),
        steps=steps,
        terms=replace(subject.terms, public_size=count, max_records_per_unit=of_a_person),
        stream=SecureStream(),
    )
    return bench.seen, count


def _rate(batches: _Batches, real: _Batches | None, false_alarm: float) -> Finding:
    looked_at = [batches] if real is None else [batches, real]
    most = limit(false_alarm, len(looked_at))
    totals = [int(some.table.sum()) for some in looked_at]
    right = all(
        total <= some.trials and frequency(total, some.trials, some.chance) <= most
        for total, some in zip(totals, looked_at, strict=True)
    )
    found = [
        f"{total / some.trials:.6g} in {len(some.table)} steps"
        for total, some in zip(totals, looked_at, strict=True)
    ]
    return Finding(
        Check.SAMPLE_RATE,
        right,
        f"each record is in a step with chance {batches.chance:.6g}",
        f"it is with {' and '.join(found)}",
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


def _records(batches: _Batches, together: bool, false_alarm: float) -> Finding:
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
        once and together and worst <= limit(false_alarm, statistics + records + len(kinds)),
        "every record is drawn alike, at most once a step, whatever it holds; a person's together",
        f"{often.min()} to {often.max()} times in {steps} steps, a surprise of {worst:.1f}"
        + ("" if once else "; some more than once a step")
        + ("" if together else "; a person's records not together"),
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
