"""The seam between tasks: what is done differently for a classifier and for a language model.

Client, simulator and coordinator ask `kit_of` for the plan's task and use what they get; none of
them knows a task by name. What all tasks share (records, recipe, private training, the plan) is
not here. A further task is a class that fits `Kit`, and one line in `kit_of`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from distillation.evaluation import Quality
from distillation.kinds import Task
from distillation.labels import LabelCache, LabelSource
from distillation.layout import Vector
from distillation.learning_tables import StudentTable
from distillation.model_files import ModelFiles
from distillation.recipe import Recipe
from distillation.records import Records
from distillation.teacher import Teacher
from distillation.tokens import Tokens
from distillation.trained_part import TrainedPart
from distillation.warm_up import WarmUp
from distillation.workbench import AnyTargets

Progress: TypeAlias = Callable[[float], None]
"""Told the share that is done."""


class Measured(Protocol):
    """Held-out public records, ready to measure any state of the trained tensors."""

    def quality(self, weights: Vector) -> Quality:
        """Measure the student with these trained tensors, (d,)."""

    def teacher_quality(self) -> Quality:
        """Measure the teacher on the same records."""

    def divergence(self, weights: Vector) -> float:
        """Return the mean KL(teacher ‖ student) a record or token, in nats."""


@dataclass(frozen=True, slots=True)
class Labelling:
    """Where a region's labels are kept, and what they depend on.

    Attributes:
        cache: The region's encrypted cache.
        source: Teacher, tokenizer and form of the labels.
    """

    cache: LabelCache
    source: LabelSource


class Kit(Protocol):
    """What one task does in its own way.

    Guarantees asked of every kit: what a region makes of a record (its inputs, its targets, its
    loss) depends on that record and on public constants alone; two parts made from the same
    student and recipe are equal bit by bit, so that everyone agrees on the start.
    """

    def load_teacher(self, files: ModelFiles) -> Teacher:
        """Load a teacher from safetensors or GGUF, in evaluation mode.

        Raises:
            TeacherError: If it is none for this task.
        """

    def prepare_teacher(
        self, teacher: Teacher, tokens: Tokens, settings: WarmUp, *, seed: int, done: Progress
    ) -> None:
        """Train the teacher in place on declared-public text, before it labels anything.

        Raises:
            TeacherError: If teachers of this task are not prepared.
        """

    def cut_student(self, teacher: Teacher, terms: StudentTable) -> PreTrainedModel:
        """Return the student before any training.

        Raises:
            TeacherError: If it cannot be cut so.
        """

    def load_student(self, folder: Path) -> PreTrainedModel:
        """Load what `save_student` wrote.

        Raises:
            TeacherError: If the folder holds no student of this task.
        """

    def outcomes_of(self, student: PreTrainedModel) -> tuple[str, ...] | None:
        """Return the names of a student's outcomes, in order; None where its tokenizer is them."""

    def save_student(
        self, student: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path
    ) -> None:
        """Write a model as safetensors with its tokenizer.

        Raises:
            OSError: If the disk is full or read-only.
        """

    def part(self, student: PreTrainedModel, recipe: Recipe) -> TrainedPart:
        """Return a fresh copy of the part of ``student`` that the recipe trains.

        Raises:
            TeacherError: If this task has no such part.
        """

    def check_records(self, records: Records, teacher: Teacher) -> None:
        """Check what can be checked before anything takes time.

        Raises:
            RecordsError: Naming rows, never their content.
        """

    def tokens(
        self, texts: Sequence[str], tokenizer: PreTrainedTokenizerBase, recipe: Recipe
    ) -> Tokens:
        """Return the texts' tokens; nothing is cut off silently.

        Raises:
            RecordsError: If a text is too short or too long.
        """

    def targets(
        self,
        teacher: Teacher,
        tokens: Tokens,
        records: Records,
        recipe: Recipe,
        labelling: Labelling,
        *,
        positions: int,
    ) -> AnyTargets:
        """Return what the objective compares with, one row a record; labels come from the cache.

        Args:
            teacher: Asked for what is not in the cache, batch by batch.
            tokens: The records' tokens.
            records: Their ids, texts and labels.
            recipe: The plan's.
            labelling: Where labels are kept.
            positions: T of the trained part's inputs.

        Raises:
            LabelCacheError: If a cached label does not open or a new one cannot be kept.
        """

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
        """Train the student in place on declared-public text, at no ε."""

    def held_out(
        self,
        part: TrainedPart,
        teacher: Teacher,
        tokens: Tokens,
        records: Records,
        recipe: Recipe,
        done: Progress,
    ) -> Measured:
        """Return the public test set on a trained part."""

    def form(self, recipe: Recipe) -> str:
        """Return what the cache calls labels of this form; empty: whole distributions."""

    def describe_part(self, recipe: Recipe) -> str:
        """Return in words which tensors private records may change."""


def kit_of(task: Task) -> Kit:
    """Return the kit of a task; what only the other one needs is not even imported."""
    if task is Task.LANGUAGE_MODEL:
        from distillation.language_kit import LanguageKit

        return LanguageKit()
    from distillation.classification_kit import ClassificationKit

    return ClassificationKit()
