"""The part of a language student that is trained privately: adapters, a last layer, or norms.

Below the first layer with a trained tensor everything is frozen, so its hidden states are cached
once a record. The head is the frozen token embedding, so the loss is fused with it and logits over
the vocabulary never exist. Records are padded to one public length.

Sources: low-rank adapters, Hu and others 2021, arXiv 2106.09685; few tensors under differential
privacy, Li and others 2022, arXiv 2110.05679.
"""

from torch import Tensor, nn
from transformers import PreTrainedModel

from distillation.adapters import add_adapters
from distillation.errors import TrainingError
from distillation.fused_loss import fused_per_record
from distillation.kinds import TRAINED, Task, Train
from distillation.language.body import lower_half, upper_half
from distillation.language.families import Family, family_of
from distillation.language.student import without_dropout
from distillation.objectives import Objective, Targets
from distillation.tokens import Batch
from distillation.top_k import TokenTargets
from distillation.trained_part import FrozenInputs, TrainedPart

_OFFERED = TRAINED[Task.LANGUAGE_MODEL]


class _Upper(nn.Module):
    """The upper half of a body, from hidden states to the final norm's output."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, values: Tensor) -> Tensor:
        """Return (B, T, H) of (B, T, H)."""
        out: Tensor = self.body(inputs_embeds=values, use_cache=False).last_hidden_state
        return out


class LanguagePart(TrainedPart):
    """The trained tensors of the top layers, over frozen hidden states.

    ``lora`` puts adapters on them, ``last`` trains them and the final norm whole, ``norms`` trains
    their norms and the final one.

    Guarantees: parts made from equal students with equal arguments are equal, bit by bit, so that
    everyone agrees on the start; the head and the embeddings are never trained.
    """

    def __init__(
        self,
        student: PreTrainedModel,
        train: Train,
        *,
        max_tokens: int,
        layers: int = 1,
        rank: int = 4,
    ) -> None:
        """Cut the part off a student.

        Args:
            student: Not changed before `write_back`.
            train: Which tensors.
            max_tokens: The public length to which records are padded.
            layers: How many of the top layers have trained tensors, >= 1.
            rank: Of the adapters, >= 1; for ``lora`` alone.

        Raises:
            TeacherError: If the student's family is not known.
            TrainingError: If it has fewer layers, or there is no such part.
        """
        self._family = family_of(student)
        count = len(self._family.layers(student.base_model))
        if train not in _OFFERED:
            raise TrainingError(
                f"expected a language model to train {', '.join(_OFFERED)}, got '{train}': choose "
                "one of these in student.train"
            )
        if not 1 <= layers <= count:
            raise TrainingError(f"expected to train 1 to {count} of the top layers, got {layers}")
        self._start = count - layers
        self._lower = lower_half(student, self._family, self._start)
        self._head: Tensor = student.get_output_embeddings().weight.detach()
        upper = upper_half(student, self._family, self._start)
        without_dropout(upper)
        _choose(upper, self._family, train, rank)
        super().__init__(student, _Upper(upper).eval(), length=max_tokens)

    def full_name(self, name: str) -> str:
        """Return the name in the student, as if it had the adapters too."""
        inner, stack = name.removeprefix("body."), f"{self._family.stack}."
        if inner.startswith(stack):
            number, _, rest = inner.removeprefix(stack).partition(".")
            inner = f"{stack}{int(number) + self._start}.{rest}"
        return f"{self.student.base_model_prefix}.{inner}"

    def frozen(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the hidden states below the first trained layer, (B, L, H)."""
        out = self._lower(input_ids=batch.input_ids, use_cache=False).last_hidden_state
        return out, batch.attention_mask.bool()

    def logits(self, module: nn.Module, inputs: FrozenInputs) -> Tensor:
        """Return logits (B, T, V): large; `losses` does without."""
        out: Tensor = self.hidden(module, inputs) @ self._head.T
        return out

    def hidden(self, module: nn.Module, inputs: FrozenInputs) -> Tensor:
        """Return what the head sees, (B, T, H)."""
        out: Tensor = module(inputs.values)
        return out

    @property
    def head(self) -> Tensor:
        """The frozen head, (V, H)."""
        return self._head

    def losses(
        self,
        module: nn.Module,
        inputs: FrozenInputs,
        targets: Targets | TokenTargets,
        objective: Objective,
    ) -> Tensor:
        """Return one loss a record, (B,), by the fused loss.

        Raises:
            TrainingError: If the targets are no top-k labels, or the objective has other terms
                than soft, hard and label.
        """
        if not isinstance(targets, TokenTargets):
            raise TrainingError("expected top-k labels for a language model, got whole ones")
        hidden = self.hidden(module, inputs)
        return fused_per_record(hidden, self._head, targets, objective)


def _choose(upper: nn.Module, family: Family, train: Train, rank: int) -> None:
    """Mark what is trained; everything else stays frozen."""
    if train is Train.LORA:
        add_adapters(upper, family.linears, rank=rank, transposed=family.transposed)
        return
    norm: nn.Module = getattr(upper, family.final_norm)
    norm.requires_grad_(True)
    for layer in family.layers(upper):
        if train is Train.LAST:
            layer.requires_grad_(True)
        else:
            for name in family.norms:
                getattr(layer, name).requires_grad_(True)
