"""Public warm-up: the student learns from the teacher on declared-public text, at no ε.

Loss: cross-entropy with the teacher's distribution at temperature 1, plus a feature term, one minus
the cosine of the student's and the teacher's pooled hidden states (as in Sanh et al. 2019).
Embeddings stay frozen. No private record is ever here.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from distillation.errors import TrainingError
from distillation.objectives import Objective, Targets
from distillation.students import MeanPoolClassifier, pool
from distillation.teacher import Answers
from distillation.tokens import Batch, Tokens, padded_batch

_SOFT = Objective(soft=1.0)
_SORTED = 16
"""Batches whose records are sorted by length together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmUp:
    """How the public warm-up runs.

    Attributes:
        epochs: Passes over the public text; 0 leaves the cut student as it is.
        batch_size: Records a step.
        learning_rate: Of the encoder's layers.
        head_learning_rate: Of the head.
        feature_weight: Weight of the feature term; 0 leaves it out.
        weight_decay: AdamW's, on every trained tensor.
    """

    epochs: int
    batch_size: int = 32
    learning_rate: float = 3e-4
    head_learning_rate: float = 1e-2
    feature_weight: float = 10.0
    weight_decay: float = 0.01


def warm_up(
    student: MeanPoolClassifier,
    tokens: Tokens,
    answers: Answers,
    settings: WarmUp,
    *,
    shuffle: torch.Generator,
    progress: Callable[[float], None] = lambda share: None,
) -> None:
    """Train the student in place on public text.

    Args:
        student: The cut student; its embeddings do not change.
        tokens: The public records.
        answers: The teacher's answers to them.
        settings: Epochs, rates and weights.
        shuffle: Order of the public records; the only randomness.
        progress: Called with the share that is done, in [0, 1].

    Raises:
        TrainingError: If features are matched between hidden states of different sizes.
    """
    width = student.encoder.config.hidden_size
    if settings.feature_weight and answers.features.shape[1] != width:
        raise TrainingError(
            f"the student's hidden states have {width} values, the teacher's "
            f"{answers.features.shape[1]}: set warm_up.feature_weight = 0"
        )
    optimizer = _optimizer(student, settings)
    steps = max(1, settings.epochs * -(-len(tokens) // settings.batch_size))
    done = 0
    for _ in range(settings.epochs):
        for rows in _shuffled(tokens, settings.batch_size, shuffle):
            batch = padded_batch(tokens, rows.tolist())
            optimizer.zero_grad()
            _loss(student, batch, answers, rows, settings.feature_weight).backward()
            optimizer.step()
            done += 1
            progress(done / steps)
    student.requires_grad_(True)


def _optimizer(student: MeanPoolClassifier, settings: WarmUp) -> torch.optim.Optimizer:
    student.encoder.embeddings.requires_grad_(False)
    body = [p for p in student.encoder.parameters() if p.requires_grad]
    return torch.optim.AdamW(
        [
            {"params": body, "lr": settings.learning_rate},
            {"params": student.head.parameters(), "lr": settings.head_learning_rate},
        ],
        weight_decay=settings.weight_decay,
    )


def _shuffled(tokens: Tokens, size: int, shuffle: torch.Generator) -> Iterator[Tensor]:
    """Yield every record once, in batches of like length that come in any order.

    A batch is padded to its longest record: of titles in any order, half would be padding. Lengths
    are sorted within a few batches' worth of records drawn at random, so batches still differ from
    epoch to epoch.
    """
    lengths = torch.tensor([len(ids) for ids in tokens.ids])
    batches: list[Tensor] = []
    for some in torch.randperm(len(tokens), generator=shuffle).split(_SORTED * size):
        batches += some[lengths[some].argsort(stable=True)].split(size)
    for place in torch.randperm(len(batches), generator=shuffle).tolist():
        yield batches[place]


def _loss(
    student: MeanPoolClassifier, batch: Batch, answers: Answers, rows: Tensor, feature_weight: float
) -> Tensor:
    out = student.encoder(input_ids=batch.input_ids, attention_mask=batch.attention_mask)
    features = pool(out.last_hidden_state, batch.attention_mask)
    logits = student.head(student.config.feature_scale * features).unsqueeze(1)
    log_probs = answers.log_probs[rows]
    nothing = torch.full(log_probs.shape[:2], -1)
    targets = Targets(log_probs, nothing, torch.ones(log_probs.shape[:2], dtype=torch.bool))
    loss = _SOFT.per_record(logits, targets)
    if feature_weight:
        loss = loss + feature_weight * (1 - cosine_similarity(features, answers.features[rows]))
    return loss.mean()
