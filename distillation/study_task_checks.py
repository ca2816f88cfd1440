"""What a study of one task may say, and another may not: columns, labels, terms of the objective.

Every refusal names table and key, what was expected, and what to do.
"""

from typing import TYPE_CHECKING

from distillation.errors import StudyError, TrainingError
from distillation.kinds import TRAINED, Task, Template, Train
from distillation.learning_tables import RANK, TRAINED_LAYERS, ObjectiveTable, TermTable
from distillation.objectives.registry import build

if TYPE_CHECKING:
    from distillation.study import Study

_DATA = ("public", "private", "test")
_CONSTANTS = ("temperature", "alpha", "beta", "strength")
_ON_LABELS = ("label", "blend", "brier", "entropy-smoothing")
_ON_STATES = ("feature-cosine", "feature-distance")


def check_task(study: "Study") -> None:
    """Check that trained part, columns and teacher are such as the task has."""
    task, train = study.study.task, study.student.train
    if train not in TRAINED[task]:
        raise StudyError(
            f"[student] train: expected {' or '.join(TRAINED[task])} for the task {task}, got "
            f"'{train}'"
        )
    if train is not Train.LORA and study.student.rank != RANK:
        raise StudyError(
            f"[student] rank: expected train = 'lora' beside it, got '{train}', which has no "
            "adapters: remove this key"
        )
    if train not in (Train.LORA, Train.NORMS) and study.student.trained_layers != TRAINED_LAYERS:
        raise StudyError(
            f"[student] trained_layers: expected train = lora or norms beside it, got '{train}': "
            "remove this key"
        )
    if task is Task.CLASSIFICATION:
        _check_classification(study)
    else:
        _check_language_model(study)


def _check_classification(study: "Study") -> None:
    if study.warm_up.answers:
        raise StudyError(
            "[warm_up] answers: a classifier reads no written answers; its teacher labels public "
            'text: remove them, or set study.task = "language-model"'
        )
    if study.test.label is None:
        raise StudyError("[data.test] needs the key 'label': without labels there is no test")
    named = [each.term for each in study.objective.more if each.term in _ON_LABELS]
    wanted = ["label"] if study.objective.label else [f"more ({named[0]})"] if named else []
    if wanted and study.private.label is None:
        raise StudyError(
            f"[objective] {wanted[0]}: expected private data with labels, got no "
            "data.private.label: name that column, or set this weight to 0"
        )
    if study.teacher.template is not Template.TEXT:
        raise StudyError(
            "[teacher] template: a classifier reads plain text: remove this key, or set "
            'study.task = "language-model"'
        )
    if study.teacher.prepare_epochs:
        raise StudyError(
            "[teacher] prepare_epochs: only a language model is made ready on public text; a "
            "classifier learns nothing from it without labels: remove this key"
        )


def _check_language_model(study: "Study") -> None:
    if study.warm_up.answers and not study.warm_up.epochs:
        raise StudyError(
            "[warm_up] answers: nobody reads them where epochs = 0: give epochs, or remove them"
        )
    labelled = [name for name in _DATA if getattr(study, name).label is not None]
    if labelled or study.private.all_labels is not None:
        name = (labelled or ["private"])[0]
        raise StudyError(
            f"[data.{name}] label: a language model is asked for each text's own next token and "
            "reads no labels: remove this key"
        )
    if study.evaluation.slices is not None:
        raise StudyError(
            "[evaluation] slices: a language model is judged token by token, not by parts of the "
            "test data: remove this key"
        )
    if study.teacher.more:
        raise StudyError(
            "[teacher] more: the labels of a language model are the top of one teacher's "
            "vocabulary, and the tops of several make no distribution: name one teacher"
        )
    if study.objective.more:
        raise StudyError(
            "[objective] more: a language model's labels are the teacher's top tokens and one "
            "for the rest, and further terms need the whole distribution: use soft, hard, label"
        )


def check_generated(study: "Study") -> None:
    """Check that texts may be generated, and that the file they come from is declared public."""
    if not study.warm_up.generated:
        return
    if study.study.task is Task.LANGUAGE_MODEL:
        raise StudyError(
            "[warm_up] generated: mixtures of words suit short titles that a classifier sorts; a "
            "language model would learn to write them: remove this key and add to data.public"
        )
    for key in ("origin", "reason"):
        if not (getattr(study.public, key) or "").strip():
            raise StudyError(
                f"[data.public] needs the key '{key}' where warm_up.generated is set: what the "
                "teacher says of generated texts leaves without noise, so say what the file is and "
                "why everybody may see it, or set generated = 0"
            )


def check_terms(study: "Study") -> None:
    """Check that every further term of the objective can be built, and moves what is trained."""
    for place, each in enumerate(study.objective.more):
        where = f"[objective] more[{place}]"
        if each.term in _ON_STATES and study.student.train is Train.HEAD:
            raise StudyError(
                f"{where}: '{each.term}' compares hidden states, and student.train = \"head\" "
                "changes none: set student.train to norms, lora or last, or "
                "warm_up.feature_weight to match them on public text"
            )
        if each.term in _ON_STATES and not _on_outcomes(study.objective):
            raise StudyError(
                f"{where}: '{each.term}' says nothing about classes, and no other weight is above "
                "0: the head would learn nothing; set objective.soft = 1.0"
            )
        try:
            build(term_of(each))
        except TrainingError as error:
            raise StudyError(f"{where}: {error}") from error


def _on_outcomes(goal: ObjectiveTable) -> bool:
    """Return whether the objective compares what the models say, beside their hidden states."""
    others = any(each.term not in _ON_STATES for each in goal.more)
    return others or bool(goal.soft + goal.hard + goal.label)


def term_of(table: TermTable) -> dict[str, str]:
    """Return a further term as the registry of objectives reads it."""
    given = {name: getattr(table, name) for name in _CONSTANTS}
    said = {name: repr(float(value)) for name, value in given.items() if value is not None}
    return {"term": table.term, **said}
