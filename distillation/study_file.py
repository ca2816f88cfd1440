"""Reading a TOML file into frozen tables, each key declared once: type, default and meaning.

A table is a frozen dataclass whose fields are made with `key`. From them come the checks, the
messages for unknown keys, and the table in docs/study.md. Numbers are read as exact decimals.
"""

import dataclasses
import difflib
import tomllib
import types
import typing
from dataclasses import MISSING, Field
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar

from distillation.errors import StudyError

Table = TypeVar("Table")
Toml = dict[str, object]


def key(doc: str, *, default: object = MISSING) -> Any:
    """Declare one key of a table: what it means, and its default if it may be left out."""
    if default is MISSING:
        return dataclasses.field(metadata={"doc": doc})
    return dataclasses.field(default=default, metadata={"doc": doc})


def read_toml(path: Path) -> Toml:
    """Return the tables of a file.

    Raises:
        StudyError: If there is no such file, or it is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
    except FileNotFoundError:
        raise StudyError(f"there is no study at {path}: check the path") from None
    except (OSError, UnicodeDecodeError) as error:
        raise StudyError(f"the study {path} cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        double = "overwrite" in str(error) or "twice" in str(error)
        hint = ": every table, region and key may be there once" if double else ""
        raise StudyError(f"{path.name} is not valid TOML: {error}{hint}") from error


def read_table(kind: type[Table], found: object, name: str) -> Table:
    """Return one table as its dataclass.

    Args:
        kind: A frozen dataclass declared with `key`.
        found: What the file has there.
        name: The table's name, for messages.

    Raises:
        StudyError: If a key is unknown, missing or of another type, or the values do not fit.
    """
    if not isinstance(found, dict):
        raise StudyError(f"expected a table [{name}], got {_describe(found)}")
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    names = {toml_name(field): field for field in fields.values()}
    refuse_unknown(found, names, f"[{name}]")
    hints = typing.get_type_hints(kind)
    values = {}
    for toml, field in names.items():
        if toml in found:
            values[field.name] = _convert(found[toml], hints[field.name], f"{name}.{toml}")
        elif field.default is MISSING:
            raise StudyError(f"[{name}] needs the key '{toml}': {field.metadata['doc']}")
    try:
        return kind(**values)
    except ValueError as error:
        raise StudyError(f"[{name}] {error}") from error


def refuse_unknown(found: Toml, known: typing.Iterable[str], where: str) -> None:
    """Refuse keys that do not exist, naming the nearest that does.

    Raises:
        StudyError: If there is one.
    """
    known = list(known)
    for name in found:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            hint = f"did you mean '{near[0]}'?" if near else f"known are {', '.join(known)}"
            raise StudyError(f"{where} has no key '{name}': {hint}")


def toml_name(field: "Field[Any]") -> str:
    """Return a field's name in the file; ``from_`` stands for ``from``."""
    return field.name.rstrip("_")


def _convert(value: object, kind: Any, where: str) -> object:
    """Return ``value`` as ``kind``; exact, no guessing."""
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        return _convert(value, next(arg for arg in args if arg is not type(None)), where)
    if origin is tuple and isinstance(value, list):
        return tuple(_convert(item, args[0], where) for item in value)
    if isinstance(kind, type) and issubclass(kind, StrEnum) and isinstance(value, str):
        return _choice(value, kind, where)
    if kind in (Decimal, Fraction) and isinstance(value, int | Decimal):
        return _number(value, kind, where)
    if kind is str and isinstance(value, str):
        return value
    if kind is int and isinstance(value, int) and not isinstance(value, bool):
        return value
    if kind is bool and isinstance(value, bool):
        return value
    raise StudyError(f"{where}: expected {type_name(kind)}, got {_describe(value)}")


def _choice(value: str, kind: type[StrEnum], where: str) -> StrEnum:
    if value not in list(kind):
        raise StudyError(f"{where}: expected one of {', '.join(kind)}; got '{value}'")
    return kind(value)


def _number(value: int | Decimal, kind: type, where: str) -> Decimal | Fraction:
    if isinstance(value, bool) or not Decimal(value).is_finite():
        raise StudyError(f"{where}: expected a finite number, got {value}")
    return Fraction(value) if kind is Fraction else Decimal(value)


def type_name(kind: Any) -> str:
    """Return how a type is called in the documentation."""
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        return type_name(next(arg for arg in args if arg is not type(None)))
    if origin is tuple:
        return f"list of {type_name(args[0])}"
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return " or ".join(f"`{choice}`" for choice in kind)
    return {Decimal: "number", Fraction: "number", int: "integer", str: "text"}.get(kind, str(kind))


def _describe(value: object) -> str:
    kinds = {str: "text", bool: "a truth value", int: "an integer", Decimal: "a number"}
    return f"{kinds.get(type(value), 'something else')} ({value})"[:80]
