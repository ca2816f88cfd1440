"""Conformance of the clipped sum: one record moves it by at most C, whatever the record is.

Each check looks at what a private update releases when the noise is next to nothing. The bound is
the one that the noise is scaled to, C (1 + 1e-3). Two clip norms are tried: the plan's, and one
so small that every gradient is clipped in every tensor. Nothing here is left to chance. With many
trained tensors an update is dear, so none is made that would show what another one shows.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

import numpy as np
import torch

from distillation.dp.conformance_statistics import Samples
from distillation.dp.conformance_subject import (
    LONG,
    SHORT,
    Check,
    Finding,
    Subject,
    joined,
    scaled,
)
from distillation.errors import DistillationError
from distillation.tokens import Tokens
from distillation.workbench import Workbench
from privacy.noise import CLIP_TOLERANCE

_BOUND = float(1 + CLIP_TOLERANCE)
_CLOSE = 1e-3
_FEW = 8
"""Records that another one joins: few, so that what it does to their mean shows."""
_OF_A_PERSON = 3
_ORDINARY, _ZERO, _HUGE = (
    ("an ordinary record", 1.0),
    ("a zero record", 0.0),
    ("a huge record", 1e4),
)
_OVERFLOWING = ("a record of 1e20", 1e20)
_NON_FINITE = (("a NaN record", math.nan), ("an infinite record", math.inf))


@dataclass(frozen=True, slots=True)
class _Sums:
    """What the checks share.

    Attributes:
        subject: The trainer.
        gradients: Each record's own gradient: the few, then the short one, then the long one.
        tight: A clip norm that every gradient exceeds in every tensor.
        few: The sum over the few, by clip norm.
    """

    subject: Subject
    gradients: Samples
    tight: Decimal
    few: Mapping[Decimal, Samples]

    @property
    def clip_norm(self) -> Decimal:
        """The plan's."""
        return self.subject.terms.clip_norm

    @property
    def one(self) -> Workbench:
        """The record that comes and goes."""
        return self.subject.bench.subset(torch.tensor([SHORT]))

    def moved(self, others: int, factor: float, clip_norm: Decimal) -> float:
        """Return how far the record, times ``factor``, moves the sum over ``others``, in C."""
        bench = self.subject.base(others)
        without = self.few.get(clip_norm) if others == _FEW else None
        if without is None:
            without = self.subject.summed(bench, clip_norm)
        with_it = self.subject.summed(joined(bench, scaled(self.one, factor)), clip_norm)
        return _norm(with_it - without)

    def moved_by_a_person(self) -> float:
        """Return how far one person's records move the sum, in C, where all are clipped."""
        short = self.subject.bench.subset(torch.full((_OF_A_PERSON,), SHORT))
        units = torch.tensor([*range(_FEW), *[_FEW] * _OF_A_PERSON])
        bench = replace(joined(self.subject.base(_FEW), short), units=units)
        terms = replace(self.subject.terms, max_records_per_unit=_OF_A_PERSON)
        subject = replace(self.subject, terms=terms)
        return _norm(subject.summed(bench, self.tight) - self.few[self.tight])


def sum_findings(subject: Subject) -> Iterator[Finding]:
    """Yield what is wrong and right with the sum before noise."""
    gradients = subject.gradients(subject.bench.subset(torch.tensor([*range(_FEW), SHORT, LONG])))
    tight = _tight(gradients)
    few = {
        norm: subject.summed(subject.base(_FEW), norm) for norm in (subject.terms.clip_norm, tight)
    }
    sums = _Sums(subject, gradients, tight, few)
    yield _sensitivity(sums)
    yield _non_finite(sums)
    yield _length(sums)
    yield _company(subject)
    yield _clipped_sum(sums)
    yield _divisor(sums)


def _tight(gradients: Samples) -> Decimal:
    """Return a clip norm below which no gradient is: a thousandth of the smallest norm."""
    smallest = min(map(_norm, gradients))
    return Decimal(repr(smallest / 1000)) if smallest > 0 else Decimal(1)


def _sensitivity(sums: _Sums) -> Finding:
    moves = {}
    for clip_norm, count, (name, factor) in (
        *((sums.clip_norm, _FEW, kind) for kind in (_ORDINARY, _ZERO, _HUGE, _OVERFLOWING)),
        (sums.clip_norm, 1, _HUGE),
        (sums.clip_norm, 0, _OVERFLOWING),
        (sums.tight, _FEW, _ORDINARY),
    ):
        label = f"{name} among {count}" + (", all clipped," if clip_norm == sums.tight else "")
        moves[label] = sums.moved(count, factor, clip_norm)
    moves[f"a person of {_OF_A_PERSON} records"] = sums.moved_by_a_person()
    worst = max(moves, key=lambda name: _rank(moves[name]))
    return Finding(
        Check.SENSITIVITY,
        moves[worst] <= _BOUND,
        f"one record, or one person's, moves the sum by at most {_BOUND:g} C",
        f"{worst} moves it by {moves[worst]:.4g} C",
    )


def _non_finite(sums: _Sums) -> Finding:
    worst, refused = 0.0, ""
    for _, factor in _NON_FINITE:
        try:
            worst = max(worst, sums.moved(_FEW, factor, sums.clip_norm), key=_rank)
        except DistillationError as error:
            refused = f"; refused: {error}"
    return Finding(
        Check.NON_FINITE,
        worst <= _CLOSE,
        "a NaN or infinite record is refused, or adds nothing to the sum",
        f"it moves the sum by {worst:.4g} C{refused}",
    )


def _length(sums: _Sums) -> Finding:
    """A long record may change neither the inputs of the short ones nor their gradients.

    Nor their shape, which is the public length's.
    The clip norm is the median gradient's: half of them would show another length, and half
    another direction.
    """
    short, both = _of(sums.subject, range(_FEW)), _of(sums.subject, [*range(_FEW), LONG])
    own = both.inputs[torch.arange(_FEW)]
    same = torch.equal(own.values, short.inputs.values) and torch.equal(own.mask, short.inputs.mask)
    same = same and own.values.shape[1] == sums.subject.part.length
    clip_norm = Decimal(repr(float(np.median([_norm(row) for row in sums.gradients]))))
    clip_norm = clip_norm if clip_norm > 0 else sums.clip_norm
    moved = sums.subject.summed(both, clip_norm) - sums.subject.summed(short, clip_norm)
    return Finding(
        Check.LENGTH,
        same and _norm(moved) <= _BOUND,
        f"a long record leaves the others' inputs alone and moves the sum by at most {_BOUND:g} C",
        f"their inputs are {'the same' if same else 'others'}, the sum moves by "
        f"{_norm(moved):.4g} C",
    )


def _of(subject: Subject, rows: range | list[int]) -> Workbench:
    """Return a bench whose inputs are computed for these records alone."""
    ids = tuple(subject.tokens.ids[row] for row in rows)
    inputs = subject.part.inputs(Tokens(ids, subject.tokens.padding))
    return Workbench(inputs, subject.bench.targets[torch.tensor(list(rows))])


@torch.no_grad()
def _company(subject: Subject) -> Finding:
    part, bench, recipe = subject.part, subject.bench, subject.recipe
    part.load(subject.weights)
    rows = torch.arange(len(bench))
    among = bench.losses(part, part.module, rows, recipe)
    alone = torch.cat([bench.losses(part, part.module, row, recipe) for row in rows.split(1)])
    worst = _worst((among - alone).abs() / (1e-6 + alone.abs()))
    return Finding(
        Check.COMPANY,
        worst <= _CLOSE,
        "a record's loss is the same alone and among others",
        f"it differs by {worst:.3g} of its value",
    )


def _clipped_sum(sums: _Sums) -> Finding:
    worst = 0.0
    for clip_norm, found in sums.few.items():
        expected = np.zeros_like(found)
        for gradient in sums.gradients[:_FEW]:
            expected += gradient / max(_norm(gradient), float(clip_norm))
        worst = max(worst, _norm(found - expected) / _FEW, key=_rank)
    return Finding(
        Check.CLIPPED_SUM,
        worst <= _CLOSE,
        "the sum is that of each record's own gradient, each clipped to C",
        f"it is off by {worst:.3g} C a record",
    )


def _divisor(sums: _Sums) -> Finding:
    """Two of one record and eight of it: the same divisor, so four times the sum."""
    copies = [sums.subject.bench.subset(torch.full((count,), SHORT)) for count in (2, 8)]
    few, many = (_norm(sums.subject.summed(bench, sums.tight)) for bench in copies)
    return Finding(
        Check.DIVISOR,
        abs(few - 2) <= 2 * _CLOSE and abs(many - 8) <= 8 * _CLOSE,
        "2 and 8 copies of a record sum to 2 C and 8 C over the public divisor",
        f"they sum to {few:.4g} C and {many:.4g} C",
    )


def _norm(vector: Samples) -> float:
    return float(np.linalg.norm(vector))


def _rank(value: float) -> float:
    """Order NaN above every number."""
    return math.inf if math.isnan(value) else value


def _worst(values: torch.Tensor) -> float:
    return max(map(_rank, values.flatten().tolist()))
