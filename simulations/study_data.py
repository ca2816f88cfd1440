"""The records of a study, read and checked before anything takes time."""

from collections.abc import Mapping
from dataclasses import dataclass

from distillation.kinds import Task
from distillation.records import Columns, Records, read_records, rows_within_cap
from distillation.study import DataTable, Study
from privacy.guarantee import Unit
from simulations.errors import StudyDataError
from simulations.test_data import require_public_test, slice_columns


@dataclass(frozen=True)
class StudyData:
    """The records of a study, as its files hold them.

    Attributes:
        public: Declared public.
        private: All regions' records.
        test: The public test set, labelled.
        all_labels: Every private record's label, for the full-labelling comparison, if given.
        slices: Values of the test set's further columns, by which its quality is told.
    """

    public: Records
    private: Records
    test: Records
    all_labels: tuple[str | None, ...] | None
    slices: Mapping[str, tuple[str, ...]]

    @classmethod
    def read(cls, study: Study) -> "StudyData":
        """Read the files.

        Raises:
            RecordsError: If a file cannot be used.
            StudyDataError: If the regions in the data are not those of the study, a test record
                has no label, or most test records are the regions' own.
        """
        private = _read(study, study.private)
        all_labels = None
        if study.private.all_labels is not None:
            columns = Columns(text=study.private.text, label=study.private.all_labels)
            all_labels = read_records(study.base / study.private.source, columns).labels
        if study.privacy.unit is Unit.PERSON:
            private, all_labels = _capped(study, private, all_labels)
        data = cls(
            _read(study, study.public),
            private,
            _read(study, study.test),
            all_labels,
            slice_columns(study),
        )
        _check_regions(study, data.private)
        require_public_test(study, data.test, data.private)
        if study.study.task is Task.CLASSIFICATION and None in data.test.labels:
            raise StudyDataError(
                f"expected a label in every row of the test data {study.test.source}: fill the "
                f"column {study.test.label}, or remove the rows without one"
            )
        return data


def _capped(
    study: Study, private: Records, all_labels: tuple[str | None, ...] | None
) -> tuple[Records, tuple[str | None, ...] | None]:
    """Return what stays of every region's records under its cap, and their labels."""
    kept = []
    for name, rows in private.rows_by_region().items():
        most = study.regions[name].max_records_per_unit if name in study.regions else 1
        kept += [rows[place] for place in rows_within_cap(private.subset(rows), most)]
    kept.sort()
    return private.subset(kept), all_labels and tuple(all_labels[row] for row in kept)


def _read(study: Study, table: DataTable) -> Records:
    columns = Columns(text=table.text, label=table.label, unit=table.unit, region=table.region)
    return read_records(study.base / table.source, columns)


def _check_regions(study: Study, private: Records) -> None:
    found, declared = set(private.regions), set(study.regions)
    if found != declared:
        raise StudyDataError(
            f"the regions in {study.private.source} and in the study differ: only in the data "
            f"{', '.join(sorted(found - declared)) or 'none'}; only in the study "
            f"{', '.join(sorted(declared - found)) or 'none'}: add or remove [regions.NAME] tables"
        )
