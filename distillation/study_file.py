"""A TOML file as frozen tables, each key declared once: type, default, bounds and meaning.

A table is a frozen dataclass whose fields are made with `key`. From them come the checks, the
messages for unknown keys, the file that `write_toml` makes, and the tables in docs/study.md.
Numbers are read as exact decimals. What the keys mean is not known here.
"""

import dataclasses
import decimal
import difflib
import re
import tomllib
import typing
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, Field, dataclass
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar

import tomli_w

from distillation.errors import StudyError
from distillation.study_values import convert, describe, plain

Table = TypeVar("Table")
Toml = dict[str, object]

_TWICE = re.compile(r"Cannot declare \((.*)\) twice \((.*)\)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Which numbers a key takes.

    Attributes:
        above: Everything taken is larger than this.
        least: The smallest number taken.
        most: The largest number taken.
        below: Everything taken is smaller than this.
    """

    above: int | None = None
    least: int | None = None
    most: int | None = None
    below: int | None = None

    def __contains__(self, value: int | Decimal | Fraction) -> bool:
        return (
            (self.above is None or value > self.above)
            and (self.least is None or value >= self.least)
            and (self.most is None or value <= self.most)
            and (self.below is None or value < self.below)
        )

    def __str__(self) -> str:
        low = f"> {self.above}" if self.above is not None else f">= {self.least}"
        if self.most is None and self.below is None:
            return low
        high = f"<= {self.most}" if self.most is not None else f"< {self.below}"
        return f"{low} and {high}"


def key(
    doc: str,
    *,
    default: object = MISSING,
    bounds: Bounds | None = None,
    later: tuple[str, ...] = (),
) -> Any:  # the type of dataclasses.field: whatever the annotation says
    """Declare one key of a table.

    Args:
        doc: What it means, for people.
        default: Its value if it is left out; without one the key is required.
        bounds: Which numbers it takes.
        later: Choices that are known, and refused by name in this version.
    """
    metadata = {"doc": doc, "bounds": bounds, "later": later}
    if default is MISSING:
        return dataclasses.field(metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def check_bounds(table: object) -> None:
    """Check every number of a table against the bounds of its key.

    Raises:
        ValueError: Naming the key, the bounds and what came.
    """
    for field in dataclasses.fields(table):  # type: ignore[arg-type]  # called by tables only
        bounds, value = field.metadata["bounds"], getattr(table, field.name)
        if bounds is not None and value is not None and value not in bounds:
            shown = float(value) if isinstance(value, Fraction) else value
            raise ValueError(f"{toml_name(field)}: expected a number {bounds}, got {shown}")


def read_toml(path: Path) -> Toml:
    """Return the tables of a file.

    Raises:
        StudyError: If there is no such file, or it is not TOML.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise StudyError(f"there is no study at {path}: check the path") from None
    except UnicodeDecodeError as error:
        raise StudyError(
            f"{path.name}: expected UTF-8 text, got other bytes: save the file as UTF-8"
        ) from error
    except OSError as error:
        raise StudyError(f"the study {path} cannot be read: {error.strerror}") from error
    try:
        return tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        raise StudyError(f"{path.name}: {_explain(str(error))}") from error
    except (ValueError, decimal.InvalidOperation) as error:  # thousands of digits; 1e(10^20)
        raise StudyError(f"{path.name}: a number has too many digits: shorten it") from error
    except RecursionError as error:
        raise StudyError(f"{path.name}: lists or tables are nested too deeply") from error


def write_toml(tables: Mapping[str, object]) -> str:
    """Return the text of a file with these tables, every key with its value; None is left out.

    Args:
        tables: Tables declared with `key`, by their names, which may have dots.

    Raises:
        StudyError: If a fraction has no finite decimal form.
    """
    root: Toml = {}
    for name, table in tables.items():
        *above, last = name.split(".")
        level = root
        for part in above:
            level = typing.cast(Toml, level.setdefault(part, {}))  # made here, so a dict
        level[last] = plain(table)
    return tomli_w.dumps(root)


def read_table(
    kind: type[Table], found: object, name: str, *, homes: Mapping[str, str] | None = None
) -> Table:
    """Return one table as its dataclass.

    Args:
        kind: A frozen dataclass declared with `key`.
        found: What the file has there.
        name: The table's name, for messages.
        homes: For keys of other tables, where they belong, for messages.

    Raises:
        StudyError: If a key is unknown, missing or of another type, or the values do not fit.
    """
    if not isinstance(found, dict):
        raise StudyError(f"expected a table [{name}], got {describe(found)}")
    fields = {toml_name(field): field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    refuse_unknown(found, fields, f"[{name}]", homes=homes)
    hints = typing.get_type_hints(kind)
    values = {}
    for toml, field in fields.items():
        where = f"{name}.{toml}"
        if toml in found:
            _refuse_later(found[toml], field, hints[field.name], where)
            values[field.name] = _value(found[toml], hints[field.name], where)
        elif field.default is MISSING:
            raise StudyError(f"[{name}] needs the key '{toml}': {field.metadata['doc']}")
    try:
        return kind(**values)
    except ValueError as error:
        raise StudyError(f"[{name}] {error}") from error


def refuse_unknown(
    found: Toml,
    known: Iterable[str],
    where: str,
    *,
    thing: str = "key",
    homes: Mapping[str, str] | None = None,
) -> None:
    """Refuse names that do not exist, naming the nearest that does.

    Raises:
        StudyError: If there is one.
    """
    known = list(known)
    for name in found:
        if name in known:
            continue
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
        if homes and name in homes:
            hint = f"it belongs to [{homes[name]}]"
        elif near:
            hint = f"did you mean '{near[0]}'?"
        else:
            hint = f"known are {', '.join(known)}"
        raise StudyError(f"{where} has no {thing} '{name[:80]}': {hint}")


def toml_name(field: "Field[Any]") -> str:
    """Return a field's name in the file; ``from_`` stands for ``from``."""
    return field.name.rstrip("_")


def _explain(error: str) -> str:
    """Return what is wrong with a file that is not TOML, in words for its author."""
    twice = _TWICE.fullmatch(error)
    if twice:
        name = ".".join(re.findall(r"'([^']*)'", twice[1]))
        return f"[{name}] is there twice ({twice[2]}): expected it once; merge the two, or rename"
    if "overwrite" in error or "Duplicate" in error:
        return f"a key is there twice: expected it once; remove one ({error})"
    return f"expected valid TOML: {error}"


def _value(found: object, kind: Any, where: str) -> object:
    if dataclasses.is_dataclass(kind):
        return read_table(typing.cast(type[object], kind), found, where)  # our tables are classes
    item = (typing.get_args(kind) or (None,))[0]
    if dataclasses.is_dataclass(item) and isinstance(found, list):
        return tuple(_value(each, item, f"{where}[{place}]") for place, each in enumerate(found))
    return convert(found, kind, where)


def _refuse_later(value: object, field: "Field[Any]", kind: Any, where: str) -> None:
    if isinstance(value, str) and value in field.metadata["later"]:
        raise StudyError(
            f"{where}: '{value}' comes in a later version; this one has {', '.join(kind)}"
        )
