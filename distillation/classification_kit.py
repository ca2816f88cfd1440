"""The kit of classification: a BERT-like teacher, a mean-pool student, one label a record."""

from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from distillation.classifier_part import classifier_part
from distillation.ensemble_teacher import EnsembleTeacher
from distillation.errors import TeacherError
from distillation.held_out import HeldOut, held_out
from distillation.kinds import Train
from distillation.kit import Labelling, Progress
from distillation.learning_tables import StudentTable
from distillation.model_files import ModelFiles
from distillation.objectives import Targets
from distillation.recipe import Recipe
from distillation.records import Records, check_labels
from distillation.students import MeanPoolClassifier, cut_student, load_classifier, save_classifier
from distillation.teacher import ClassifierTeacher, Teacher
from distillation.tokens import Tokens, tokenize
from distillation.trained_part import TrainedPart
from distillation.warm_up import WarmUp, warm_up
from distillation.workbench import references, soft_labels

_LABELLED = 0.3
"""Share of the warm-up that is the teacher's: its answers come first."""

_PARTS = {
    Train.HEAD: "the classification head",
    Train.NORMS: "the norms of {top} and the classification head",
    Train.LORA: "adapters of rank {rank} on {top} and the classification head",
    Train.LAST: "the last layer and the classification head",
}


class ClassificationKit:
    """Classifiers; see `distillation.kit.Kit`, whose contract the docstrings there state."""

    def load_teacher(self, files: ModelFiles) -> ClassifierTeacher:
        """Load a sequence classifier, or several as one."""
        if files.experts:
            return EnsembleTeacher.load(files)
        if files.gguf is not None:
            raise TeacherError(
                f"expected a classifier in safetensors, got the GGUF file {files.gguf}: it holds "
                'language models; set study.task = "language-model", or convert the model'
            )
        return ClassifierTeacher.load(files)

    def prepare_teacher(
        self, teacher: Teacher, tokens: Tokens, settings: WarmUp, *, seed: int, done: Progress
    ) -> None:
        """Refuse: public text without labels teaches a classifier nothing."""
        raise TeacherError(
            "teacher.prepare_epochs is for language models: a classifier learns nothing from "
            "public text without labels; remove the key"
        )

    def cut_student(self, teacher: Teacher, terms: StudentTable) -> MeanPoolClassifier:
        """Return copies of some layers, and a head of zeros."""
        known = _classifier(teacher)
        model = known.model
        encoder = model.encoder if isinstance(model, MeanPoolClassifier) else model.base_model
        return cut_student(
            encoder,
            layers=terms.layers,
            classes=known.outcomes,
            feature_scale=float(terms.feature_scale),
        )

    def load_student(self, folder: Path) -> MeanPoolClassifier:
        """Load a mean-pool classifier."""
        student = load_classifier(folder)
        if not isinstance(student, MeanPoolClassifier):
            raise TeacherError(
                f"expected a student of kind stillroom-mean-pool, got {type(student).__name__}"
            )
        return student

    def outcomes_of(self, student: PreTrainedModel) -> tuple[str, ...]:
        """Return its classes."""
        named = {int(number): str(name) for number, name in (student.config.id2label or {}).items()}
        return tuple(named[number] for number in sorted(named))

    def save_student(
        self, student: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path
    ) -> None:
        """Write it as safetensors with its tokenizer."""
        save_classifier(student, tokenizer, folder)

    def part(self, student: PreTrainedModel, recipe: Recipe) -> TrainedPart:
        """Return the head, alone or with tensors of the last layers."""
        return classifier_part(
            _student(student),
            recipe.train,
            max_tokens=recipe.max_tokens,
            layers=recipe.trained_layers or 1,
            rank=recipe.rank or 1,
        )

    def check_records(self, records: Records, teacher: Teacher) -> None:
        """Check that the teacher knows every label."""
        check_labels(records, teacher.outcomes)

    def tokens(
        self, texts: Sequence[str], tokenizer: PreTrainedTokenizerBase, recipe: Recipe
    ) -> Tokens:
        """Return each text with its special tokens."""
        return tokenize(texts, tokenizer, max_tokens=recipe.max_tokens)

    def targets(
        self,
        teacher: Teacher,
        tokens: Tokens,
        records: Records,
        recipe: Recipe,
        labelling: Labelling,
        *,
        positions: int,
    ) -> Targets:
        """Return a distribution a record, its label where it has one, and the pooled state if used.

        A batch of one and of many give the same state, bit by bit, as they do the distribution.
        """
        found = soft_labels(
            _classifier(teacher),
            tokens,
            cache=labelling.cache,
            source=labelling.source,
            record_ids=records.ids,
            texts=records.texts,
            with_states=recipe.objective.matches_states,
        )
        outcomes = len(teacher.outcomes)
        log_probs, state = found[..., :outcomes], found[..., outcomes:]
        reference = references(records.labels, teacher.outcomes).unsqueeze(1)
        mask = torch.ones(log_probs.shape[:2], dtype=torch.bool)
        features = (state,) if recipe.objective.matches_states else ()
        return Targets(log_probs, reference, mask, features)

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
        """Let the student learn the teacher's answers and features."""
        answers = _classifier(teacher).answer(tokens, lambda share: done(_LABELLED * share))
        warm_up(
            _student(student),
            tokens,
            answers,
            settings,
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
    ) -> HeldOut:
        """Return the labelled test set."""
        answers = _classifier(teacher).answer(tokens, done)
        index = {name: number for number, name in enumerate(teacher.outcomes)}
        labels = [index[label] for label in records.labels if label is not None]
        return held_out(part, part.inputs(tokens), labels, answers.log_probs)

    def form(self, recipe: Recipe) -> str:
        """Return nothing for whole distributions alone, else that the pooled state is there too."""
        return "distribution and pooled state" if recipe.objective.matches_states else ""

    def describe_part(self, recipe: Recipe) -> str:
        """Return in words which tensors private records may change."""
        count = recipe.trained_layers
        top = "the last layer" if count == 1 else f"the last {count} layers"
        return _PARTS[recipe.train].format(top=top, rank=recipe.rank)


def _classifier(teacher: Teacher) -> ClassifierTeacher:
    if not isinstance(teacher, ClassifierTeacher):
        raise TeacherError(f"expected a classifier as the teacher, got {type(teacher).__name__}")
    return teacher


def _student(student: PreTrainedModel) -> MeanPoolClassifier:
    if not isinstance(student, MeanPoolClassifier):
        raise TeacherError(f"expected a mean-pool student, got {type(student).__name__}")
    return student
