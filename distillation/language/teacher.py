"""Causal teachers: at each position of a record, the distribution of the next token, cut to top k.

Records are padded on the right and no attention mask is passed: a causal model cannot look at what
comes after, and a mask would let transformers choose its kernel by what else is in the batch.
"""

from dataclasses import dataclass
from functools import partial
from typing import Self

import torch
from torch import Tensor
from torch.nn.functional import log_softmax
from transformers import PreTrainedModel

from distillation.batch_independence import IndependentForward
from distillation.errors import TeacherError
from distillation.language.families import family_of
from distillation.language.models import load_causal
from distillation.language.student import without_dropout
from distillation.model_files import ModelFiles
from distillation.teacher import Progress, _silent
from distillation.tokens import Batch, Tokens, padded_length
from distillation.top_k import TopK

_ROWS = 8
"""Records at a time: at 64 tokens and a vocabulary of 49,152, the logits are 100 MB."""


@dataclass(frozen=True, slots=True)
class Marks:
    """What a teacher says of one public record of T tokens, its own score included.

    Attributes:
        label: Top-k next-token distributions, (T, k).
        following: Log-probability of the token that does follow, (T,); 0 at the last.
    """

    label: TopK
    following: Tensor


class CausalTeacher:
    """A causal language model from transformers.

    Guarantees: the label of a record is bit-identical whatever else is in ``tokens``: batches have
    fixed shapes, and `IndependentForward` checks them on the machine that runs.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        """Take a model of a family that the table knows.

        Raises:
            TeacherError: If it is another one.
        """
        self.family = family_of(model)
        self.model = model.eval()
        without_dropout(model)
        self._checked: dict[tuple[int, float], IndependentForward] = {}

    @classmethod
    def load(cls, files: ModelFiles) -> Self:
        """Load from safetensors or a GGUF file.

        Raises:
            TeacherError: If it is no causal model of a known family.
        """
        return cls(load_causal(files.folder, gguf=files.gguf))

    @property
    def vocabulary(self) -> int:
        """V, the number of outcomes at every position."""
        return int(self.model.get_output_embeddings().weight.shape[0])

    def require_room(self, max_tokens: int) -> None:
        """Check that records of up to ``max_tokens`` fit, padded as they will be.

        Raises:
            TeacherError: If the teacher has fewer positions.
        """
        positions = getattr(self.model.config, "max_position_embeddings", None)
        needed = padded_length(max_tokens)
        if isinstance(positions, int) and positions < needed:
            raise TeacherError(
                f"expected a teacher with at least {needed} positions for texts of up to "
                f"{max_tokens} tokens, got one with {positions}: lower teacher.max_tokens"
            )

    def label(
        self, tokens: Tokens, *, k: int, temperature: float, progress: Progress = _silent
    ) -> list[TopK]:
        """Return one label a record, each (T, k) for its own T tokens.

        Args:
            tokens: The n records.
            k: Outcomes kept at each position.
            temperature: At which the label will be used.
            progress: Called with the share that is done.

        Raises:
            TeacherError: If there are no records, or k < 1.
        """
        marks = self.mark(tokens, k=k, temperature=temperature, progress=progress)
        return [mark.label for mark in marks]

    def mark(
        self, tokens: Tokens, *, k: int, temperature: float = 1.0, progress: Progress = _silent
    ) -> list[Marks]:
        """Return labels with the teacher's own score on each record; for public test sets.

        Raises:
            TeacherError: As `label`.
        """
        if not len(tokens):
            raise TeacherError("expected at least one record to label, got none")
        if (k, temperature) not in self._checked:  # a length is checked once, not once a call
            answer = partial(self._answer_batch, k=k, temperature=temperature)
            self._checked[k, temperature] = IndependentForward(answer, rows=_ROWS)
        found: dict[int, Marks] = {}
        for batch in self._checked[k, temperature].batches(tokens):
            ids, log_probs, log_tail, following = self._answer_batch(
                batch, k=k, temperature=temperature
            )
            for place, row in enumerate(batch.rows.tolist()):
                own = (place, slice(0, len(tokens.ids[row])))
                # copies: a view would keep the whole batch in memory
                label = TopK(
                    ids[own].clone(), log_probs[own].clone(), log_tail[own].clone(), temperature
                )
                found[row] = Marks(label, following[own].clone())
            progress(len(found) / len(tokens))
        return [found[row] for row in range(len(tokens))]

    @torch.no_grad()
    def _answer_batch(
        self, batch: Batch, *, k: int, temperature: float
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return ids and log-probabilities (B, L, k), log-tails and next tokens' scores (B, L)."""
        logits = self.model(input_ids=batch.input_ids, use_cache=False).logits
        log_probs = log_softmax(logits.float(), dim=-1)
        top = TopK.of(log_probs, k=k, temperature=temperature)
        following = torch.zeros(batch.input_ids.shape)
        next_ids = batch.input_ids[:, 1:, None]
        following[:, :-1] = log_probs[:, :-1].gather(-1, next_ids).squeeze(-1)
        return top.ids, top.log_probs, top.log_tail, following
