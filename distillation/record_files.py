"""A CSV, JSONL or Parquet file as named columns; messages name columns and rows, never a cell.

Knows nothing of texts and labels: that is `distillation.records`. CSV (RFC 4180, comma, header)
and JSONL are read strictly and by row, so that a fault has a row number; Polars reads Parquet.
Rows count from 1, without a header.
"""

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from distillation.errors import RecordsError

Cell = object
"""What a file holds in one place, not yet checked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RawColumns:
    """The content of a file, not yet checked.

    Attributes:
        names: The columns' names, each once.
        rows: The number of rows.
        columns: By name, one cell a row; None where there is none.
        has_schema: Whether the names are names for certain: a CSV file without a header line has
            its first record there.
    """

    names: tuple[str, ...]
    rows: int
    columns: Mapping[str, Sequence[Cell]]
    has_schema: bool


def read_columns(path: Path) -> RawColumns:
    """Read a file.

    Raises:
        RecordsError: If it is missing, of another kind, or damaged.
    """
    read = _READERS.get(path.suffix.lower())
    if read is None:
        raise RecordsError(
            f"{path.name}: expected a file that ends in {', '.join(_READERS)}, got "
            f"'{path.suffix}': convert it to one of them"
        )
    if not path.is_file():
        raise RecordsError(f"there is no file {path}: check the path in the study or policy")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RecordsError(f"{path.name} cannot be read: {error.strerror}") from None
    if not data.strip():
        raise RecordsError(f"{path.name} has no records: the file is empty")
    return read(data, path.name)


def _read_csv(data: bytes, name: str) -> RawColumns:
    reader = csv.reader(io.StringIO(_text(data, name), newline=""), strict=True)
    try:
        lines = list(reader)
    except csv.Error:  # its text may quote a cell
        raise RecordsError(
            f"{name}: line {reader.line_num} is not CSV: expected cells between commas, quotes "
            f"closed, at most {csv.field_size_limit()} characters each: correct it"
        ) from None
    while lines and not lines[-1]:
        lines.pop()
    header, *rows = lines or [[]]
    names = tuple(header)
    if len(set(names)) < len(names):
        raise RecordsError(f"{name}: expected a header with every name once: rename the second")
    for number, row in enumerate(rows, start=1):
        if len(row) != len(names):
            raise RecordsError(
                f"{name}: row {number} has {len(row)} cells, expected {len(names)} as in the "
                "header: a text with a comma needs quotes"
            )
    columns = {column: [row[place] for row in rows] for place, column in enumerate(names)}
    return RawColumns(names=names, rows=len(rows), columns=columns, has_schema=False)


def _read_jsonl(data: bytes, name: str) -> RawColumns:
    lines = _text(data, name).rstrip().split("\n")  # not splitlines: U+2028 may be in a text
    rows = [_json_object(line, name, number) for number, line in enumerate(lines, start=1)]
    names = tuple(dict.fromkeys(column for row in rows for column in row))
    columns = {column: [row.get(column) for row in rows] for column in names}
    return RawColumns(names=names, rows=len(rows), columns=columns, has_schema=True)


def _json_object(line: str, name: str, number: int) -> Mapping[str, Cell]:
    try:
        value = json.loads(line, object_pairs_hook=_once)
    except (ValueError, RecursionError):  # the cause quotes the line
        value = None
    if not isinstance(value, dict):
        raise RecordsError(
            f"{name}: row {number} is not a JSON object with each key once, on one line: correct it"
        )
    return value


def _once(pairs: list[tuple[str, Cell]]) -> dict[str, Cell]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key is there twice")
    return found


def _read_parquet(data: bytes, name: str) -> RawColumns:
    try:
        frame = pl.read_parquet(io.BytesIO(data))
        columns = {column: frame[column].to_list() for column in frame.columns}
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError) as error:
        raise RecordsError(
            f"{name} cannot be read as Parquet ({type(error).__name__}): write it again"
        ) from None  # the cause may quote a record
    return RawColumns(names=tuple(frame.columns), rows=len(frame), columns=columns, has_schema=True)


def _text(data: bytes, name: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise RecordsError(
            f"{name}: line {line} is not UTF-8: save the file as UTF-8"
        ) from None  # the cause holds the whole file


_READERS: Mapping[str, Callable[[bytes, str], RawColumns]] = {
    ".csv": _read_csv,
    ".jsonl": _read_jsonl,
    ".ndjson": _read_jsonl,
    ".parquet": _read_parquet,
}
