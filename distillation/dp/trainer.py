"""DP-SGD on one region's records: exactly K noised steps, then the change of the tensors.

The trained part of the student is a small module over frozen, cached inputs; this file neither
knows what the inputs are nor what the loss is, only that the loss has one value a record.
Source: Abadi et al. 2016, algorithm 1, with Poisson sampling and a public divisor.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import torch
from opacus import GradSampleModule
from torch import Tensor, nn

from distillation.dp.optimizer import PrivateOptimizer, StepTerms
from distillation.errors import TrainingError
from privacy.noise import SecureStream, poisson_sample

_MICRO_BATCH = 256
_MICRO_FLOATS = 1 << 26
"""Most per-record gradient values held at once, 256 MiB: many parameters, few records at a time."""

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
) -> dict[str, Tensor]:
    """Take ``steps`` private steps on a copy-free module and return the change of each tensor.

    Guarantees, if ``loss`` gives each record a value that depends on that record alone:
      - the returned tensors are ``steps`` releases of the Poisson-sampled Gaussian mechanism
        at ``terms``, post-processed; add or remove one record;
      - exactly ``steps`` steps are taken, also when a sampled batch is empty;
      - the returned names are exactly the tensors that were noised.

    Args:
        module: The trained part of the student; changed in place.
        loss: Per-record losses for a batch of record indices.
        records: Number of records of the region.
        steps: K, the number of local steps.
        terms: σ, C, q and the public size.
        optimizer: The local optimizer.
        stream: Cryptographic bits for sampling and noise.

    Raises:
        TrainingError: If a parameter would leave without noise, or the region has more records
            than its public size.
    """
    _refuse_uncovered(module)
    if records > terms.public_size:
        raise TrainingError(
            f"the region has more records than its public size {terms.public_size}: "
            "raise the public size in the study and make a new plan"
        )
    before = {name: p.detach().clone() for name, p in module.named_parameters()}
    wrapped = GradSampleModule(module, loss_reduction="sum").train()
    try:
        sgd = torch.optim.SGD(
            module.parameters(), lr=optimizer.learning_rate, momentum=optimizer.momentum
        )
        private = PrivateOptimizer(sgd, terms=terms, stream=stream)
        for _ in range(steps):
            batch = torch.from_numpy(poisson_sample(stream, records, terms.sample_rate))
            _step(wrapped, private, loss, batch)
    finally:
        wrapped.to_standard_module()
    return _change(before, module)


def _step(
    module: GradSampleModule, private: PrivateOptimizer, loss: PerRecordLoss, batch: Tensor
) -> None:
    """Take one step of the logical batch, in micro-batches that are clipped and added up."""
    size = _micro_batch(sum(p.numel() for p in private.params))
    pieces = batch.split(size) if len(batch) else (batch,)
    for number, piece in enumerate(pieces):
        private.zero_grad()
        if len(piece):
            loss(module, piece).sum().backward()
        else:
            private.count_no_record()
        private.signal_skip_step(do_skip=number < len(pieces) - 1)
        private.step()
    private.zero_grad()


def _micro_batch(parameters: int) -> int:
    """Return how many records are clipped at a time; the result does not depend on it."""
    return max(1, min(_MICRO_BATCH, _MICRO_FLOATS // parameters))


def _change(before: Mapping[str, Tensor], module: nn.Module) -> dict[str, Tensor]:
    after = {name: p.detach() for name, p in module.named_parameters()}
    if before.keys() != after.keys():
        raise TrainingError("the trained tensors changed their names during training")
    return {name: after[name] - before[name] for name in before}


def _refuse_uncovered(module: nn.Module) -> None:
    """Refuse what would leave a region without noise, or mixes records of one batch."""
    frozen = [name for name, p in module.named_parameters() if not p.requires_grad]
    if frozen:
        raise TrainingError(f"expected only trained tensors in the trained part, got {frozen}")
    if not any(True for _ in module.parameters()):
        raise TrainingError("the trained part has no parameters: nothing would be learned")
    buffers = [name for name, _ in module.named_buffers()]
    mixing = [
        n for n, m in module.named_modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)
    ]
    if buffers or mixing:
        raise TrainingError(
            f"batch statistics and buffers carry records past the noise; got {buffers + mixing}: "
            "use a student without batch normalisation"
        )
