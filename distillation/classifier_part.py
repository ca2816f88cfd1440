"""The part of a classifier that is trained privately: its head, alone or with tensors below it.

Below the first layer with a trained tensor everything is frozen, so hidden states are cached once a
record; they are padded to one public length. The head alone sees nothing but pooled features.
"""

import copy

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from distillation.adapters import add_adapters
from distillation.errors import TrainingError
from distillation.kinds import Train
from distillation.objectives.values import Outputs
from distillation.students import MeanPoolClassifier, encoder_layers, pool
from distillation.tokens import Batch
from distillation.trained_part import FrozenInputs, TrainedPart


class HeadPart(TrainedPart):
    """The linear head over pooled features."""

    student: MeanPoolClassifier

    def __init__(self, student: MeanPoolClassifier) -> None:
        head = nn.Linear(student.head.in_features, student.head.out_features)
        head.load_state_dict(student.head.state_dict())
        super().__init__(student, head, length=1)

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
    """An encoder's last layers, pooling and the head, as one module."""

    def __init__(self, student: MeanPoolClassifier, start: int) -> None:
        super().__init__()
        self.layers = copy.deepcopy(encoder_layers(student.encoder)[start:])
        self.head = copy.deepcopy(student.head)
        self.scale = student.config.feature_scale

    def forward(self, values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (B, K) and the pooled last hidden state, (B, H), of length 1."""
        bias = torch.where(mask, 0.0, torch.finfo(values.dtype).min)[:, None, None, :]
        hidden = values
        for layer in self.layers:
            hidden = layer(hidden, attention_mask=bias)
        weights = mask.unsqueeze(-1).to(hidden.dtype)
        pooled = normalize((hidden * weights).sum(dim=1) / weights.sum(dim=1), dim=-1)
        return self.head(self.scale * pooled), pooled


class TopPart(TrainedPart):
    """The head, and tensors of the encoder's last layers.

    ``last`` trains them whole, ``norms`` the gains and shifts of their normalisations, ``lora``
    low-rank adapters beside their linear layers.
    """

    student: MeanPoolClassifier

    def __init__(
        self,
        student: MeanPoolClassifier,
        train: Train,
        *,
        max_tokens: int,
        layers: int = 1,
        rank: int = 1,
    ) -> None:
        """Cut the part off a student.

        Args:
            student: Not changed before `write_back`.
            train: Which tensors beside the head.
            max_tokens: The public length to which records are padded.
            layers: How many of the last layers have trained tensors, >= 1.
            rank: Of the adapters, >= 1; for ``lora`` alone.

        Raises:
            TrainingError: If the student has fewer layers.
        """
        count = len(encoder_layers(student.encoder))
        if not 1 <= layers <= count:
            raise TrainingError(f"expected to train 1 to {count} of the last layers, got {layers}")
        self._layers, self._start = layers, count - layers
        top = _Top(student, self._start)
        _choose(top, train, rank)
        super().__init__(student, top, length=max_tokens)

    def full_name(self, name: str) -> str:
        """Return the name below the encoder's stack, or below the head."""
        table, _, rest = name.partition(".")
        if table == "layers":
            number, _, rest = rest.partition(".")
            return f"encoder.encoder.layer.{int(number) + self._start}.{rest}"
        return name

    def frozen(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the hidden states below the trained layers, (B, L, H)."""
        out = self.student.encoder(
            input_ids=batch.input_ids,
            attention_mask=batch.attention_mask,
            output_hidden_states=True,
        )
        return out.hidden_states[-1 - self._layers], batch.attention_mask.bool()

    def logits(self, module: nn.Module, inputs: FrozenInputs) -> Tensor:
        """Return logits (B, 1, K)."""
        return self.outputs(module, inputs).logits

    def outputs(self, module: nn.Module, inputs: FrozenInputs) -> Outputs:
        """Return logits (B, 1, K) and the pooled last hidden state, (B, 1, H)."""
        logits, pooled = module(inputs.values, inputs.mask)
        return Outputs(logits.unsqueeze(1), (pooled.unsqueeze(1),))


def classifier_part(
    student: MeanPoolClassifier,
    train: Train,
    *,
    max_tokens: int,
    layers: int = 1,
    rank: int = 1,
) -> TrainedPart:
    """Return a fresh copy of the part of ``student`` that is to be trained.

    Args:
        student: Not changed before `TrainedPart.write_back`.
        train: Which tensors.
        max_tokens: The public length to which records are padded; the head alone sees one position.
        layers: How many of the last layers have trained tensors, >= 1; not for ``head``.
        rank: Of the adapters, >= 1; for ``lora`` alone.

    Raises:
        TrainingError: If the student has fewer layers.
    """
    if train is Train.HEAD:
        return HeadPart(student)
    return TopPart(student, train, max_tokens=max_tokens, layers=layers, rank=rank)


def _choose(top: _Top, train: Train, rank: int) -> None:
    """Mark what is trained; everything else stays frozen."""
    top.head.requires_grad_(True)
    top.layers.requires_grad_(train is Train.LAST)
    if train is Train.LORA:
        linears = {
            name.rpartition(".")[2]
            for name, layer in top.layers.named_modules()
            if isinstance(layer, nn.Linear)
        }
        add_adapters(top.layers, linears, rank=rank)
    if train is Train.NORMS:
        for layer in top.layers.modules():
            if isinstance(layer, nn.LayerNorm):
                layer.requires_grad_(True)
