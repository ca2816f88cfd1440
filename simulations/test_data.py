"""The test data of a study: what they are sliced by, and that they are not the regions' records.

Every figure of the released student is told to whoever reads the report. On public records that
costs nothing; on a region's records each figure would be a release that no account was charged for.
"""

from collections.abc import Mapping

from distillation.kinds import Task
from distillation.record_files import read_columns
from distillation.records import Columns, Records, read_records
from distillation.study import Study
from simulations.errors import StudyDataError

_MOST_SHARED = 0.5
"""Short texts may well be public and in a region too; if most are, the file is the region's."""


def slice_columns(study: Study) -> Mapping[str, tuple[str, ...]]:
    """Return the columns by whose values quality is told, one value a test record.

    Raises:
        RecordsError: If the test data lack a column that the study names, or a value in it.
    """
    path = study.base / study.test.source
    return {
        name: read_records(path, Columns(text=study.test.text, region=name)).regions
        for name in _names(study)
    }


def require_public_test(study: Study, test: Records, private: Records) -> None:
    """Refuse test data of which most are word for word records of the regions.

    Raises:
        StudyDataError: With how many, never with their content.
    """
    known = set(private.texts)
    shared = sum(text in known for text in test.texts)
    if shared > _MOST_SHARED * len(test):
        raise StudyDataError(
            f"expected public test data, and {shared} of {len(test)} texts in "
            f"{study.test.source} are records of the regions: the report's figures on them would "
            "be releases that no budget pays for; name held-out records that are public"
        )


def _names(study: Study) -> tuple[str, ...]:
    named, region = study.evaluation.slices, study.private.region
    if named is not None:
        return named
    if study.study.task is not Task.CLASSIFICATION or region is None:
        return ()
    there = region in read_columns(study.base / study.test.source).columns
    return (region,) if there else ()
