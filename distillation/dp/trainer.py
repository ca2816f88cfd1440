"""DP-SGD on one region's records: exactly K noised steps, then the change of the tensors.

The trained part of the student is a small module over frozen, cached inputs; this file neither
knows what the inputs are nor what the loss is, only that the loss has one value a record. Where
the privacy unit is a person, all records of a sampled person enter the step, as one gradient.
Source: Abadi et al. 2016, algorithm 1, with Poisson sampling and a public divisor.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import torch
from opacus.grad_sample import AbstractGradSampleModule
from torch import Tensor, nn

from distillation.dp.book_keeping import BookKeepingModule
from distillation.dp.books import Book
from distillation.dp.clipping import Clipping, choose, wrap
from distillation.dp.first_step import FirstStep
from distillation.dp.optimizer import PrivateOptimizer, StepTerms
from distillation.dp.units import UnitRows
from distillation.errors import TrainingError
from privacy.noise import SecureStream, poisson_sample

_MICRO_BATCH = 256
_MICRO_FLOATS = 1 << 26
"""Most per-record gradient values held at once, 256 MiB: many parameters, few records at a time."""
_BOOKED = 64
"""Records at a time when nothing per record is written out, however many parameters there are."""

_NO_GRADIENTS = ("lora_embedding_", "lora_magnitude_vector")
"""In names of peft's tensors that are used outside any layer with a rule."""

PerRecordLoss: TypeAlias = Callable[[nn.Module, Tensor], Tensor]
"""Maps the module and record indices of shape (B,) to losses of shape (B,)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalOptimizer:
    """Stochastic gradient descent as the recipe states it; its state is post-processing.

    Attributes:
        learning_rate: > 0.
        momentum: In [0, 1).
    """

    learning_rate: float
    momentum: float = 0.0

    def __post_init__(self) -> None:
        if not (0 < self.learning_rate < math.inf and 0 <= self.momentum < 1):
            raise TrainingError(
                "expected a finite learning rate > 0 and a momentum in [0, 1), got "
                f"{self.learning_rate} and {self.momentum}"
            )


def train_privately(
    module: nn.Module,
    loss: PerRecordLoss,
    *,
    records: int,
    steps: int,
    terms: StepTerms,
    optimizer: LocalOptimizer,
    stream: SecureStream,
    units: Tensor | None = None,
    clipping: Clipping | None = None,
) -> dict[str, Tensor]:
    """Take ``steps`` private steps on a copy-free module and return the change of each tensor.

    Guarantees, if ``loss`` gives each record a value that depends on that record alone:
      - the returned tensors are ``steps`` releases of the Poisson-sampled Gaussian mechanism
        at ``terms``, post-processed; add or remove one unit;
      - exactly ``steps`` steps are taken, also when a sampled batch is empty;
      - the returned names are exactly the tensors that were noised.
    A unit is a record, or with ``units`` all records that share a number: its loss is their mean,
    its gradient is clipped as one, and it is sampled as one.

    Args:
        module: The trained part of the student; changed in place.
        loss: Per-record losses for a batch of record indices.
        records: Number of records of the region.
        steps: K, the number of local steps.
        terms: σ, C, q and the public bounds on units and their records.
        optimizer: The local optimizer.
        stream: Cryptographic bits for sampling and noise.
        units: The number of each record's unit, (records,), from 0; None: each is a unit.
        clipping: How gradients are found; None: as `choose` says.

    Raises:
        TrainingError: If a parameter would leave without noise or the first step does not do what
            it should, or the region has more units, or a unit more records, than its public bound.
    """
    _refuse_uncovered(module)
    most = terms.max_records_per_unit
    owners = UnitRows.single(records) if units is None else UnitRows.of(units, most=most)
    if len(owners.unit) != records:
        raise TrainingError(f"expected the unit of {records} records, got {len(owners.unit)}")
    if owners.count > terms.public_size:
        raise TrainingError(
            f"the region has more {'records' if units is None else 'units'} than its public size "
            f"{terms.public_size}: raise the public size in the study and make a new plan"
        )
    before = _copies(module.named_parameters())
    constants = _copies(module.named_buffers())
    wrapped = wrap(module, clipping or choose(module).clipping)
    try:
        trained = [p for p in module.parameters() if p.requires_grad]
        sgd = torch.optim.SGD(trained, lr=optimizer.learning_rate, momentum=optimizer.momentum)
        private = PrivateOptimizer(sgd, terms=terms, stream=stream)
        gate = FirstStep(module, private.params, before, optimizer.learning_rate)
        for number in range(steps):
            batch = torch.from_numpy(poisson_sample(stream, owners.count, terms.sample_rate))
            _step(wrapped, private, loss, batch, owners)
            if number == 0:
                gate.require()
            private.zero_grad(set_to_none=True)
    finally:
        wrapped.to_standard_module()
    _require_same(constants, module)
    return _change(before, module)


def _step(
    module: AbstractGradSampleModule,
    private: PrivateOptimizer,
    loss: PerRecordLoss,
    batch: Tensor,
    owners: UnitRows,
) -> None:
    """Take one step of the logical batch, in micro-batches that are clipped and added up."""
    least = _BOOKED if isinstance(module, BookKeepingModule) else 1
    size = _micro_batch(sum(p.numel() for p in private.params), least) // max(1, owners.most)
    pieces = batch.split(max(1, size)) if len(batch) else (batch,)
    for number, piece in enumerate(pieces):
        private.zero_grad(set_to_none=True)
        if len(piece):
            rows, units = owners.pick(piece) if owners.most > 1 else (piece, None)
            _backward(module, loss, rows, units)
            private.group(units)
        else:
            private.count_no_record()
        private.signal_skip_step(do_skip=number < len(pieces) - 1)
        private.step()


def _backward(
    module: AbstractGradSampleModule, loss: PerRecordLoss, rows: Tensor, units: UnitRows | None
) -> None:
    """Leave each row's gradient, as a share of its unit's mean, in the module's tensors."""
    losses = loss(module, rows)
    if units is not None:
        losses = losses / units.sizes[units.unit]
    losses.sum().backward()
    if isinstance(module, BookKeepingModule):
        module.require_complete()
    _require_rows(module, len(rows))


def _require_rows(module: nn.Module, rows: int) -> None:
    """Check that every trained tensor has as many gradients as the micro-batch has records."""
    wrong = [
        name.removeprefix("_module.")
        for name, p in module.named_parameters()
        if p.requires_grad and _count(vars(p).get("grad_sample")) != rows
    ]
    if wrong:
        raise TrainingError(
            f"expected one gradient a record, but not so of {wrong}: either nothing depends on "
            "them, or their inputs are shared by the batch; freeze them, or expand what they read "
            "(such as position_ids) to one row a record"
        )


def _count(kept: object) -> int | None:
    return len(kept) if isinstance(kept, Tensor | Book) else None


def _micro_batch(parameters: int, least: int) -> int:
    """Return how many records are clipped at a time; the result does not depend on it."""
    return min(_MICRO_BATCH, max(least, _MICRO_FLOATS // parameters))


def _copies(named: Iterable[tuple[str, Tensor]]) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in named if _may_change(value)}


def _may_change(value: Tensor) -> bool:
    return value.requires_grad or not isinstance(value, nn.Parameter)


def _require_same(constants: Mapping[str, Tensor], module: nn.Module) -> None:
    """Refuse to release what a buffer has carried from one step's records to the next."""
    after = dict(module.named_buffers())
    changed = [name for name, value in constants.items() if not torch.equal(value, after[name])]
    if changed:
        raise TrainingError(f"the buffers {changed} changed during training: they carry records")


def _change(before: Mapping[str, Tensor], module: nn.Module) -> dict[str, Tensor]:
    after = {name: p.detach() for name, p in module.named_parameters() if p.requires_grad}
    if before.keys() != after.keys():
        raise TrainingError("the trained tensors changed their names during training")
    return {name: after[name] - before[name] for name in before}


def _refuse_uncovered(module: nn.Module) -> None:
    """Refuse what would leave a region without noise, or mixes records of one batch.

    Frozen tensors stay where they are, and what is not in the state is a constant of the code,
    such as position numbers; that it stayed one is checked at the end.
    """
    if not any(p.requires_grad for p in module.parameters()):
        raise TrainingError("the trained part has no trained tensors: nothing would be learned")
    adapters = [
        name
        for name, p in module.named_parameters()
        if p.requires_grad and any(part in name for part in _NO_GRADIENTS)
    ]
    if adapters:
        raise TrainingError(
            f"adapters on embeddings and weight-decomposed ones have no per-record gradients; got "
            f"{adapters}: put plain low-rank adapters on linear layers"
        )
    kept = module.state_dict().keys()
    buffers = [name for name, _ in module.named_buffers() if name in kept]
    mixing = [
        n for n, m in module.named_modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)
    ]
    if buffers or mixing:
        raise TrainingError(
            f"batch statistics and buffers carry records past the noise; got {buffers + mixing}: "
            "use a student without batch normalisation"
        )
