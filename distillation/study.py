"""The study: what a researcher wants to learn, from what, at what privacy, in one TOML file.

Paths in it are relative to the file. Everything that can be checked without data or models is
checked here; unknown keys are refused. Every key is explained in docs/study.md.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Self

from distillation.errors import StudyError
from distillation.kinds import Task, Train
from distillation.study_file import key, read_table, read_toml, refuse_unknown
from privacy.guarantee import Unit
from privacy.lineage import TeacherLineage

_REGION = re.compile(r"[a-z][a-z0-9-]{0,31}")


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyTable:
    """``[study]``."""

    name: str = key("A short name; it appears in the plan and the report.")
    task: Task = key("What the student does.", default=Task.CLASSIFICATION)
    seeds: int = key("Noise draws over which the report averages its comparisons.", default=3)
    description: str = key("One or two sentences for the report's first page.", default="")

    def __post_init__(self) -> None:
        _require(bool(self.name.strip()), "name: expected a name, got an empty one")
        _require(self.seeds >= 1, f"seeds: expected at least 1, got {self.seeds}")


@dataclass(frozen=True, slots=True, kw_only=True)
class DataTable:
    """``[data.public]``, ``[data.private]`` and ``[data.test]``."""

    source: str = key("A CSV, JSONL or Parquet file.")
    text: str = key("Column of the text.", default="text")
    label: str | None = key("Column of the label; an empty cell is unlabelled.", default=None)
    unit: str | None = key("Column of the privacy unit; absent: each record is one.", default=None)
    region: str | None = key("Private data only: column of the region.", default=None)
    all_labels: str | None = key(
        "Private data only: column with every record's label, for the comparison with full "
        "labelling; no region sees it.",
        default=None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TeacherTable:
    """``[teacher]``."""

    model: str = key("`package:NAME`, a folder, or a hub id with `revision`.")
    revision: str | None = key("The commit of a hub id; required for one.", default=None)
    lineage: TeacherLineage | None = key(
        "What the teacher was trained on; never guessed.", default=None
    )
    population: str = key("Whom its training data describe; required unless `public`.", default="")
    max_tokens: int = key("Longest text, in tokens; longer ones are refused.", default=64)

    def __post_init__(self) -> None:
        if self.lineage is None:
            choices = ", ".join(sorted(set(TeacherLineage) - {TeacherLineage.UNDECLARED}))
            raise ValueError(
                f"needs the key 'lineage', one of {choices}: what the teacher was trained on "
                "decides whether the guarantee holds at all"
            )
        if self.lineage is not TeacherLineage.PUBLIC and not self.population.strip():
            raise ValueError(
                f"population: a teacher of lineage {self.lineage} needs the people named whom its "
                "training data describe; the report says that they are not covered"
            )
        _require(8 <= self.max_tokens <= 512, f"max_tokens: expected 8 to 512: {self.max_tokens}")


@dataclass(frozen=True, slots=True, kw_only=True)
class StudentTable:
    """``[student]``."""

    from_: str = key("What the student is cut from: `teacher`.", default="teacher")
    layers: tuple[int, ...] = key("Which of the teacher's layers it keeps.")
    train: Train = key("Which tensors are trained privately.", default=Train.HEAD)
    feature_scale: Decimal = key("Length of the pooled features.", default=Decimal(8))

    def __post_init__(self) -> None:
        _require(self.from_ == "teacher", f"from: expected 'teacher', got '{self.from_}'")
        _require(bool(self.layers), "layers: expected at least one layer")
        _require(self.feature_scale > 0, "feature_scale: expected a number > 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectiveTable:
    """``[objective]``."""

    soft: Decimal = key("Weight of the teacher's soft labels.", default=Decimal(1))
    hard: Decimal = key("Weight of the teacher's most likely class.", default=Decimal(0))
    label: Decimal = key("Weight of the given label, where there is one.", default=Decimal(0))
    temperature: Decimal = key("Temperature of the soft labels, > 0.", default=Decimal(2))

    def __post_init__(self) -> None:
        weights = (self.soft, self.hard, self.label)
        _require(min(weights) >= 0 < sum(weights), "expected weights >= 0, at least one above 0")
        _require(self.temperature > 0, f"temperature: expected > 0, got {self.temperature}")


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivacyTable:
    """``[privacy]``."""

    epsilon: Decimal = key("ε of everything a region sends, slack for retries included; > 0.")
    delta: Decimal = key("δ, at most 1 over the size of the smallest region.")
    unit: Unit = key("What is protected.", default=Unit.RECORD)
    clip_norm: Decimal = key("C, the largest norm of one unit's gradient.", default=Decimal(1))

    def __post_init__(self) -> None:
        _require(self.epsilon > 0, f"epsilon: expected ε > 0, got {self.epsilon}")
        _require(0 < self.delta < 1, f"delta: expected δ in (0, 1), got {self.delta}")
        _require(self.clip_norm > 0, f"clip_norm: expected > 0, got {self.clip_norm}")
        _require(
            self.unit is Unit.RECORD,
            "unit: persons as the privacy unit come in a later version; say 'record', and the "
            "report says that a person with several records is not covered as one",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FederationTable:
    """``[federation]``."""

    rounds: int = key("Number of rounds.")
    local_steps: int = key("Private steps of a region in one round.", default=1)
    sample_rate: Fraction = key("q, the chance of one unit to be in one step, in (0, 1].")
    bits: int = key("Width of a masked word: 16 or 32.", default=32)
    min_cohort: int = key("Fewest regions that a region accepts; below 5 say so here.", default=5)

    def __post_init__(self) -> None:
        _require(self.rounds >= 1, f"rounds: expected at least 1, got {self.rounds}")
        _require(self.local_steps >= 1, f"local_steps: expected at least 1: {self.local_steps}")
        _require(0 < self.sample_rate <= 1, "sample_rate: expected a number in (0, 1]")
        _require(self.bits in (16, 32), f"bits: expected 16 or 32, got {self.bits}")
        _require(self.min_cohort >= 3, f"min_cohort: expected at least 3, got {self.min_cohort}")


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizerTable:
    """``[optimizer]``."""

    learning_rate: Decimal = key("Of a region's private steps.", default=Decimal(1))
    momentum: Decimal = key("Of a region's private steps, in [0, 1).", default=Decimal(0))
    server_learning_rate: Decimal = key("Of the server, on the mean delta.", default=Decimal(1))
    server_momentum: Decimal = key("Of the server, in [0, 1).", default=Decimal(0))

    def __post_init__(self) -> None:
        _require(min(self.learning_rate, self.server_learning_rate) > 0, "expected rates > 0")
        momenta = (self.momentum, self.server_momentum)
        _require(all(0 <= m < 1 for m in momenta), "expected momenta in [0, 1)")


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionTable:
    """``[regions.NAME]``."""

    public_size: int = key("A public bound on the number of units, never counted from the data.")
    max_records_per_unit: int = key("Cap on the records of one unit.", default=1)
    budget_epsilon: Decimal | None = key(
        "ε that the region grants; absent: what the plan needs.", default=None
    )

    def __post_init__(self) -> None:
        _require(self.public_size >= 1, f"public_size: expected >= 1, got {self.public_size}")
        _require(self.max_records_per_unit >= 1, "max_records_per_unit: expected at least 1")
        if self.budget_epsilon is not None:
            _require(self.budget_epsilon > 0, "budget_epsilon: expected ε > 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmUpTable:
    """``[warm_up]``."""

    epochs: int = key("Passes over the public data; 0: none.", default=5)
    batch_size: int = key("Public records in one step.", default=32)
    learning_rate: Decimal = key("Of the student's layers.", default=Decimal("0.0003"))
    head_learning_rate: Decimal = key("Of its head.", default=Decimal("0.01"))
    feature_weight: Decimal = key("Weight of the feature term.", default=Decimal(10))
    seed: int = key("Order of the public records.", default=0)

    def __post_init__(self) -> None:
        _require(self.epochs >= 0 and self.batch_size >= 1, "expected epochs >= 0, batch_size >= 1")
        _require(min(self.learning_rate, self.head_learning_rate) > 0, "expected rates > 0")
        _require(self.feature_weight >= 0, "feature_weight: expected >= 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationTable:
    """``[evaluation]``."""

    min_accuracy: Decimal | None = key("Gate: accuracy of a released student.", default=None)
    max_calibration_error: Decimal | None = key("Gate: its calibration error.", default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselinesTable:
    """``[baselines]``: the researcher's comparisons, outside every ledger."""

    run: bool = key("Whether to run them; they need a simulation.", default=True)
    label_learning_rate: Decimal | None = key(
        "Local learning rate where given labels are the only supervision; absent: as above.",
        default=None,
    )

    def __post_init__(self) -> None:
        if self.label_learning_rate is not None:
            _require(self.label_learning_rate > 0, "label_learning_rate: expected > 0")


TABLES: Mapping[str, type] = {
    "study": StudyTable,
    "data.public": DataTable,
    "data.private": DataTable,
    "data.test": DataTable,
    "teacher": TeacherTable,
    "student": StudentTable,
    "objective": ObjectiveTable,
    "privacy": PrivacyTable,
    "federation": FederationTable,
    "optimizer": OptimizerTable,
    "regions.NAME": RegionTable,
    "warm_up": WarmUpTable,
    "evaluation": EvaluationTable,
    "baselines": BaselinesTable,
}
_OPTIONAL = ("objective", "optimizer", "warm_up", "evaluation", "baselines")


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
    objective: ObjectiveTable
    privacy: PrivacyTable
    federation: FederationTable
    optimizer: OptimizerTable
    regions: Mapping[str, RegionTable] = field(default_factory=dict)
    warm_up: WarmUpTable
    evaluation: EvaluationTable
    baselines: BaselinesTable

    def __post_init__(self) -> None:
        _check_regions(self)
        if self.private.region is None:
            raise StudyError(
                "[data.private] needs the key 'region': in a simulation, the column that says "
                "which region a record belongs to"
            )
        if self.test.label is None:
            raise StudyError("[data.test] needs the key 'label': without labels there is no test")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a study.

        Raises:
            StudyError: If the file is missing, no TOML, or anything in it does not fit.
        """
        found = read_toml(path)
        known = sorted({name.partition(".")[0] for name in TABLES})
        refuse_unknown(found, known, path.name)
        data = found.get("data", {})
        regions = found.get("regions", {})
        if not isinstance(data, dict) or not isinstance(regions, dict):
            raise StudyError("expected tables [data.public], … and [regions.NAME], …")
        refuse_unknown(data, ("public", "private", "test"), "[data]")
        flat = {f"data.{name}": data.get(name) for name in ("public", "private", "test")}
        flat |= {name: found.get(name) for name in TABLES if "." not in name}
        tables = {name: _table(name, value) for name, value in flat.items()}
        return cls(
            base=path.resolve().parent,
            regions={
                name: read_table(RegionTable, value, f"regions.{name}")
                for name, value in regions.items()
            },
            **{name.removeprefix("data."): table for name, table in tables.items()},  # type: ignore[arg-type]
        )


def _table(name: str, value: object) -> object:
    if value is None and name in _OPTIONAL:
        value = {}
    if value is None:
        raise StudyError(f"the study needs a table [{name}]; see docs/study.md")
    return read_table(TABLES[name], value, name)


def _check_regions(study: Study) -> None:
    for name in study.regions:
        if not _REGION.fullmatch(name):
            raise StudyError(
                f"[regions.{name}]: expected a name of lower-case letters, digits and hyphens, "
                "at most 32, starting with a letter"
            )
    if len(study.regions) < study.federation.min_cohort:
        raise StudyError(
            f"expected at least {study.federation.min_cohort} regions, got {len(study.regions)}: "
            "add [regions.NAME] tables, or say federation.min_cohort = 3 and accept that fewer "
            "regions hide less"
        )
    for name, region in study.regions.items():
        if study.privacy.delta > Fraction(1, region.public_size):
            raise StudyError(
                f"privacy.delta: expected δ at most 1 over the size of every region, got "
                f"{study.privacy.delta} with [regions.{name}] of {region.public_size}: a larger δ "
                "would allow a whole record to be published"
            )


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise ValueError(message)
