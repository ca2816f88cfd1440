"""Ask a classifier for its answers to labelled public records, and hold them against the labels.

Student and teacher are asked the same way: both are classifiers in a folder.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from distillation.ensemble_teacher import EnsembleTeacher
from distillation.errors import RecordsError, TeacherError
from distillation.experts import locate_teacher
from distillation.measure.judged import Floats, Judged
from distillation.records import Records, check_labels
from distillation.teacher import ClassifierTeacher, Progress, load_tokenizer
from distillation.tokens import tokenize

_MOST_TOKENS = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelAnswers:
    """What one model says of the test set.

    Attributes:
        classes: Names of its K classes, in order.
        probabilities: (n, K), float64.
        lengths: Tokens of each record, (n,).
    """

    classes: tuple[str, ...]
    probabilities: Floats
    lengths: tuple[int, ...]


def answer(folder: Path, records: Records, progress: Progress = lambda share: None) -> ModelAnswers:
    """Ask a classifier, student, teacher or several teachers as one, for its probabilities.

    Raises:
        TeacherError: If the folder holds no classifier.
        RecordsError: If a text is too long for it or holds nothing to read.
    """
    files = locate_teacher(folder)
    model = EnsembleTeacher.load(files) if files.experts else ClassifierTeacher.load(files)
    tokenizer = load_tokenizer(files)
    tokens = tokenize(records.texts, tokenizer, max_tokens=_MOST_TOKENS)
    model.require_room(max(len(ids) for ids in tokens.ids))
    log_probs = model.answer(tokens, progress).log_probs.squeeze(1).double()
    return ModelAnswers(
        classes=model.outcomes,
        probabilities=np.asarray(log_probs.softmax(dim=-1).numpy(), dtype=np.float64),
        lengths=tuple(len(ids) for ids in tokens.ids),
    )


def judge(student: ModelAnswers, records: Records, teacher: ModelAnswers | None = None) -> Judged:
    """Return the student's answers beside labels and teacher.

    Raises:
        RecordsError: If the student does not know a label, or a record has none.
        TeacherError: If student and teacher do not have the same classes.
    """
    check_labels(records, student.classes)
    if None in records.labels:
        row = records.labels.index(None) + 1
        raise RecordsError(
            f"expected a label in every row, row {row} has none: fill the cell or remove the row"
        )
    index = {name: number for number, name in enumerate(student.classes)}
    labels = np.array([index[label] for label in records.labels if label is not None])
    return Judged(
        probabilities=student.probabilities,
        labels=labels.astype(np.int64),
        teacher=None if teacher is None else _in_order(teacher, student.classes),
    )


def _in_order(teacher: ModelAnswers, classes: Sequence[str]) -> Floats:
    """Return the teacher's probabilities with the student's order of classes."""
    if sorted(teacher.classes) != sorted(classes):
        raise TeacherError(
            f"expected a teacher with the student's {len(classes)} classes, got one with "
            f"{len(teacher.classes)} or with other names: is it this student's teacher?"
        )
    return teacher.probabilities[:, [teacher.classes.index(name) for name in classes]]
