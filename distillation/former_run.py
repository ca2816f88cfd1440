"""A study that goes on: its student starts from the one that an earlier run released.

The start then depends on that run's plan, on those before it and on what their teachers were
trained on. All of it is taken from the earlier run's own plan, never from the new study, so that no
lineage is lost on the way; the account that pays must have been charged for every one of them.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from distillation.errors import StudyError, TeacherError
from distillation.kit import Kit
from distillation.learning_tables import FROM_TEACHER
from distillation.model_files import ModelFiles, locate
from distillation.study import Study
from distillation.teacher import load_tokenizer
from distillation.vocabularies import require_rows, require_same_vocabulary
from privacy.errors import PrivacyError
from privacy.plan import Plan


@dataclass(frozen=True, slots=True)
class FormerRun:
    """An earlier run that released a student.

    Attributes:
        folder: The run's folder.
        plan: Its plan.
        student: The released student's files.
    """

    folder: Path
    plan: Plan
    student: ModelFiles

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Read an earlier run.

        Raises:
            StudyError: If there is no such run, or it released no student.
        """
        try:
            plan = Plan.from_bytes((folder / "plan.json").read_bytes())
        except (OSError, PrivacyError) as error:
            raise StudyError(
                f"[student] from: expected the folder of an earlier run with its plan.json at "
                f"'{folder.name}', got none that can be read ({type(error).__name__}): correct the "
                'folder, or cut a new student with from = "teacher"'
            ) from error
        try:
            return cls(folder, plan, locate(str(folder / "student")))
        except TeacherError as error:
            raise StudyError(
                f"[student] from: the run in '{folder.name}' has no released student: it is not "
                "finished, or its student missed a gate; start from a run that released one"
            ) from error

    @property
    def feature_length(self) -> float:
        """Length of the features of the released student, a classifier.

        Raises:
            StudyError: If its configuration says none.
        """
        try:
            said = json.loads((self.student.folder / "config.json").read_bytes())
            return float(said["feature_scale"])
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise StudyError(
                f"[student] from: expected a classifier with its feature_scale in the run "
                f"'{self.folder.name}', got {type(error).__name__}: start from a run of this task"
            ) from error

    @property
    def plans(self) -> tuple[str, ...]:
        """Hashes of every plan that the released student depends on."""
        return tuple(sorted({*self.plan.teacher.plans, self.plan.hash}))

    def load_student(
        self, kit: Kit, tokenizer: PreTrainedTokenizerBase, outcomes: Sequence[str]
    ) -> PreTrainedModel:
        """Return the released student, ready to learn from a teacher.

        Args:
            kit: Of the study's task.
            tokenizer: The teacher's.
            outcomes: What the teacher names its outcomes, in its order.

        Raises:
            TeacherError: If it has another tokenizer, or other classes or another order of them.
        """
        student = kit.load_student(self.student.folder)
        own = load_tokenizer(self.student)
        require_same_vocabulary(tokenizer, own)
        require_rows(own, student, "student")
        names = kit.outcomes_of(student)
        if names is not None and names != tuple(outcomes):
            raise TeacherError(
                "expected the teacher to name the same classes as the student that goes on, in the "
                f"same order, got {len(outcomes)} and {len(names)} classes that differ: use a "
                "teacher of these classes, or cut a new student"
            )
        return student


def former_run(study: Study) -> FormerRun | None:
    """Return the run whose student this study's starts from; None: it is cut from the teacher.

    Raises:
        StudyError: If there is no such run, or it released no student.
    """
    said = study.student.from_
    return None if said == FROM_TEACHER else FormerRun.open(study.base / said)
