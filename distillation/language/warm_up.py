"""Public healing: a cut student, or a teacher, learns on declared-public text, at no ε.

A student whose layers never met predicts worse than chance; a few thousand public records heal it.
A teacher that has never seen the regions' kind of text is prepared the same way, before it labels:
soft labels can only teach what it knows. Embeddings, and with them a tied head, stay frozen. No
private record is ever here.

Source: healing after removing layers, Men and others 2024, arXiv 2403.03853.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from distillation.errors import TrainingError
from distillation.fused_loss import fused_per_record
from distillation.language.families import Family, family_of
from distillation.language.student import without_dropout
from distillation.language.targets import token_targets
from distillation.objectives import Objective
from distillation.tokens import Tokens, padded_batch
from distillation.top_k import TopK

_LONGEST_GRADIENT = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Healing:
    """How public healing runs.

    Attributes:
        epochs: Passes over the public text; 0 leaves the model as it is.
        batch_size: Records a step.
        learning_rate: The highest, reached after ``rise`` of the steps; it then falls to zero.
        weight_decay: AdamW's.
        rise: Share of the steps in which the rate rises, in [0, 1).
        objective: The text itself by default; a soft weight needs the teacher's labels.
        layers: Of how many top layers all tensors are trained, with the final norm; 0: of all.
    """

    epochs: int
    batch_size: int = 16
    learning_rate: float = 6e-4
    weight_decay: float = 0.01
    rise: float = 0.1
    objective: Objective = field(default_factory=lambda: Objective(label=1.0))
    layers: int = 0

    def __post_init__(self) -> None:
        if self.epochs < 0 or self.batch_size < 1 or self.layers < 0:
            raise TrainingError("expected epochs >= 0, batch_size >= 1 and layers >= 0")
        if not (0 < self.learning_rate < math.inf and 0 <= self.rise < 1):
            raise TrainingError("expected a finite learning rate > 0 and a rise in [0, 1)")

    def rate(self, step: int, steps: int) -> float:
        """Return the learning rate of a step, counted from 0."""
        rise = self.rise * steps
        shape = (step + 1) / rise if step < rise else (steps - step) / max(1.0, steps - rise)
        return self.learning_rate * min(1.0, shape)


def heal(
    model: PreTrainedModel,
    tokens: Tokens,
    labels: Sequence[TopK] | None,
    settings: Healing,
    *,
    shuffle: torch.Generator,
    progress: Callable[[float], None] = lambda share: None,
) -> None:
    """Train a causal model in place on public text.

    Args:
        model: A cut student, or a teacher; its embeddings and its tied head do not change.
        tokens: The public records; chats say which tokens count.
        labels: The teacher's labels, each (T, k); None for an objective of the text alone.
        settings: Epochs, rates and the objective.
        shuffle: Order of the public records; the only randomness.
        progress: Called with the share that is done, in [0, 1].

    Raises:
        TrainingError: If the objective asks for labels that are not there, or for other terms than
            soft, hard and label.
        TeacherError: If the model's family is not known.
    """
    family = family_of(model)
    if labels is None and (settings.objective.soft or settings.objective.hard):
        raise TrainingError("expected the teacher's labels for a soft or hard objective, got none")
    without_dropout(model)
    trained = _trained(model, family, settings.layers)
    optimizer = torch.optim.AdamW(trained, weight_decay=settings.weight_decay)
    steps = settings.epochs * -(-len(tokens) // settings.batch_size)
    for step, rows in enumerate(_batches(len(tokens), settings, shuffle)):
        for group in optimizer.param_groups:
            group["lr"] = settings.rate(step, steps)
        optimizer.zero_grad()
        own = None if labels is None else [labels[row] for row in rows]
        _loss(model, tokens, rows, own, settings.objective).backward()
        nn.utils.clip_grad_norm_(trained, _LONGEST_GRADIENT)
        optimizer.step()
        progress((step + 1) / steps)
    model.requires_grad_(True)


def _trained(model: PreTrainedModel, family: Family, layers: int) -> list[nn.Parameter]:
    """Freeze what is not healed and return the rest."""
    body, stack = model.base_model, list(family.layers(model.base_model))
    if layers > len(stack):
        raise TrainingError(f"expected to heal at most {len(stack)} layers, got {layers}")
    model.requires_grad_(False)
    for part in (*stack[-layers:], getattr(body, family.final_norm)):  # [-0:] is all of them
        part.requires_grad_(True)
    return [p for p in model.parameters() if p.requires_grad]


def _batches(count: int, settings: Healing, shuffle: torch.Generator) -> Iterator[list[int]]:
    for _ in range(settings.epochs):
        for rows in torch.randperm(count, generator=shuffle).split(settings.batch_size):
            yield rows.tolist()


def _loss(
    model: PreTrainedModel,
    tokens: Tokens,
    rows: Sequence[int],
    labels: Sequence[TopK] | None,
    objective: Objective,
) -> Tensor:
    batch = padded_batch(tokens, rows)
    hidden = model.base_model(input_ids=batch.input_ids, use_cache=False).last_hidden_state
    targets = token_targets(tokens.rows(rows), labels, length=batch.input_ids.shape[1])
    head = model.get_output_embeddings().weight.detach()
    return fused_per_record(hidden, head, targets, objective).mean()
