"""What must fit together in a study whatever its task: files, persons, teachers, regions.

Every refusal names table and key, what was expected, and what to do.
"""

import re
from fractions import Fraction
from typing import TYPE_CHECKING

from distillation.errors import StudyError
from distillation.study_tables import DataTable
from distillation.teacher_table import ModelTable
from privacy.guarantee import Unit

if TYPE_CHECKING:
    from distillation.study import Study

_REGION = re.compile(r"[a-z][a-z0-9-]{0,31}")
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


def check_data(study: "Study") -> None:
    """Check that each file has the columns that are its own, and that no test is private."""
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
    _check_declared(study)
    if study.private.region is None:
        raise StudyError(
            "[data.private] needs the key 'region': in a simulation, the column that says "
            "which region a record belongs to"
        )


def _check_declared(study: "Study") -> None:
    for name in ("private", "test"):
        for key in ("origin", "reason"):
            if getattr(getattr(study, name), key) is not None:
                raise StudyError(
                    f"[data.{name}] {key}: only [data.public] is declared public here, since "
                    "texts are generated from it alone: remove this key"
                )


def check_unit(study: "Study") -> None:
    """Check that the data say whose a record is, where persons are protected."""
    if study.privacy.unit is Unit.PERSON and study.private.unit is None:
        raise StudyError(
            "[privacy] unit: persons can be protected only where the data say whose a record is: "
            "name that column in data.private.unit"
        )


def check_teacher(study: "Study") -> None:
    """Check that every teacher is pinned, and that weights mean something."""
    named: list[tuple[str, ModelTable]] = [("[teacher]", study.teacher)]
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


def check_regions(study: "Study") -> None:
    """Check names, number and sizes of the regions."""
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
