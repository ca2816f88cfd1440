"""Conformance of the clipped sum: one record moves it by at most C, whatever the record is.

Each check looks at what a private update releases when the noise is next to nothing. The bound is
the one that the noise is scaled to, C (1 + 1e-3). Two clip norms are tried: the plan's, and one
so small that every gradient is clipped in every tensor. Nothing here is left to chance.
"""

import math
from collections.abc import Iterator
from decimal import Decimal

import numpy as np
import torch

from distillation.dp.conformance_statistics import Samples
from distillation.dp.conformance_subject import (
    BASE,
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
_FINITE = (("an ordinary record", 1.0), ("a zero record", 0.0), ("a huge record", 1e4))
_OVERFLOWING = ("a record of 1e20", 1e20)
_NON_FINITE = (("a NaN record", math.nan), ("an infinite record", math.inf))


def sum_findings(subject: Subject) -> Iterator[Finding]:
    """Yield what is wrong and right with the sum before noise."""
    gradients = subject.gradients(subject.bench)
    tight = _tight(gradients)
    yield _sensitivity(subject, tight)
    yield _non_finite(subject)
    yield _length(subject, tight)
    yield _company(subject)
    yield _clipped_sum(subject, gradients, tight)
    yield _divisor(subject, tight)


def _tight(gradients: Samples) -> Decimal:
    """Return a clip norm below which no gradient is: a thousandth of the smallest norm."""
    smallest = float(np.linalg.norm(gradients, axis=1).min())
    return Decimal(repr(smallest / 1000)) if smallest > 0 else Decimal(1)


def _sensitivity(subject: Subject, tight: Decimal) -> Finding:
    one = subject.bench.subset(torch.tensor([SHORT]))
    moves = {}
    for clip_norm in (subject.terms.clip_norm, tight):
        for count in (BASE, 1, 0):
            others = subject.base(count)
            without = subject.summed(others, clip_norm)
            for name, factor in (*_FINITE, _OVERFLOWING):
                with_it = subject.summed(joined(others, scaled(one, factor)), clip_norm)
                moves[f"{name} among {count}"] = _norm(with_it - without)
    worst = max(moves, key=lambda name: _rank(moves[name]))
    return Finding(
        Check.SENSITIVITY,
        moves[worst] <= _BOUND,
        f"one record moves the sum by at most {_BOUND:g} C",
        f"{worst} moves it by {moves[worst]:.4g} C",
    )


def _non_finite(subject: Subject) -> Finding:
    one, clip_norm = subject.bench.subset(torch.tensor([SHORT])), subject.terms.clip_norm
    without, worst, refused = subject.summed(subject.base(), clip_norm), 0.0, ""
    for _, factor in _NON_FINITE:
        try:
            with_it = subject.summed(joined(subject.base(), scaled(one, factor)), clip_norm)
        except DistillationError as error:
            refused = f"; refused: {error}"
            continue
        worst = max(worst, _norm(with_it - without), key=_rank)
    return Finding(
        Check.NON_FINITE,
        worst <= _CLOSE,
        "a NaN or infinite record is refused, or adds nothing to the sum",
        f"it moves the sum by {worst:.4g} C{refused}",
    )


def _length(subject: Subject, tight: Decimal) -> Finding:
    """A long record may change neither the inputs of the short ones nor their gradients."""
    short, both = _of(subject, range(BASE)), _of(subject, [*range(BASE), LONG])
    mask = short.inputs.mask
    own = both.inputs.values[:BASE, : mask.shape[1]]
    same = torch.equal(own[mask], short.inputs.values[mask])
    worst = 0.0
    for clip_norm in (subject.terms.clip_norm, tight):
        moved = subject.summed(both, clip_norm) - subject.summed(short, clip_norm)
        worst = max(worst, _norm(moved), key=_rank)
    return Finding(
        Check.LENGTH,
        same and worst <= _BOUND,
        f"a long record leaves the others' inputs alone and moves the sum by at most {_BOUND:g} C",
        f"their inputs are {'the same' if same else 'others'}, the sum moves by {worst:.4g} C",
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


def _clipped_sum(subject: Subject, gradients: Samples, tight: Decimal) -> Finding:
    worst = 0.0
    for clip_norm in (subject.terms.clip_norm, tight):
        ratios = gradients[:BASE] / float(clip_norm)
        norms = np.linalg.norm(ratios, axis=1, keepdims=True)
        expected = (ratios / np.maximum(norms, 1)).sum(axis=0)
        found = subject.summed(subject.base(), clip_norm)
        worst = max(worst, _norm(found - expected) / BASE, key=_rank)
    return Finding(
        Check.CLIPPED_SUM,
        worst <= _CLOSE,
        "the sum is that of each record's own gradient, each clipped to C",
        f"it is off by {worst:.3g} C a record",
    )


def _divisor(subject: Subject, tight: Decimal) -> Finding:
    """Two of one record and eight of it: the same divisor, so four times the sum."""
    sums = [
        subject.summed(subject.bench.subset(torch.full((count,), SHORT)), tight) for count in (2, 8)
    ]
    few, many = (_norm(total) for total in sums)
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
