"""The study: what a researcher wants to learn, from what, at what privacy, in one TOML file.

Paths in it are relative to the file. Everything that can be checked without data or models is
checked here; unknown tables and keys are refused. Every key is explained in docs/study.md.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from fractions import Fraction
from pathlib import Path
from typing import Self

from distillation.errors import StudyError, TrainingError
from distillation.kinds import TRAINED, Task, Template, Train
from distillation.learning_tables import (
    LabelsTable,
    ObjectiveTable,
    OptimizerTable,
    StudentTable,
    TermTable,
    WarmUpTable,
)
from distillation.objectives.registry import build
from distillation.record_rules import refuse_by_name
from distillation.study_file import read_table, read_toml, refuse_unknown, toml_name, write_toml
from distillation.study_tables import (
    OPTIONAL_TABLES,
    TABLES,
    BaselinesTable,
    DataTable,
    EvaluationTable,
    FederationTable,
    GatesTable,
    PrivacyTable,
    RegionTable,
    StudyTable,
)
from distillation.teacher_table import ExpertTable, TeacherTable
from privacy.guarantee import Unit

__all__ = [
    "BaselinesTable",
    "DataTable",
    "EvaluationTable",
    "FederationTable",
    "GatesTable",
    "LabelsTable",
    "ObjectiveTable",
    "OptimizerTable",
    "PrivacyTable",
    "RegionTable",
    "StudentTable",
    "Study",
    "StudyTable",
    "TeacherTable",
    "TermTable",
    "WarmUpTable",
]

_REGION = re.compile(r"[a-z][a-z0-9-]{0,31}")
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_DATA = ("public", "private", "test")
_CONSTANTS = ("temperature", "alpha", "beta", "strength")
_ON_LABELS = ("label", "blend", "brier", "entropy-smoothing")
_ON_STATES = ("feature-cosine", "feature-distance")


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """One study, checked.

    Attributes:
        base: The folder that relative paths start from.
        regions: By name, in the order of the file.
    """

    base: Path
    study: StudyTable
    public: DataTable
    private: DataTable
    test: DataTable
    teacher: TeacherTable
    student: StudentTable
    labels: LabelsTable
    objective: ObjectiveTable
    privacy: PrivacyTable
    federation: FederationTable
    optimizer: OptimizerTable
    regions: Mapping[str, RegionTable]
    warm_up: WarmUpTable
    evaluation: EvaluationTable
    baselines: BaselinesTable

    def __post_init__(self) -> None:
        _check_data(self)
        _check_task(self)
        _check_generated(self)
        _check_terms(self)
        _check_unit(self)
        _check_teacher(self)
        _check_regions(self)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a study.

        Raises:
            StudyError: If the file is missing, no TOML, or anything in it does not fit.
        """
        found = read_toml(path)
        try:
            return cls._read(found, path.resolve().parent)
        except StudyError as error:
            # A quoted key may hold anything: no line breaks or terminal codes in a message.
            shown = "".join(c if c.isprintable() else "\ufffd" for c in str(error))
            raise StudyError(f"{path.name}: {shown}") from error

    @classmethod
    def _read(cls, found: Mapping[str, object], base: Path) -> Self:
        refuse_by_name(found)
        tops = dict.fromkeys(name.partition(".")[0] for name in TABLES)
        refuse_unknown(dict(found), tops, "the study", thing="table")
        data, regions = _tables(found, "data"), _tables(found, "regions")
        refuse_unknown(data, _DATA, "[data]", thing="table")
        flat = {f"data.{name}": data.get(name) for name in _DATA}
        flat |= {name: found.get(name) for name in TABLES if "." not in name}
        tables = {name.removeprefix("data."): _table(name, value) for name, value in flat.items()}
        return cls(
            base=base,
            regions={
                name: read_table(RegionTable, value, f"regions.{name}", homes=_homes(RegionTable))
                for name, value in regions.items()
            },
            **tables,  # type: ignore[arg-type]  # TABLES says which class each one is
        )

    def to_toml(self) -> str:
        """Return the study as it is run: every key with its value, defaults included.

        Read from a file in the same folder it is the same study.

        Raises:
            StudyError: If the sample rate has no finite decimal form.
        """
        tables: dict[str, object] = {}
        for name in TABLES:
            if name == "regions.NAME":
                tables |= {f"regions.{region}": table for region, table in self.regions.items()}
            else:
                tables[name] = getattr(self, name.removeprefix("data."))
        return write_toml(tables)


def _tables(found: Mapping[str, object], name: str) -> dict[str, object]:
    value = found.get(name, {})
    if not isinstance(value, dict):
        raise StudyError(f"expected tables such as [{name}.…], got a value for '{name}'")
    return value


def _table(name: str, value: object) -> object:
    if value is None and name in OPTIONAL_TABLES:
        value = {}
    if value is None:
        raise StudyError(f"expected a table [{name}], found none: add it as in docs/study.md")
    return read_table(TABLES[name], value, name, homes=_homes(TABLES[name]))


def _homes(kind: type) -> Mapping[str, str]:
    """Return the keys that only tables of another kind have, each with its table."""
    homes: dict[str, str] = {}
    for name, table in TABLES.items():
        for field in fields(table):
            if table is not kind:
                homes.setdefault(toml_name(field), name)
    return homes


def _check_data(study: Study) -> None:
    for name in ("public", "test"):
        table: DataTable = getattr(study, name)
        for column in ("unit", "region", "all_labels"):
            if getattr(table, column) is not None:
                raise StudyError(
                    f"[data.{name}] {column}: only [data.private] has such a column: remove it"
                )
    if (study.base / study.test.source).resolve() == (study.base / study.private.source).resolve():
        raise StudyError(
            f"[data.test] source: '{study.test.source}' is the regions' own file: figures of "
            "their records would be releases that no budget pays for; name held-out records that "
            "are public"
        )
    for name in ("private", "test"):
        for key in ("origin", "reason"):
            if getattr(getattr(study, name), key) is not None:
                raise StudyError(
                    f"[data.{name}] {key}: only [data.public] is declared public here, since "
                    "texts are generated from it alone: remove this key"
                )
    if study.private.region is None:
        raise StudyError(
            "[data.private] needs the key 'region': in a simulation, the column that says "
            "which region a record belongs to"
        )


def _check_task(study: Study) -> None:
    task, train = study.study.task, study.student.train
    if train not in TRAINED[task]:
        raise StudyError(
            f"[student] train: expected {' or '.join(TRAINED[task])} for the task {task}, got "
            f"'{train}'"
        )
    if task is Task.CLASSIFICATION:
        _check_classification(study)
    else:
        _check_language_model(study)


def _check_classification(study: Study) -> None:
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


def _check_language_model(study: Study) -> None:
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


def _check_generated(study: Study) -> None:
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


def _check_terms(study: Study) -> None:
    for place, each in enumerate(study.objective.more):
        where = f"[objective] more[{place}]"
        if each.term in _ON_STATES and study.student.train is Train.HEAD:
            raise StudyError(
                f"{where}: '{each.term}' compares hidden states, and student.train = \"head\" "
                'changes none: set student.train = "last", or warm_up.feature_weight to match '
                "them on public text"
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


def _check_unit(study: Study) -> None:
    if study.privacy.unit is Unit.PERSON and study.private.unit is None:
        raise StudyError(
            "[privacy] unit: persons can be protected only where the data say whose a record is: "
            "name that column in data.private.unit"
        )


def _check_teacher(study: Study) -> None:
    named: list[tuple[str, ExpertTable]] = [("[teacher]", study.teacher)]
    named += [(f"[teacher] more[{n}]", each) for n, each in enumerate(study.teacher.more)]
    named += [(f"[warm_up] answers[{n}]", each) for n, each in enumerate(study.warm_up.answers)]
    for where, teacher in named:
        model = teacher.model
        looks_remote = _HUB_ID.fullmatch(model) and not (study.base / model).is_dir()
        if looks_remote and teacher.revision is None:
            raise StudyError(
                f"{where} model: '{model}' is no folder beside the study, and a hub id needs "
                "teacher.revision, the commit it was checked at: add it, or correct the folder"
            )
    if study.teacher.weight != 1 and not study.teacher.more:
        raise StudyError(
            "[teacher] weight: one teacher is the whole mixture: remove this key, or name further "
            "teachers as [[teacher.more]]"
        )


def _check_regions(study: Study) -> None:
    for name in study.regions:
        if not _REGION.fullmatch(name):
            raise StudyError(
                f"[regions.{name[:80]}]: expected a name of lower-case letters, digits and "
                "hyphens, at most 32, starting with a letter: rename it, in the data too"
            )
    least = study.federation.min_cohort
    if len(study.regions) < least:
        raise StudyError(
            f"expected at least {least} regions, got {len(study.regions)}: add [regions.NAME] "
            "tables, or lower federation.min_cohort (3 at least) and accept that fewer regions "
            "hide less"
        )
    for name, region in study.regions.items():
        if Fraction(study.privacy.delta) > Fraction(1, region.public_size):
            raise StudyError(
                f"[privacy] delta: expected δ at most 1 over the public size of every region, got "
                f"{study.privacy.delta} with [regions.{name}] of {region.public_size}: a larger δ "
                "would allow a whole record to be published; lower it"
            )
