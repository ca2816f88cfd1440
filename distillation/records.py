"""Records from a CSV, JSONL or Parquet file; every message names rows and columns, never content.

The same code reads a region's private file and a study's public ones. A row number in a message
counts data rows from 1, without a header. Nothing is repaired: a row without text is refused.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from distillation.errors import RecordsError

_LEAST_FILLED = 0.5
"""A region with fewer records than this share of its public size is refused at approval."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Which column holds what; None: the file has none."""

    text: str
    label: str | None = None
    unit: str | None = None
    region: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """n records of one file.

    Attributes:
        ids: One id a record: its place in the file. A content hash would reveal low-entropy text.
        texts: The texts.
        labels: The labels, None where the cell is empty.
        units: The privacy units; the id where each record is its own unit.
        regions: The regions; empty text where the file has no such column.
    """

    ids: tuple[str, ...]
    texts: tuple[str, ...]
    labels: tuple[str | None, ...]
    units: tuple[str, ...]
    regions: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.ids)

    def subset(self, rows: Sequence[int]) -> "Records":
        """Return the records at these places."""
        return Records(
            ids=tuple(self.ids[row] for row in rows),
            texts=tuple(self.texts[row] for row in rows),
            labels=tuple(self.labels[row] for row in rows),
            units=tuple(self.units[row] for row in rows),
            regions=tuple(self.regions[row] for row in rows),
        )

    def rows_by_region(self) -> Mapping[str, list[int]]:
        """Return the places of each region's records."""
        rows: dict[str, list[int]] = {}
        for row, region in enumerate(self.regions):
            rows.setdefault(region, []).append(row)
        return rows


def read_records(path: Path, columns: Columns) -> Records:
    """Read a file.

    Raises:
        RecordsError: If the file is missing, of another kind, damaged or empty, lacks a column,
            or has a row without text.
    """
    frame = _read(path)
    wanted = [columns.text, columns.label, columns.unit, columns.region]
    for name in wanted:
        if name is not None and name not in frame.columns:
            raise RecordsError(
                f"{path.name} has no column '{name}'; it has {', '.join(frame.columns)}: name the "
                "right one in the study or in the region's policy"
            )
    if frame.is_empty():
        raise RecordsError(f"{path.name} has no records: expected at least one row")
    texts = _texts(frame, columns.text, path.name)
    ids = tuple(f"{path.stem}:{row + 1}" for row in range(len(texts)))
    return Records(
        ids=ids,
        texts=texts,
        labels=_optional(frame, columns.label),
        units=_required(frame, columns.unit, ids, path.name),
        regions=_required(frame, columns.region, ("",) * len(ids), path.name),
    )


def check_labels(records: Records, classes: Sequence[str]) -> None:
    """Check that the teacher knows every label.

    Raises:
        RecordsError: With the rows, not the labels: a label may be personal.
    """
    known = set(classes)
    wrong = [
        row + 1
        for row, label in enumerate(records.labels)
        if label is not None and label not in known
    ]
    if wrong:
        raise RecordsError(
            f"{len(wrong)} labels are unknown to the teacher ({_rows(wrong)}); it knows "
            f"{', '.join(list(classes)[:25])}: correct these cells, or empty them"
        )


def check_public_size(records: Records, region: str, public_size: int) -> None:
    """Check a region's number of units against what the plan says in public.

    More would break the divisor that the guarantee rests on. Far fewer keep the guarantee but
    drown in noise, so that is refused before anything is charged. Nothing leaves either way.

    Raises:
        RecordsError: If there are more units than declared, or fewer than half.
    """
    units = len(set(records.units))
    if units > public_size:
        raise RecordsError(
            f"the region {region} declares at most {public_size} units but has more: raise "
            f"regions.{region}.public_size in the study, and make a new plan"
        )
    if units < _LEAST_FILLED * public_size:
        raise RecordsError(
            f"the region {region} declares {public_size} units but has fewer than half: lower "
            f"regions.{region}.public_size in the study, and make a new plan; the noise is made "
            "for the declared size"
        )


def _read(path: Path) -> pl.DataFrame:
    if not path.is_file():
        raise RecordsError(f"there is no file {path}: check the path in the study or policy")
    try:
        match path.suffix.lower():
            case ".csv":
                return pl.read_csv(path, infer_schema=False)
            case ".jsonl" | ".ndjson":
                return pl.read_ndjson(path, infer_schema_length=None)
            case ".parquet":
                return pl.read_parquet(path)
    except pl.exceptions.NoDataError:
        raise RecordsError(f"{path.name} has no records: the file is empty") from None
    except (pl.exceptions.PolarsError, OSError, UnicodeDecodeError) as error:
        raise RecordsError(
            f"{path.name} cannot be read as {path.suffix}: {type(error).__name__}; expected UTF-8 "
            "with the same columns in every row"
        ) from None  # the cause may quote a record
    raise RecordsError(f"{path.name}: expected .csv, .jsonl or .parquet")


def _texts(frame: pl.DataFrame, column: str, name: str) -> tuple[str, ...]:
    values = frame[column].to_list()
    wrong = [
        row + 1
        for row, value in enumerate(values)
        if not isinstance(value, str) or not value.strip() or value.strip().lower() == "nan"
    ]
    if wrong:
        raise RecordsError(
            f"{name}: {len(wrong)} rows have no text in the column '{column}' ({_rows(wrong)}): "
            "expected text; fill these cells or remove the rows"
        )
    return tuple(values)


def _optional(frame: pl.DataFrame, column: str | None) -> tuple[str | None, ...]:
    if column is None:
        return (None,) * len(frame)
    values = frame[column].cast(pl.String).to_list()
    return tuple(value if value and value.strip() else None for value in values)


def _required(
    frame: pl.DataFrame, column: str | None, default: tuple[str, ...], name: str
) -> tuple[str, ...]:
    if column is None:
        return default
    values = _optional(frame, column)
    wrong = [row + 1 for row, value in enumerate(values) if value is None]
    if wrong:
        raise RecordsError(f"{name}: the column '{column}' is empty in {_rows(wrong)}: fill it")
    return tuple(value for value in values if value is not None)


def _rows(rows: Sequence[int]) -> str:
    shown = ", ".join(map(str, rows[:5]))
    return f"row{'s' if len(rows) > 1 else ''} {shown}{', …' if len(rows) > 5 else ''}"
