"""The part of a student that is trained privately, over inputs that are frozen and cached.

Everything below it never changes, so its outputs are computed once a record, in fixed shapes like
soft labels, and each private step costs only the small part. The tensors keep the names that they
have in the whole student.
"""

import copy
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize
from transformers import PreTrainedModel

from distillation.batch_independence import IndependentForward
from distillation.errors import TrainingError
from distillation.kinds import TRAINED, Task, Train
from distillation.layout import Layout, Vector
from distillation.objectives import Objective, Targets
from distillation.objectives.values import Outputs
from distillation.students import MeanPoolClassifier, encoder_layers, pool
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
        module: The trained tensors, a copy; training changes it in place.
        layout: Their names in the student, and shapes.
    """

    def __init__(self, student: PreTrainedModel, module: nn.Module) -> None:
        self.student = student
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
        """Return the frozen inputs of all records, bit-identical whatever else is there."""
        values: list[Tensor] = [torch.empty(0)] * len(tokens)
        for batch in self._independent.batches(tokens):
            out, mask = self._forward(batch)
            for place, row in enumerate(batch.rows.tolist()):
                values[row] = out[place, mask[place]]
        return _stack(values)

    def load(self, vector: Vector) -> None:
        """Set the trained tensors, (d,)."""
        tensors = self.layout.unflatten(vector)
        with torch.no_grad():
            for name, p in self.module.named_parameters():
                p.copy_(tensors[self.full_name(name)])

    def vector(self) -> Vector:
        """Return the trained tensors, (d,)."""
        return self.layout.flatten(self._named())

    def write_back(self) -> None:
        """Copy the trained tensors into the student."""
        own = dict(self.student.named_parameters())
        with torch.no_grad():
            for name, value in self._named().items():
                own[name].copy_(value)

    def _named(self) -> dict[str, Tensor]:
        return {self.full_name(name): p for name, p in self.module.named_parameters()}

    @torch.no_grad()
    def _forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        return self.frozen(batch)


class HeadPart(TrainedPart):
    """The linear head over pooled features."""

    student: MeanPoolClassifier

    def __init__(self, student: MeanPoolClassifier) -> None:
        head = nn.Linear(student.head.in_features, student.head.out_features)
        head.load_state_dict(student.head.state_dict())
        super().__init__(student, head)

    def full_name(self, name: str) -> str:
        """Return ``head.NAME``."""
        return f"head.{name}"

    def frozen(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return scaled pooled features, (B, 1, H)."""
        out = self.student.encoder(
            input_ids=batch.input_ids, attention_mask=batch.attention_mask
        ).last_hidden_state
        features = self.student.config.feature_scale * pool(out, batch.attention_mask)
        return features.unsqueeze(1), torch.ones(len(features), 1, dtype=torch.bool)

    def logits(self, module: nn.Module, inputs: FrozenInputs) -> Tensor:
        """Return the head's logits."""
        out: Tensor = module(inputs.values)
        return out


class _Top(nn.Module):
    """An encoder's last layer, pooling and the head, as one module."""

    def __init__(self, student: MeanPoolClassifier) -> None:
        super().__init__()
        self.layer = copy.deepcopy(encoder_layers(student.encoder)[-1])
        self.head = copy.deepcopy(student.head)
        self.scale = student.config.feature_scale

    def forward(self, values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (B, K) and the pooled last hidden state, (B, H), of length 1."""
        bias = torch.where(mask, 0.0, torch.finfo(values.dtype).min)[:, None, None, :]
        hidden = self.layer(values, attention_mask=bias)
        weights = mask.unsqueeze(-1).to(hidden.dtype)
        pooled = normalize((hidden * weights).sum(dim=1) / weights.sum(dim=1), dim=-1)
        return self.head(self.scale * pooled), pooled


class LastLayerPart(TrainedPart):
    """The encoder's last layer and the head."""

    student: MeanPoolClassifier

    def __init__(self, student: MeanPoolClassifier) -> None:
        self._index = len(encoder_layers(student.encoder)) - 1
        super().__init__(student, _Top(student))

    def full_name(self, name: str) -> str:
        """Return the name below the encoder's stack, or below the head."""
        if name.startswith("layer."):
            return f"encoder.encoder.layer.{self._index}.{name.removeprefix('layer.')}"
        return name

    def frozen(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the hidden states below the last layer, (B, L, H)."""
        out = self.student.encoder(
            input_ids=batch.input_ids,
            attention_mask=batch.attention_mask,
            output_hidden_states=True,
        )
        return out.hidden_states[-2], batch.attention_mask.bool()

    def logits(self, module: nn.Module, inputs: FrozenInputs) -> Tensor:
        """Return logits (B, 1, K)."""
        return self.outputs(module, inputs).logits

    def outputs(self, module: nn.Module, inputs: FrozenInputs) -> Outputs:
        """Return logits (B, 1, K) and the pooled last hidden state, (B, 1, H)."""
        logits, pooled = module(inputs.values, inputs.mask)
        return Outputs(logits.unsqueeze(1), (pooled.unsqueeze(1),))


def trained_part(student: MeanPoolClassifier, train: Train) -> TrainedPart:
    """Return a fresh copy of the part of ``student`` that is to be trained.

    Raises:
        TrainingError: If classifiers have no such part.
    """
    parts: dict[Train, type[HeadPart | LastLayerPart]] = {
        Train.HEAD: HeadPart,
        Train.LAST: LastLayerPart,
    }
    if train not in parts:
        raise TrainingError(
            f"expected a classifier to train {', '.join(TRAINED[Task.CLASSIFICATION])}, got "
            f"'{train}': choose one of these in student.train"
        )
    return parts[train](student)


def _stack(values: list[Tensor]) -> FrozenInputs:
    longest = max(len(value) for value in values)
    padded = torch.zeros(len(values), longest, values[0].shape[-1])
    mask = torch.zeros(len(values), longest, dtype=torch.bool)
    for row, value in enumerate(values):
        padded[row, : len(value)] = value
        mask[row, : len(value)] = True
    return FrozenInputs(padded, mask)
