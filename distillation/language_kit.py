"""The kit of language models: a causal teacher, a student cut from it, one label a token.

What a language model is made of is in `distillation.language`; here it gets the form that client
and simulator ask for.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import pad
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from distillation.errors import TeacherError
from distillation.kinds import Task, Train
from distillation.kit import Labelling, Measured, Progress
from distillation.label_stream import stream_labels
from distillation.labels import top_k_form
from distillation.language.held_out import language_held_out
from distillation.language.models import load_causal, save_causal
from distillation.language.part import LanguagePart
from distillation.language.student import cut_causal
from distillation.language.targets import token_targets
from distillation.language.teacher import CausalTeacher
from distillation.language.text import Form, read_language
from distillation.language.warm_up import Healing, heal
from distillation.learning_tables import StudentTable
from distillation.measured_text import MeasuredText
from distillation.model_files import ModelFiles
from distillation.objectives import Objective, Targets
from distillation.recipe import Recipe
from distillation.records import Records
from distillation.teacher import Answers, Teacher
from distillation.tokens import LONGEST, Tokens
from distillation.top_k import TokenTargets, TopK
from distillation.top_k_code import decode, encode
from distillation.trained_part import FrozenInputs, TrainedPart
from distillation.warm_up import WarmUp
from distillation.workbench import by_length, in_order

_ASKED = 64
"""Records that the teacher labels between two writes: what a killed run loses at most."""

_COMPARED = 64
"""Outcomes at a position by which answers in different company are compared."""

_LABELLED = 0.4
"""Share of a warm-up with soft labels that is the teacher's."""


class LanguageTeacher:
    """A causal teacher, as whoever knows no task sees it."""

    def __init__(self, causal: CausalTeacher) -> None:
        self.causal = causal

    @property
    def model(self) -> PreTrainedModel:
        """The causal model."""
        model: PreTrainedModel = self.causal.model
        return model

    @cached_property
    def outcomes(self) -> tuple[str, ...]:
        """The numbers of the vocabulary's tokens."""
        return tuple(map(str, range(self.causal.vocabulary)))

    def require_room(self, max_tokens: int) -> None:
        """Check that records of up to ``max_tokens`` fit."""
        self.causal.require_room(max_tokens)

    def answer(self, tokens: Tokens) -> Answers:
        """Return the most likely tokens' and the rest's log-probabilities, (n, T, k + 1).

        T is the longest that any record may be, so that a record's answer has one shape in every
        company; positions that are not the record's own are zero. There are no features.
        """
        found = [
            torch.cat([label.log_probs, label.log_tail.unsqueeze(-1)], dim=-1)
            for label in self.causal.label(tokens, k=_COMPARED, temperature=1.0)
        ]
        whole = [pad(each, (0, 0, 0, LONGEST - len(each))) for each in found]
        return Answers(torch.stack(whole), torch.zeros(len(found), 0))


class TokenPart(LanguagePart):
    """A language student's trained part that takes whole distributions too.

    The self-test makes up one distribution a record; it then stands at every position.
    """

    def __init__(self, student: PreTrainedModel, recipe: Recipe) -> None:
        self._top_k = recipe.top_k
        super().__init__(
            student,
            recipe.train,
            max_tokens=recipe.max_tokens,
            layers=max(1, recipe.trained_layers),
            rank=max(1, recipe.rank),
        )

    def losses(
        self,
        module: nn.Module,
        inputs: FrozenInputs,
        targets: Targets | TokenTargets,
        objective: Objective,
    ) -> Tensor:
        """Return one loss a record, (B,).

        Raises:
            TrainingError: If the objective has other terms than soft, hard and label.
        """
        if isinstance(targets, Targets):
            targets = at_every_position(targets, inputs.mask, objective, k=self._top_k)
        return super().losses(module, inputs, targets, objective)


class LanguageKit:
    """Language models; see `distillation.kit.Kit`, whose contract the docstrings there state."""

    def load_teacher(self, files: ModelFiles) -> LanguageTeacher:
        """Load a causal model."""
        return LanguageTeacher(CausalTeacher.load(files))

    def prepare_teacher(
        self, teacher: Teacher, tokens: Tokens, settings: WarmUp, *, seed: int, done: Progress
    ) -> None:
        """Let the teacher read the public text."""
        heal(
            _causal(teacher).model,
            tokens,
            None,
            Healing(
                epochs=settings.epochs,
                batch_size=settings.batch_size,
                learning_rate=settings.learning_rate,
                weight_decay=settings.weight_decay,
            ),
            shuffle=torch.Generator().manual_seed(seed),  # public data: no privacy rests on it
            progress=done,
        )

    def cut_student(self, teacher: Teacher, terms: StudentTable) -> PreTrainedModel:
        """Return copies of some layers, with the teacher's embeddings and head."""
        return cut_causal(_causal(teacher).model, terms.layers)

    def load_student(self, folder: Path) -> PreTrainedModel:
        """Load a causal model."""
        return load_causal(folder)

    def outcomes_of(self, student: PreTrainedModel) -> None:
        """Return nothing: the tokenizer names them."""
        return

    def save_student(
        self, student: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path
    ) -> None:
        """Write it as safetensors with its tokenizer."""
        save_causal(student, tokenizer, folder)

    def part(self, student: PreTrainedModel, recipe: Recipe) -> TrainedPart:
        """Return adapters, a last layer or norms over frozen hidden states."""
        return TokenPart(student, recipe)

    def check_records(self, records: Records, teacher: Teacher) -> None:
        """Check nothing more: a text's own next tokens are its labels."""

    def tokens(
        self, texts: Sequence[str], tokenizer: PreTrainedTokenizerBase, recipe: Recipe
    ) -> Tokens:
        """Return the texts' tokens, and which of them count."""
        form = Form(recipe.template or Form.TEXT)
        return read_language(texts, tokenizer, form=form, max_tokens=recipe.max_tokens)

    def targets(
        self,
        teacher: Teacher,
        tokens: Tokens,
        records: Records,
        recipe: Recipe,
        labelling: Labelling,
        *,
        positions: int,
    ) -> TokenTargets:
        """Return the next tokens, and the teacher's top k at each position."""
        causal, order = _causal(teacher), by_length(tokens)
        cache, source = labelling.cache, labelling.source

        def answer(places: Sequence[int]) -> list[TopK]:
            some = tokens.rows([order[place] for place in places])
            new = causal.label(some, k=recipe.top_k, temperature=recipe.objective.temperature)
            return [decode(encode(label)) for label in new]  # as the cache will give them back

        labels = stream_labels(
            [records.ids[row] for row in order],
            [records.texts[row] for row in order],
            get=lambda record, text: cache.get_top_k(source, record, text),
            put=lambda ids, texts, new: cache.put_top_k(source, ids, texts, new),
            answer=answer,
            batch=_ASKED,
        )
        return token_targets(tokens, in_order(labels, order), length=positions)

    def warm_up(
        self,
        student: PreTrainedModel,
        teacher: Teacher,
        tokens: Tokens,
        settings: WarmUp,
        *,
        recipe: Recipe,
        seed: int,
        done: Progress,
    ) -> None:
        """Heal the cut student on the text itself and on the teacher's labels, equally."""
        objective = Objective(soft=1.0, label=1.0)
        labels = None
        if settings.epochs:
            labels = _causal(teacher).label(
                tokens,
                k=recipe.top_k,
                temperature=objective.temperature,
                progress=lambda share: done(_LABELLED * share),
            )
        heal(
            student,
            tokens,
            labels,
            Healing(
                epochs=settings.epochs,
                batch_size=settings.batch_size,
                learning_rate=settings.learning_rate,
                weight_decay=settings.weight_decay,
                objective=objective if labels else Objective(label=1.0),
            ),
            shuffle=torch.Generator().manual_seed(seed),  # public data: no privacy rests on it
            progress=lambda share: done(_LABELLED + (1 - _LABELLED) * share),
        )

    def held_out(
        self,
        part: TrainedPart,
        teacher: Teacher,
        tokens: Tokens,
        records: Records,
        recipe: Recipe,
        done: Progress,
    ) -> Measured:
        """Return the public test text."""
        if not isinstance(part, LanguagePart):
            raise TeacherError(f"expected a language student's part, got {type(part).__name__}")
        marks = _causal(teacher).mark(tokens, k=recipe.top_k, progress=done)
        return MeasuredText(language_held_out(part, tokens, marks))

    def form(self, recipe: Recipe) -> str:
        """Return what the cache calls top-k labels."""
        return top_k_form(k=recipe.top_k, temperature=recipe.objective.temperature)

    def describe_part(self, recipe: Recipe) -> str:
        """Return in words which tensors private records may change."""
        count = max(1, recipe.trained_layers)
        layers = "the last layer" if count == 1 else f"the last {count} layers"
        return {
            Train.LORA: f"adapters of rank {recipe.rank} on {layers}",
            Train.LAST: "the last layer and the final norm",
            Train.NORMS: f"the norms of {layers} and the final norm",
        }[recipe.train]


def at_every_position(
    targets: Targets, mask: Tensor, objective: Objective, *, k: int
) -> TokenTargets:
    """Return targets of one distribution a record, (B, 1, V), as its targets at every position.

    Args:
        targets: Over the whole vocabulary.
        mask: Which positions are the record's own, (B, T).
        objective: Says at which temperature soft labels are.
        k: Outcomes that are kept.
    """
    label = TopK.of(targets.log_probs, k=k, temperature=objective.temperature)
    shape = (*mask.shape, label.ids.shape[-1])
    spread = TopK(
        label.ids.expand(shape),
        label.log_probs.expand(shape),
        label.log_tail.expand(mask.shape),
        label.temperature,
    )
    return TokenTargets(spread, targets.reference.expand(mask.shape), mask)


def _causal(teacher: Teacher) -> CausalTeacher:
    if not isinstance(teacher, LanguageTeacher):
        raise TeacherError(
            f"expected a teacher of the task {Task.LANGUAGE_MODEL}, got {type(teacher).__name__}"
        )
    return teacher.causal
