"""The tables of a study: every key, with its type, default, bounds and meaning, in one place.

docs/study.md shows these declarations; a test keeps the two equal. What needs more than one table
is checked in `distillation.study`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from pathlib import PurePath

from distillation.kinds import Task
from distillation.learning_tables import (
    LabelsTable,
    ObjectiveTable,
    OptimizerTable,
    StudentTable,
    WarmUpTable,
)
from distillation.study_file import Bounds, check_bounds, key
from distillation.teacher_table import TeacherTable
from privacy.guarantee import Unit

DATA_SUFFIXES = (".csv", ".jsonl", ".parquet")

_AT_LEAST_ONE = Bounds(least=1)
_AT_LEAST_ZERO = Bounds(least=0)
_POSITIVE = Bounds(above=0)
_SHARE = Bounds(least=0, most=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyTable:
    """What is learned."""

    name: str = key("A short name; it appears in the plan and the report.")
    task: Task = key("What the student does.", default=Task.CLASSIFICATION)
    seeds: int = key(
        "Noise draws over which the report averages the researcher's comparisons.",
        default=3,
        bounds=_AT_LEAST_ONE,
    )
    description: str = key("One or two sentences for the report's first page.", default="")

    def __post_init__(self) -> None:
        check_bounds(self)
        if not (self.name.strip() and self.name.isprintable() and len(self.name) <= 64):
            raise ValueError(
                "name: expected 1 to 64 printable characters, as the plan and the report show it"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class DataTable:
    """Where records are and which column holds what; `source` is relative to the study file."""

    source: str = key("A CSV, JSONL or Parquet file.")
    text: str = key("Column of the text.", default="text")
    label: str | None = key(
        "Column of the label; an empty cell is unlabelled. The test data need one.", default=None
    )
    unit: str | None = key(
        "Private data only: column of the privacy unit; absent: each record is one.", default=None
    )
    region: str | None = key(
        "Private data only, and needed there: column of the region. A real region has its own "
        "data and no such column.",
        default=None,
    )
    all_labels: str | None = key(
        "Private data only: column with every record's label, for the comparison with full "
        "labelling; no region sees it.",
        default=None,
    )
    origin: str | None = key(
        "Public data only: what the file is, such as a title and a version; needed for "
        "`warm_up.generated`.",
        default=None,
    )
    reason: str | None = key(
        "Public data only: why everybody may see it, such as a licence; needed for "
        "`warm_up.generated`.",
        default=None,
    )

    def __post_init__(self) -> None:
        if PurePath(self.source).suffix.lower() not in DATA_SUFFIXES:
            raise ValueError(
                f"source: expected a file that ends in {', '.join(DATA_SUFFIXES)}, got "
                f"'{self.source[:80]}': convert the data to one of them"
            )
        columns = (self.text, self.label, self.unit, self.region, self.all_labels)
        named = [column for column in columns if column is not None]
        if "" in named:
            raise ValueError("expected names of columns, got an empty one: name it or leave it out")
        if len(set(named)) < len(named):
            raise ValueError("expected a column for one purpose, got one for two: name another")


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivacyTable:
    """What a region promises; add-or-remove-one, accounted with privacy loss distributions."""

    epsilon: Decimal = key(
        "ε of everything that a region sends, the plan's slack for retries included.",
        bounds=_POSITIVE,
    )
    delta: Decimal = key(
        "δ of the same; at most 1 over the public size of every region.",
        bounds=Bounds(above=0, below=1),
    )
    unit: Unit = key(
        "What is protected: each `record`, or each `person`: all records that share the value of "
        "`data.private.unit`, up to the region's `max_records_per_unit`, count as one.",
        default=Unit.RECORD,
    )
    clip_norm: Decimal = key(
        "C, the largest norm of one unit's gradient; the noise multiplier follows from ε, δ and "
        "the schedule.",
        default=Decimal(1),
        bounds=_POSITIVE,
    )
    audit_canaries: int = key(
        "Made-up records that every region adds to its training by secret coins, to audit its own "
        "releases after the last round; they cost no ε. 0: none; else at least 20 and at most half "
        "of every public size, and only where the student's `head` is trained.",
        default=0,
        bounds=_AT_LEAST_ZERO,
    )

    def __post_init__(self) -> None:
        check_bounds(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class FederationTable:
    """How often regions train and what they accept of each other."""

    rounds: int = key("Number of rounds.", bounds=_AT_LEAST_ONE)
    local_steps: int = key(
        "Private steps of a region in one round.", default=1, bounds=_AT_LEAST_ONE
    )
    sample_rate: Fraction = key(
        "q, the chance of one unit to be in one step; the batch constant is q times the public "
        "size.",
        bounds=Bounds(above=0, most=1),
    )
    bits: int = key("Width of a masked word: 16 or 32.", default=32)
    min_cohort: int = key(
        "Fewest regions that a region accepts; fewer hide less, so fewer than 5 are said here.",
        default=5,
        bounds=Bounds(least=3),
    )

    min_survivors: int | None = key(
        "Fewest regions that a sum may hold when others are lost; left out: two thirds and one.",
        default=None,
        bounds=_AT_LEAST_ONE,
    )
    assumed_colluders: int = key(
        "Regions that may work with the coordinator; a sum holds at least three more.",
        default=0,
        bounds=_AT_LEAST_ZERO,
    )
    any_survivors: bool = key(
        "Allow sums over changing sets of regions even where several sums together would isolate "
        "a few regions; each region's ε holds either way. Without it, a region that a sum went "
        "without stays out of the later ones, and one that is lost later stops the run.",
        default=False,
    )
    rotate: bool = key("Rotate deltas before they are encoded.", default=False)

    def __post_init__(self) -> None:
        check_bounds(self)
        if self.bits not in (16, 32):
            raise ValueError(f"bits: expected 16 or 32, got {self.bits}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionTable:
    """One region; NAME is lower-case letters, digits and hyphens, at most 32, a letter first."""

    public_size: int = key(
        "A public bound on the number of units, never counted from the data. A region with more "
        "units, or fewer than half of it, refuses the plan.",
        bounds=_AT_LEAST_ONE,
    )
    max_records_per_unit: int = key(
        "Cap on the records of one person. Where persons are the unit, a person's further records "
        "are left out; where records are, more than 1 declares the cap, by which a person's ε is "
        "told, and a region with more refuses the plan.",
        default=1,
        bounds=_AT_LEAST_ONE,
    )
    budget_epsilon: Decimal | None = key(
        "ε that the region grants; absent: what the plan needs.", default=None, bounds=_POSITIVE
    )
    budget_delta: Decimal | None = key(
        "δ that the region grants; absent: what the plan needs, so that no later study can be "
        "paid for.",
        default=None,
        bounds=Bounds(above=0, below=1),
    )

    def __post_init__(self) -> None:
        check_bounds(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class GatesTable:
    """What a student must reach to be written out; the report says what it missed."""

    accuracy: Decimal | None = key("Least accuracy.", default=None, bounds=_SHARE)
    calibration_error: Decimal | None = key(
        "Largest expected calibration error.", default=None, bounds=_SHARE
    )

    def __post_init__(self) -> None:
        check_bounds(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationTable:
    """How the student is judged, on the test data."""

    gates: GatesTable = key("Thresholds, as below.", default=GatesTable())
    slices: tuple[str, ...] | None = key(
        "Columns of the test data by whose values the report tells the student's quality, beside "
        "class and length; absent: the column that `data.private.region` names, if the test data "
        "have one of that name. Classifiers only.",
        default=None,
    )
    cost: bool = key(
        "Whether time and memory of student and teacher are measured at the end.", default=True
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselinesTable:
    """The researcher's comparisons, outside every ledger; a simulation only."""

    run: bool = key("Whether to run them.", default=True)
    label_learning_rate: Decimal | None = key(
        "Local learning rate where given labels are the only supervision; absent: that of the "
        "private steps, as much smaller as the noise over the labelled records alone is larger.",
        default=None,
        bounds=_POSITIVE,
    )

    def __post_init__(self) -> None:
        check_bounds(self)


TABLES: Mapping[str, type] = {
    "study": StudyTable,
    "data.public": DataTable,
    "data.private": DataTable,
    "data.test": DataTable,
    "teacher": TeacherTable,
    "student": StudentTable,
    "labels": LabelsTable,
    "objective": ObjectiveTable,
    "privacy": PrivacyTable,
    "federation": FederationTable,
    "optimizer": OptimizerTable,
    "regions.NAME": RegionTable,
    "warm_up": WarmUpTable,
    "evaluation": EvaluationTable,
    "baselines": BaselinesTable,
}
OPTIONAL_TABLES = ("labels", "objective", "optimizer", "warm_up", "evaluation", "baselines")
