"""Dirac canaries: records whose clipped gradient is one coordinate of the head, and nothing else.

Canary i has an input with a single non-zero feature and a loss that is linear in a single logit, so
that its gradient is C in one weight of the linear head, whatever the weights are. No two canaries
share a weight: what a run did with one shows in one place. They go through the region's own trained
part and trainer (`Workbench.private_update`); only their loss is not the study's.

Beside them stand fillers, records with all features zero under the study's own objective: they make
the batches as large as the plan's, and move the bias alone.
"""

from dataclasses import dataclass, field
from math import isqrt

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from distillation.audit.errors import AuditError
from distillation.classifier_part import HeadPart
from distillation.layout import Vector
from distillation.objectives import Targets
from distillation.recipe import Recipe
from distillation.tokens import Batch
from distillation.trained_part import FrozenInputs, TrainedPart
from distillation.workbench import Workbench

_FEATURE = 1000.0
"""The one feature: the bias's share of the gradient is a thousandth of the weight's."""


@dataclass(frozen=True, slots=True)
class _CanaryBench(Workbench):
    """A bench some of whose rows are canaries.

    Attributes:
        logit: The canary's logit, (n,); -1 for a filler or a record.
        slope: What the loss of a canary multiplies its logit by.
    """

    logit: Tensor = field(kw_only=True)
    slope: float = field(kw_only=True)

    def losses(self, part: TrainedPart, module: nn.Module, rows: Tensor, recipe: Recipe) -> Tensor:
        """Return one loss a record, (B,): linear for a canary, the study's for a filler."""
        inputs = self.inputs[rows]
        inputs.values.requires_grad_()  # as a region's bench does
        logits, chosen = part.logits(module, inputs), self.logit[rows]
        losses = self.slope * logits[torch.arange(len(rows)), 0, chosen.clamp(min=0)]
        others = chosen < 0
        objective = recipe.objective.without_states()  # a linear head changes none
        study = objective.per_record(logits[others], self.classes[rows][others])
        return losses.masked_scatter(others, study)


class AuditHead(TrainedPart):
    """A linear audit head in place of a part whose head is not trained alone.

    What it shows is the trainer's sampling, clipping and noise, not that part's layers.
    """

    def __init__(self, part: TrainedPart, *, width: int, outcomes: int) -> None:
        super().__init__(part.student, nn.Linear(width, outcomes), length=1)

    def full_name(self, name: str) -> str:
        """Return the name as it is."""
        return name

    def frozen(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Refuse: canaries bring their inputs.

        Raises:
            AuditError: Always.
        """
        raise AuditError("an audit head has no encoder: it is given its inputs")

    def logits(self, module: nn.Module, inputs: FrozenInputs) -> Tensor:
        """Return the head's logits."""
        out: Tensor = module(inputs.values)
        return out


def audited_part(part: TrainedPart, canaries: int) -> TrainedPart:
    """Return the part itself if it is a linear head with room for the canaries, else a stand-in.

    Args:
        part: The region's.
        canaries: m; each needs a weight of its own.
    """
    head = part.module
    if isinstance(part, HeadPart) and isinstance(head, nn.Linear) and _room(head) >= canaries:
        return part
    width = isqrt(canaries - 1) + 1
    return AuditHead(part, width=width, outcomes=max(2, width))


@dataclass(frozen=True, slots=True)
class DiracCanaries:
    """m canaries for one trained part, each with a weight of its own.

    Attributes:
        part: A linear head, as `audited_part` returns it.
        outcome: The row of each canary's weight, (m,).
        feature: Its column, (m,).
    """

    part: TrainedPart
    outcome: Tensor
    feature: Tensor

    @classmethod
    def of(cls, part: TrainedPart, count: int) -> "DiracCanaries":
        """Return so many, spread over all outcomes.

        Raises:
            AuditError: If the part is no linear head with so many weights.
        """
        head = part.module
        if not isinstance(head, nn.Linear) or _room(head) < count:
            raise AuditError(f"expected a linear head of at least {count} weights")
        numbers = torch.arange(count)
        return cls(part, numbers % head.out_features, numbers // head.out_features)

    def bench(self, coins: NDArray[np.bool_], *, fillers: int, clip_norm: float) -> Workbench:
        """Return the canaries whose coin is true, with fillers behind them.

        Args:
            coins: (m,).
            fillers: How many, >= 0.
            clip_norm: C; the gradients are a thousand times as long before they are clipped.
        """
        head = self._head()
        inputs = FrozenInputs(
            torch.zeros(fillers, 1, head.in_features), torch.ones(fillers, 1, dtype=torch.bool)
        )
        behind = Workbench(inputs, _no_targets(fillers, head.out_features))
        present, logit = self._present(coins)
        return _joined(present, behind, torch.cat([logit, _others(fillers)]), slope=clip_norm)

    def among(self, records: Workbench, coins: NDArray[np.bool_], *, clip_norm: float) -> Workbench:
        """Return a region's records with the canaries whose coin is true behind them.

        Args:
            records: The region's, on the same part.
            coins: (m,).
            clip_norm: C.
        """
        present, logit = self._present(coins)
        logits = torch.cat([_others(len(records)), logit])
        return _joined(records, present, logits, slope=clip_norm)

    def _present(self, coins: NDArray[np.bool_]) -> tuple[Workbench, Tensor]:
        """Return the canaries that are in, and the logit of each."""
        head, present = self._head(), torch.from_numpy(np.flatnonzero(coins))
        count = len(present)
        values = torch.zeros(count, 1, head.in_features)
        values[torch.arange(count), 0, self.feature[present]] = _FEATURE
        inputs = FrozenInputs(values, torch.ones(count, 1, dtype=torch.bool))
        targets = _no_targets(count, head.out_features)
        return Workbench(inputs, targets), self.outcome[present]

    def _head(self) -> nn.Linear:
        head = self.part.module
        if not isinstance(head, nn.Linear):  # `of` saw one
            raise AuditError("the trained part is no linear head any more")
        return head

    def scores(self, released: Vector) -> NDArray[np.float64]:
        """Return each canary's coordinate of what was released, (m,)."""
        weight = self.part.layout.unflatten(released)[self.part.full_name("weight")]
        found: NDArray[np.float64] = weight[self.outcome, self.feature].double().numpy()
        return found


def _no_targets(count: int, outcomes: int) -> Targets:
    """Return answers that say nothing; a canary's loss does not look at them."""
    answers = torch.zeros(count, outcomes).log_softmax(-1)
    return Targets.of_classes(answers, torch.zeros(count, dtype=torch.int64))


def _joined(first: Workbench, second: Workbench, logit: Tensor, *, slope: float) -> Workbench:
    """Return both, one behind the other; ``logit`` is -1 for what is no canary, (n,)."""
    one, two = first.classes, second.classes
    if one.features:
        raise AuditError("canaries have no hidden states of a teacher: declare no audit")
    return _CanaryBench(
        FrozenInputs(
            torch.cat([first.inputs.values, second.inputs.values]),
            torch.cat([first.inputs.mask, second.inputs.mask]),
        ),
        Targets(
            torch.cat([one.log_probs, two.log_probs]),
            torch.cat([one.reference, two.reference]),
            torch.cat([one.mask, two.mask]),
        ),
        logit=logit,
        slope=slope,
    )


def _others(count: int) -> Tensor:
    return torch.full((count,), -1)


def _room(head: nn.Linear) -> int:
    """Return how many weights there are, one for each canary."""
    return head.in_features * head.out_features
