"""Records from files: what is read, what is refused, and that no message holds private text."""

import io
import json
import random
from collections.abc import Callable
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from distillation.errors import RecordsError
from distillation.records import (
    Columns,
    Records,
    capped,
    check_labels,
    check_public_size,
    read_records,
)
from privacy.guarantee import Unit

_ALL = Columns(text="text", label="label", unit="unit", region="region")
_TEXT = Columns(text="text")
_SECRET = "SECRET"
_same_folder = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
_words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
_filled = _words.filter(lambda word: bool(word.strip()) and word.strip().lower() != "nan")
_rows = st.lists(
    st.fixed_dictionaries(
        {"text": _filled, "label": st.none() | _filled, "unit": _filled, "region": _filled}
    ),
    min_size=1,
    max_size=8,
)
Rows = list[dict[str, str | None]]


def _write_csv(path: Path, rows: Rows) -> None:
    quote = '"'
    names = ["text", "label", "unit", "region"]
    lines = [",".join(names)]
    for row in rows:
        cells = [(row[name] or "").replace(quote, 2 * quote) for name in names]
        lines.append(",".join(quote + cell + quote for cell in cells))
    path.write_bytes("\r\n".join(lines).encode())


def _write_jsonl(path: Path, rows: Rows) -> None:
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    path.write_bytes("\n".join(lines).encode())


def _write_parquet(path: Path, rows: Rows) -> None:
    schema = {"text": pl.String, "label": pl.String, "unit": pl.String, "region": pl.String}
    pl.DataFrame(rows, schema=schema).write_parquet(path)


_WRITERS = {".csv": _write_csv, ".jsonl": _write_jsonl, ".parquet": _write_parquet}


@pytest.mark.parametrize("suffix", _WRITERS)
@_same_folder
@given(rows=_rows)
def test_what_was_written_is_read(tmp_path: Path, suffix: str, rows: Rows) -> None:
    """Texts keep every character, and rows their order, in each kind of file."""
    path = tmp_path / f"records{suffix}"
    _WRITERS[suffix](path, rows)
    records = read_records(path, _ALL)
    assert records.texts == tuple(row["text"] for row in rows)
    assert records.labels == tuple(row["label"] for row in rows)
    assert records.units == tuple(row["unit"] for row in rows)
    assert records.regions == tuple(row["region"] for row in rows)
    assert records.ids == tuple(f"records:{row + 1}" for row in range(len(rows)))


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".ndjson", ".parquet", ".txt", ""])
@_same_folder
@given(junk=st.binary(max_size=200))
def test_any_bytes_are_records_or_are_refused(tmp_path: Path, suffix: str, junk: bytes) -> None:
    """Whatever a file holds, reading returns records or raises RecordsError."""
    path = tmp_path / f"records{suffix}"
    path.write_bytes(junk)
    _read_or_refuse(path)


@pytest.mark.parametrize("suffix", _WRITERS)
@_same_folder
@given(data=st.data())
def test_a_damaged_file_is_records_or_is_refused(
    tmp_path: Path, suffix: str, data: st.DataObject
) -> None:
    """With some bytes changed or the end cut off, the same holds, and nothing is quoted."""
    path = tmp_path / f"records{suffix}"
    rows: Rows = [{"text": _SECRET, "label": "a", "unit": "u", "region": "r"} for _ in range(5)]
    _WRITERS[suffix](path, rows)
    content = bytearray(path.read_bytes())
    places = st.integers(0, len(content) - 1)
    for place in data.draw(st.lists(places, max_size=3)):
        content[place] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(1, len(content)))])
    _read_or_refuse(path)


def _read_or_refuse(path: Path) -> None:
    try:
        found = read_records(path, _ALL)
    except RecordsError as error:
        message = str(error)
    else:
        assert len(found) >= 1
        assert all(text.strip() for text in found.texts)
        return
    assert _SECRET not in message


def test_an_empty_label_is_unlabelled(tmp_path: Path) -> None:
    """Nothing, spaces, null and an absent key all mean that there is no label."""
    path = tmp_path / "a.jsonl"
    cells = ['"label": ""', '"label": "  "', '"label": null', '"other": 1', '"label": "x"']
    path.write_text("\n".join(f'{{"text": "t", {cell}}}' for cell in cells))
    labels = read_records(path, Columns(text="text", label="label")).labels
    assert labels == (None, None, None, None, "x")


def test_a_whole_number_is_a_label(tmp_path: Path) -> None:
    """Labels, units and regions may be integers, and are read as text."""
    path = tmp_path / "a.parquet"
    pl.DataFrame({"text": ["t", "s"], "label": [3, None]}).write_parquet(path)
    assert read_records(path, Columns(text="text", label="label")).labels == ("3", None)


def test_a_cell_may_hold_commas_lines_and_quotes(tmp_path: Path) -> None:
    """Quoted CSV cells are read as RFC 4180 has them; a byte order mark is skipped."""
    path = tmp_path / "a.csv"
    path.write_bytes(b'\xef\xbb\xbftext,label\r\n"a, ""b""\nc",x\r\nd,\r\n\r\n')
    records = read_records(path, Columns(text="text", label="label"))
    assert records.texts == ('a, "b"\nc', "d")
    assert records.labels == ("x", None)


def _parquet(**columns: list[object]) -> bytes:
    buffer = io.BytesIO()
    pl.DataFrame(columns).write_parquet(buffer)
    return buffer.getvalue()


_ROWS = f"text,label,unit,region\n{_SECRET},a,u,r\n"
_BAD: dict[str, tuple[str, Columns, bytes, list[str]]] = {
    "another kind": ("a.xlsx", _TEXT, b"x", ["a.xlsx", ".csv, .jsonl", "'.xlsx'", "convert"]),
    "no kind": ("records", _TEXT, b"x", ["records", ".csv, .jsonl", "convert"]),
    "empty": ("a.csv", _TEXT, b"", ["a.csv has no records", "empty"]),
    "blank": ("a.jsonl", _TEXT, b"\n \n", ["a.jsonl has no records", "empty"]),
    "header only": ("a.csv", _TEXT, b"text\n", ["a.csv has no records", "at least one row"]),
    "no rows": ("a.parquet", _TEXT, _parquet(text=[]), ["no records", "at least one row"]),
    "no column": (
        "a.csv", Columns(text="text", label="chapter"), _ROWS.encode(),
        ["a.csv has no column 'chapter'", "it has text, label, unit, region", "region's policy"],
    ),
    "no such key": (
        "a.jsonl", Columns(text="title"), b'{"text": "SECRET"}', ["no column 'title'", "has text"],
    ),
    "no header": (
        "a.csv", _TEXT, f"{_SECRET},a\n{_SECRET},b\n".encode(),
        ["no column 'text'", "2 other names", "is that the header?"],
    ),
    "name twice": ("a.csv", _TEXT, b"text,text\na,b\n", ["every name once", "rename"]),
    "not UTF-8": ("a.csv", _TEXT, b"text\nSECRET\nna\xefve\n", ["a.csv: line 3 is not UTF-8"]),
    "not UTF-8 JSON": ("a.jsonl", _TEXT, b'{"text": "\xff"}', ["line 1 is not UTF-8"]),
    "long row": ("a.csv", _ALL, (_ROWS + "SECRET,b,u,r,z\n").encode(), ["row 2 has 5 cells", "4"]),
    "short row": ("a.csv", _ALL, (_ROWS + "SECRET\n").encode(), ["row 2 has 1 cell", "expected 4"]),
    "open quote": ("a.csv", _ALL, (_ROWS + '"SECRET,b\n').encode(), ["line 3", "quotes closed"]),
    "huge cell": ("a.csv", _TEXT, b"text\n" + b"S" * 200000, ["at most 131072 characters"]),
    "not JSON": ("a.jsonl", _TEXT, b'{"text": "a"}\n{"text": "SECRET"\n', ["row 2", "JSON object"]),
    "JSON list": ("a.jsonl", _TEXT, b'["SECRET"]', ["row 1", "JSON object"]),
    "JSON key twice": ("a.jsonl", _TEXT, b'{"text": "a", "text": "SECRET"}', ["row 1", "once"]),
    "deep JSON": ("a.jsonl", _TEXT, b"[" * 100000, ["row 1", "JSON object"]),
    "blank line": ("a.jsonl", _TEXT, b'{"text": "a"}\n\n{"text": "b"}', ["row 2", "JSON object"]),
    "no Parquet": ("a.parquet", _TEXT, b"SECRET", ["a.parquet cannot be read as Parquet"]),
    "no text": ("a.csv", _ALL, (_ROWS + ",b,u,r\n").encode(), ["1 row", "'text' (row 2)", "fill"]),
    "white text": ("a.csv", _TEXT, b"text\n\" \t\"\na\n", ["'text' (row 1)"]),
    "null text": ("a.jsonl", _TEXT, b'{"text": null}\n{"text": "a"}', ["'text' (row 1)"]),
    "absent text": ("a.jsonl", _TEXT, b'{"text": "a"}\n{"x": "SECRET"}', ["'text' (row 2)"]),
    "NaN": ("a.jsonl", _TEXT, b'{"text": NaN}', ["'text' (row 1)", "NaN"]),
    "NaN as text": ("a.csv", _TEXT, b"text\na\nNaN\n", ["'text' (row 2)", "NaN"]),
    "number": ("a.parquet", _TEXT, _parquet(text=[1.5]), ["'text' (row 1)", "a number"]),
    "half a character": ("a.jsonl", _TEXT, b'{"text": "\\ud800"}', ["'text' (row 1)"]),
    "many rows": (
        "a.csv", _ALL, (_ROWS + ",b,u,r\n" * 9).encode(), ["9 rows", "rows 2, 3, 4, 5, 6, …"],
    ),
    "no unit": ("a.csv", _ALL, (_ROWS + "SECRET,b,,r\n").encode(), ["'unit' is empty in row 2"]),
    "no region": ("a.csv", _ALL, (_ROWS + "SECRET,b,u,\n").encode(), ["'region' is empty"]),
    "label as list": (
        "a.parquet", Columns(text="text", label="label"), _parquet(text=["a"], label=[["SECRET"]]),
        ["'label' holds neither text nor whole numbers", "row 1", "write it as text"],
    ),
    "label as date": (
        "a.parquet", Columns(text="text", label="label"),
        _parquet(text=["a"], label=[date(2026, 1, 1)]), ["'label'", "row 1"],
    ),
    "label as number": (
        "a.jsonl", Columns(text="text", label="label"), b'{"text": "a", "label": 1.5}', ["row 1"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", _BAD)
def test_what_is_wrong_with_records_is_said(tmp_path: Path, case: str) -> None:
    """Each fault is one sentence with the file and the place, and quotes no record."""
    name, columns, content, parts = _BAD[case]
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(RecordsError) as caught:
        read_records(path, columns)
    message = str(caught.value)
    assert _SECRET not in message
    assert "\n" not in message
    for part in parts:
        assert part in message


@pytest.mark.parametrize("case", _BAD)
def test_a_refusal_has_no_cause_that_quotes(tmp_path: Path, case: str) -> None:
    """Not even the chain of exceptions, which a log may print, holds a record."""
    name, columns, content, _ = _BAD[case]
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(RecordsError) as caught:
        read_records(path, columns)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize("name", ["missing.csv", "folder.csv"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    """A path that is no file is named, with what to check."""
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(RecordsError, match=rf"no file .*{name}: check the path"):
        read_records(tmp_path / name, _TEXT)


def _records(count: int, *, units: int = 0, labels: tuple[str | None, ...] = ()) -> Records:
    rows = range(count)
    return Records(
        ids=tuple(f"r:{row}" for row in rows),
        texts=tuple(f"text {row}" for row in rows),
        labels=labels or (None,) * count,
        units=tuple(f"u{row % units if units else row}" for row in rows),
        regions=tuple("ab"[row % 2] for row in rows),
    )


@given(count=st.integers(1, 50))
def test_regions_share_the_records(count: int) -> None:
    """Every record is in the rows of exactly one region, its own."""
    records = _records(count)
    rows = records.rows_by_region()
    assert sorted(row for own in rows.values() for row in own) == list(range(count))
    for region, own in rows.items():
        assert set(records.subset(own).regions) == {region}
        assert records.subset(own).texts == tuple(records.texts[row] for row in own)


def test_a_record_is_there_once() -> None:
    """Ids are unique: two records under one id would share a cached label."""
    with pytest.raises(RecordsError, match="one id twice"):
        _records(3).subset([0, 0])


def test_columns_have_one_length() -> None:
    """Columns of different lengths are no records."""
    with pytest.raises(RecordsError, match="one length"):
        Records(ids=("a",), texts=(), labels=(None,), units=("a",), regions=("",))


@pytest.mark.parametrize("labels", [("a", None, "b"), (None, None, None)])
def test_known_and_empty_labels_pass(labels: tuple[str | None, ...]) -> None:
    """A label that the teacher knows passes, and so does none."""
    check_labels(_records(3, labels=labels), ["a", "b"])


def test_an_unknown_label_is_counted_not_quoted() -> None:
    """The message names the rows and the known classes; the label itself may be personal."""
    with pytest.raises(RecordsError) as caught:
        check_labels(_records(4, labels=("a", _SECRET, None, "c")), ["a", "b"])
    message = str(caught.value)
    assert "2 labels (rows 2, 4)" in message
    assert "it knows a, b" in message
    assert "open the file at these rows" in message
    assert _SECRET not in message


@given(public_size=st.integers(1, 60), count=st.integers(1, 80))
def test_a_region_has_at_most_its_public_size_and_half_at_least(
    public_size: int, count: int
) -> None:
    """Inside [half, all] of the declared size a region passes, outside it is told what to do."""

    def check() -> None:
        check_public_size(_records(count), "north", public_size)

    _passes_if(public_size / 2 <= count <= public_size, check)


def _passes_if(expected: bool, check: Callable[[], None]) -> None:
    if expected:
        check()
        return
    with pytest.raises(RecordsError, match=r"regions\.north\.public_size in the study, and make"):
        check()


def test_the_count_of_units_stays_private() -> None:
    """The message holds the public size, not the number of records, which is private."""
    with pytest.raises(RecordsError) as caught:
        check_public_size(_records(37), "north", 20)
    assert "20" in str(caught.value)
    assert "37" not in str(caught.value)


def test_the_unit_of_the_plan_is_what_is_counted() -> None:
    """Ten records of two persons are ten records, and two persons."""
    records = _records(10, units=2)
    check_public_size(records, "north", 10)
    check_public_size(records, "north", 2, unit=Unit.PERSON)
    with pytest.raises(RecordsError, match="at most 2 records"):
        check_public_size(records, "north", 2)


@given(
    units=st.lists(st.integers(0, 4), min_size=1, max_size=30),
    most=st.integers(1, 4),
    chance=st.randoms(use_true_random=False),
)
def test_a_units_records_stay_whoever_else_is_there(
    units: list[int], most: int, chance: random.Random
) -> None:
    """In any order, and alone in a file of its own, a unit keeps the same records, capped."""
    rows = [(f"u{unit}", f"text {place % 7}") for place, unit in enumerate(units)]
    kept = _kept(rows, most)
    shuffled = chance.sample(rows, len(rows))

    assert _kept(shuffled, most) == kept
    for unit, texts in kept.items():
        own = [row for row in rows if row[0] == unit]
        assert len(texts) == min(most, len(own))
        assert _kept(own, most) == {unit: texts}


def _kept(rows: list[tuple[str, str]], most: int) -> dict[str, list[str]]:
    records = Records(
        ids=tuple(f"r:{place}" for place in range(len(rows))),
        texts=tuple(text for _, text in rows),
        labels=(None,) * len(rows),
        units=tuple(unit for unit, _ in rows),
        regions=("",) * len(rows),
    )
    found: dict[str, list[str]] = {}
    some = capped(records, most)
    for unit, text in zip(some.units, some.texts, strict=True):
        found.setdefault(unit, []).append(text)
    return {unit: sorted(texts) for unit, texts in found.items()}


def test_capped_records_keep_the_order_of_the_file() -> None:
    """What stays is a part of the records, row by row; a cap of none is refused."""
    records = _records(12, units=3)
    some = capped(records, 2)

    assert len(some) == 6
    assert list(some.ids) == sorted(some.ids, key=records.ids.index)
    assert capped(records, 4) == records
    with pytest.raises(RecordsError, match="at least 1"):
        capped(records, 0)
