"""The study: what a researcher wants to learn, from what, at what privacy, in one TOML file.

Paths in it are relative to the file. Everything that can be checked without data or models is
checked here; unknown tables and keys are refused. Every key is explained in docs/study.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Self

from distillation.errors import StudyError
from distillation.learning_tables import (
    LabelsTable,
    ObjectiveTable,
    OptimizerTable,
    StudentTable,
    TermTable,
    WarmUpTable,
)
from distillation.record_rules import refuse_by_name
from distillation.study_checks import check_data, check_regions, check_teacher, check_unit
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
from distillation.study_task_checks import check_generated, check_task, check_terms
from distillation.teacher_table import TeacherTable

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

_DATA = ("public", "private", "test")


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
        check_data(self)
        check_task(self)
        check_generated(self)
        check_terms(self)
        check_unit(self)
        check_teacher(self)
        check_regions(self)

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
