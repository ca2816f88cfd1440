"""Teachers: what turns a region's records into distributions, in evaluation mode, once.

A teacher answers with log-probabilities of shape (n, T, K): T positions over K outcomes. For a
classifier T is 1; a language model has one position a token.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import torch
from torch import Tensor
from torch.nn.functional import log_softmax
from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from distillation.batch_independence import IndependentForward
from distillation.errors import TeacherError
from distillation.model_files import ModelFiles
from distillation.students import load_classifier, pool
from distillation.tokens import Batch, Tokens, padded_length

_ROWS = 32

Progress: TypeAlias = Callable[[float], None]


def _silent(share: float) -> None:
    """Report nothing."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What a teacher says of n records.

    Attributes:
        log_probs: (n, T, K), float32, at temperature 1.
        features: The pooled last hidden state, (n, H), length 1; for feature matching.
    """

    log_probs: Tensor
    features: Tensor


class Teacher(Protocol):
    """Anything that gives each record a distribution that depends on that record alone."""

    @property
    def model(self) -> PreTrainedModel:
        """The model itself."""

    @property
    def outcomes(self) -> tuple[str, ...]:
        """Names of the K outcomes, in the order of the last axis."""

    def answer(self, tokens: Tokens) -> Answers:
        """Return one distribution a position of every record."""

    def require_room(self, max_tokens: int) -> None:
        """Check that records of up to ``max_tokens`` fit, padded as they will be.

        Raises:
            TeacherError: If the teacher has fewer positions.
        """


class ClassifierTeacher:
    """A sequence classifier from transformers.

    Guarantees: the answer to a record is bit-identical whatever else is in ``tokens``: batches
    have fixed shapes, and `IndependentForward` checks them on the machine that runs.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        self.model = model.eval()
        names = {int(index): name for index, name in (model.config.id2label or {}).items()}
        if sorted(names) != list(range(len(names))) or len(set(names.values())) < len(names):
            raise TeacherError(
                "expected the teacher's config.json to name every class once in id2label, from 0 "
                f"on; got the numbers {sorted(names)[:20]}"
            )
        self._outcomes = tuple(names[index] for index in range(len(names)))
        self._forward = IndependentForward(self._answer_batch, rows=_ROWS)

    @classmethod
    def load(cls, files: ModelFiles) -> "ClassifierTeacher":
        """Load from a folder.

        Raises:
            TeacherError: If it is no classifier.
        """
        return cls(load_classifier(files.folder))

    @property
    def outcomes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the logits."""
        return self._outcomes

    def require_room(self, max_tokens: int) -> None:
        """Check that records of up to ``max_tokens`` fit, padded as they will be.

        Raises:
            TeacherError: If the teacher has fewer positions.
        """
        config = self.model.config
        encoder = getattr(config, "encoder", None) or config.to_dict()
        positions, needed = encoder.get("max_position_embeddings"), padded_length(max_tokens)
        if isinstance(positions, int) and positions < needed:
            raise TeacherError(
                f"expected a teacher with at least {needed} positions for texts of up to "
                f"{max_tokens} tokens, got one with {positions}: lower teacher.max_tokens"
            )

    def answer(self, tokens: Tokens, progress: Progress = _silent) -> Answers:
        """Return log-probabilities (n, 1, K) and features (n, H).

        Args:
            tokens: The n records.
            progress: Called with the share that is done.

        Raises:
            TeacherError: If there are no records.
        """
        if not len(tokens):
            raise TeacherError("expected at least one record to label, got none")
        log_probs: list[Tensor] = [torch.empty(0)] * len(tokens)
        features: list[Tensor] = [torch.empty(0)] * len(tokens)
        done = 0
        for batch in self._forward.batches(tokens):
            logits, pooled = self._answer_batch(batch)
            for place, row in enumerate(batch.rows.tolist()):
                log_probs[row], features[row] = logits[place], pooled[place]
            done += len(batch.rows)
            progress(done / len(tokens))
        return Answers(torch.stack(log_probs).unsqueeze(1), torch.stack(features))

    @torch.no_grad()
    def _answer_batch(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return log-probabilities (B, K) and features (B, H), padding rows included."""
        out = self.model(
            input_ids=batch.input_ids,
            attention_mask=batch.attention_mask,
            output_hidden_states=True,
        )
        pooled = pool(out.hidden_states[-1], batch.attention_mask)
        return log_softmax(out.logits.float(), dim=-1), pooled


def load_tokenizer(files: ModelFiles) -> PreTrainedTokenizerBase:
    """Load the tokenizer beside a model.

    Raises:
        TeacherError: If there is none.
    """
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            files.folder, **files.loading
        )
    except Exception as error:  # for a damaged file the tokenizers library raises just that
        raise TeacherError(
            f"expected a tokenizer (tokenizer.json) in the model folder '{files.folder.name}', "
            f"transformers says {type(error).__name__}"
        ) from error
    return tokenizer
