"""Records from a CSV, JSONL or Parquet file; every message names rows and columns, never content.

The same code reads a region's private file and a study's public ones. A row number in a message
counts data rows from 1, without a header. Nothing is repaired: a row without text is refused.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from distillation.errors import RecordsError
from distillation.record_files import Cell, RawColumns, read_columns
from privacy.guarantee import Unit

_LEAST_FILLED = 0.5
"""A region with fewer units than this share of its public size is refused at approval."""

_CAP_LABEL = b"stillroom/unit-cap/v1"

_MOST_SHOWN = 20
"""Names of columns or classes that a message lists."""


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
        ids: One id a record, each once: its place in the file, which stays as long as the file
            does. A content hash would give away a text that can be guessed.
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

    def __post_init__(self) -> None:
        if any(len(getattr(self, field.name)) != len(self.ids) for field in fields(self)):
            raise RecordsError("expected columns of one length, got several: read the file again")
        if len(set(self.ids)) < len(self.ids):
            raise RecordsError("expected every record once, got one id twice: choose rows once")

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
    raw = read_columns(path)
    wanted = (columns.text, columns.label, columns.unit, columns.region)
    _check_columns(raw, [name for name in wanted if name is not None], path.name)
    if not raw.rows:
        raise RecordsError(f"{path.name} has no records: expected at least one row")
    ids = tuple(f"{path.stem}:{row + 1}" for row in range(raw.rows))
    return Records(
        ids=ids,
        texts=_texts(raw.columns[columns.text], columns.text, path.name),
        labels=_optional(raw, columns.label, path.name),
        units=_required(raw, columns.unit, ids, path.name),
        regions=_required(raw, columns.region, ("",) * raw.rows, path.name),
    )


def rows_within_cap(records: Records, most: int) -> list[int]:
    """Return the places of at most ``most`` records of each unit, in the order of the file.

    Guarantees: which of a unit's records stay depends on that unit's records alone, so that one
    unit more or less changes nobody else's. An id would not do: it is a place in the file, which
    moves when another unit's rows are removed. So the records with the smallest hashes of what
    they say stay; of records that say the same, any.

    Args:
        records: The region's.
        most: The plan's cap, >= 1.

    Raises:
        RecordsError: If the cap is below 1.
    """
    if most < 1:
        raise RecordsError(f"expected a cap of at least 1 record a unit, got {most}")
    rows: dict[str, list[int]] = {}
    for row, unit in enumerate(records.units):
        rows.setdefault(unit, []).append(row)
    keep = [row for own in rows.values() for row in sorted(own, key=_order(records))[:most]]
    return sorted(keep)


def capped(records: Records, most: int) -> Records:
    """Return the records at `rows_within_cap`.

    Raises:
        RecordsError: As `rows_within_cap`.
    """
    return records.subset(rows_within_cap(records, most))


def _order(records: Records) -> Callable[[int], bytes]:
    """Return the sort key of a row: a hash of its text and label."""

    def key(row: int) -> bytes:
        text, label = records.texts[row].encode(), records.labels[row]
        head = len(text).to_bytes(8, "big")
        tail = b"\0" if label is None else b"\1" + label.encode()
        return hashlib.sha256(_CAP_LABEL + head + text + tail).digest()

    return key


def check_labels(records: Records, classes: Sequence[str]) -> None:
    """Check that the teacher knows every label.

    Raises:
        RecordsError: With the rows, not the labels: a label may be personal.
    """
    known = set(classes)
    wrong = [
        row
        for row, label in enumerate(records.labels, start=1)
        if label is not None and label not in known
    ]
    if wrong:
        raise RecordsError(
            f"the teacher does not know {_count(len(wrong), 'label')} ({_rows(wrong)}); it knows "
            f"{_names(classes)}: open the file at these rows, and correct or empty the cells"
        )


def check_public_size(
    records: Records, region: str, public_size: int, *, unit: Unit = Unit.RECORD
) -> None:
    """Check a region's number of units against what the plan says in public.

    The batch constant is made from the public size, so the guarantee holds either way; but more
    units than a declared bound make it untrue, and far fewer drown in noise. Both are refused
    before anything is charged; the count is private and not in the message. Nothing leaves.

    Args:
        records: The region's.
        region: Its name.
        public_size: The declared bound on its units, >= 1.
        unit: What the plan protects, and so counts.

    Raises:
        RecordsError: If there are more units than declared, or fewer than half.
    """
    found = len(records) if unit is Unit.RECORD else len(set(records.units))
    if found > public_size:
        raise RecordsError(
            f"the region {region} declares at most {public_size} {unit}s but has more: raise "
            f"regions.{region}.public_size in the study, and make a new plan"
        )
    if found < _LEAST_FILLED * public_size:
        raise RecordsError(
            f"the region {region} declares {public_size} {unit}s but has fewer than half: lower "
            f"regions.{region}.public_size in the study, and make a new plan; the noise is made "
            "for the declared size"
        )


def _check_columns(raw: RawColumns, wanted: Sequence[str], name: str) -> None:
    missing = [column for column in wanted if column not in raw.names]
    if not missing:
        return
    if raw.has_schema or len(missing) < len(wanted):
        there = f"it has {_names(raw.names)}"
    else:  # without a header, the first line is a record
        there = f"its first line has {_count(len(raw.names), 'other name')}; is that the header?"
    raise RecordsError(
        f"{name} has no column '{missing[0]}'; {there}: name the right one in the study or in the "
        "region's policy"
    )


def _texts(cells: Sequence[Cell], column: str, name: str) -> tuple[str, ...]:
    found = [cell if isinstance(cell, str) and _is_text(cell) else None for cell in cells]
    wrong = [row for row, text in enumerate(found, start=1) if text is None]
    if wrong:
        raise RecordsError(
            f"{name}: {_count(len(wrong), 'row')} without text in the column '{column}' "
            f"({_rows(wrong)}): expected text, not an empty cell, a number or NaN; fill these "
            "cells or remove the rows"
        )
    return tuple(text for text in found if text is not None)


def _is_text(cell: str) -> bool:
    bare = cell.strip()
    return bool(bare) and bare.lower() != "nan" and _is_unicode(cell)


def _is_unicode(cell: str) -> bool:
    """Return whether it has no half of a surrogate pair, which JSON can smuggle in."""
    return not any("\ud800" <= character <= "\udfff" for character in cell)


def _optional(raw: RawColumns, column: str | None, name: str) -> tuple[str | None, ...]:
    if column is None:
        return (None,) * raw.rows
    cells = raw.columns[column]
    wrong = [row for row, cell in enumerate(cells, start=1) if not _is_value(cell)]
    if wrong:
        raise RecordsError(
            f"{name}: the column '{column}' holds neither text nor whole numbers in "
            f"{_rows(wrong)}: write it as text"
        )
    return tuple(str(cell) if cell is not None and str(cell).strip() else None for cell in cells)


def _is_value(cell: Cell) -> bool:
    if isinstance(cell, str):
        return _is_unicode(cell)
    return cell is None or type(cell) is int


def _required(
    raw: RawColumns, column: str | None, default: tuple[str, ...], name: str
) -> tuple[str, ...]:
    if column is None:
        return default
    values = _optional(raw, column, name)
    wrong = [row for row, value in enumerate(values, start=1) if value is None]
    if wrong:
        raise RecordsError(f"{name}: the column '{column}' is empty in {_rows(wrong)}: fill it")
    return tuple(value for value in values if value is not None)


def _rows(rows: Sequence[int]) -> str:
    shown = ", ".join(map(str, rows[:5]))
    return f"row{'s' if len(rows) > 1 else ''} {shown}{', …' if len(rows) > 5 else ''}"


def _count(count: int, thing: str) -> str:
    return f"{count} {thing}{'' if count == 1 else 's'}"


def _names(names: Sequence[str]) -> str:
    more = len(names) - _MOST_SHOWN
    return ", ".join(names[:_MOST_SHOWN]) + (f" and {more} more" if more > 0 else "")
