"""The part of a student that is trained privately, over inputs that are frozen and cached.

Everything below it never changes, so its outputs are computed once a record, in fixed shapes like
soft labels, and each private step costs only the small part. The tensors keep the names that they
have in the whole student.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from distillation.adapters import merged
from distillation.batch_independence import IndependentForward
from distillation.errors import TrainingError
from distillation.layout import Layout, Vector
from distillation.objectives import Objective, Targets
from distillation.objectives.values import Outputs
from distillation.tokens import Batch, Tokens
from distillation.top_k import TokenTargets

_ROWS = 32


@dataclass(frozen=True, slots=True)
class FrozenInputs:
    """What the trained part sees of n records.

    Attributes:
        values: (n, T, H), float32; T is 1 for a head over pooled features.
        mask: (n, T), bool, true for the record's own positions.
    """

    values: Tensor
    mask: Tensor

    def __getitem__(self, rows: Tensor) -> "FrozenInputs":
        """Return the inputs of these records."""
        return FrozenInputs(self.values[rows], self.mask[rows])

    def __len__(self) -> int:
        return len(self.values)


class TrainedPart(ABC):
    """A small module cut off the top of a student.

    Attributes:
        module: A copy with the trained tensors, those that need a gradient; training changes it
            in place.
        layout: Their names in the student, and shapes.
        length: The public number of positions to which all records are padded, so that no record's
            gradient has a shape that another record chose.
    """

    def __init__(self, student: PreTrainedModel, module: nn.Module, *, length: int) -> None:
        self.student = student
        self.length = length
        self.module = module
        self.layout = Layout.of(self._named())
        self._independent = IndependentForward(self._forward, rows=_ROWS)

    @abstractmethod
    def full_name(self, name: str) -> str:
        """Return the name in the student of a tensor of the module."""

    @abstractmethod
    def frozen(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return what the frozen part makes of a batch: values (B, T, H), mask (B, T)."""

    @abstractmethod
    def logits(self, module: nn.Module, inputs: FrozenInputs) -> Tensor:
        """Return the student's logits (B, 1, K); ``module`` is `module` or Opacus's wrapper."""

    def losses(
        self,
        module: nn.Module,
        inputs: FrozenInputs,
        targets: Targets | TokenTargets,
        objective: Objective,
    ) -> Tensor:
        """Return one loss a record, (B,): by default the objective's, from the whole logits.

        Raises:
            TrainingError: If the objective makes no loss of these targets.
        """
        if not isinstance(targets, Targets):
            raise TrainingError(
                f"expected targets over classes for a {type(self).__name__}, got top-k labels: "
                "is this another task's part?"
            )
        said = self.outputs(module, inputs)
        return objective.per_record(said.logits, targets, features=said.features)

    def outputs(self, module: nn.Module, inputs: FrozenInputs) -> Outputs:
        """Return logits and the hidden states that the part changes: by default none."""
        return Outputs(self.logits(module, inputs))

    def inputs(self, tokens: Tokens) -> FrozenInputs:
        """Return the frozen inputs of all records, bit-identical whatever else is there.

        Raises:
            TrainingError: If a record is longer than the public length.
        """
        values: list[Tensor] = [torch.empty(0)] * len(tokens)
        for batch in self._independent.batches(tokens):
            out, mask = self._forward(batch)
            for place, row in enumerate(batch.rows.tolist()):
                values[row] = out[place, mask[place]]
        return _stack(values, self.length)

    def load(self, vector: Vector) -> None:
        """Set the trained tensors, (d,)."""
        tensors = self.layout.unflatten(vector)
        with torch.no_grad():
            for name, p in self._named().items():
                p.copy_(tensors[name])

    def vector(self) -> Vector:
        """Return the trained tensors, (d,)."""
        return self.layout.flatten(self._named())

    def write_back(self) -> None:
        """Copy the trained tensors into the student; adapters are added to what they adapt."""
        own = dict(self.student.named_parameters())
        with torch.no_grad():
            for name, value in merged(self.module).items():
                own[self.full_name(name)].copy_(value)

    def _named(self) -> dict[str, Tensor]:
        trained = ((n, p) for n, p in self.module.named_parameters() if p.requires_grad)
        return {self.full_name(name): p for name, p in trained}

    @torch.no_grad()
    def _forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        return self.frozen(batch)


def _stack(values: list[Tensor], length: int) -> FrozenInputs:
    if max(map(len, values)) > length:
        raise TrainingError(f"expected records of at most {length} tokens, got a longer one")
    padded = torch.zeros(len(values), length, values[0].shape[-1])
    mask = torch.zeros(len(values), length, dtype=torch.bool)
    for row, value in enumerate(values):
        padded[row, : len(value)] = value
        mask[row, : len(value)] = True
    return FrozenInputs(padded, mask)
