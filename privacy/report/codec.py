"""Frozen dataclasses as canonical JSON and back, by their own field types.

A report has many small values; each is a dataclass, and its fields are the document's fields. What
is optional is left out, not null. Reading is strict: every field is there, of its type, and none
is left over. It knows nothing of reports.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import TypeVar, get_args, get_origin, get_type_hints

from privacy.canonical import Json
from privacy.errors import MalformedDocumentError
from privacy.fields import Fields, decimal_text

Record = TypeVar("Record")

# A report has thousands of records of a few kinds, and reading the types of one takes long.
_HINTS: dict[type[object], dict[str, object]] = {}


def to_json(value: object) -> Json:
    """Return the JSON of a dataclass, or of what its fields may hold.

    Raises:
        MalformedDocumentError: For a negative or overlong decimal, or a type without a JSON form.
    """
    if isinstance(value, str | bool | int):
        return value
    if isinstance(value, Decimal):
        return decimal_text(value)
    if isinstance(value, Fraction):
        return str(value)
    if isinstance(value, tuple):
        return [to_json(item) for item in value]
    if is_dataclass(value):
        members = {part.name: getattr(value, part.name) for part in fields(value)}
        return {name: to_json(item) for name, item in members.items() if item is not None}
    raise MalformedDocumentError(f"expected a value of a report, got {type(value).__name__}")


def from_json(kind: type[Record], value: Json, *, where: str) -> Record:
    """Read one dataclass of type ``kind``.

    Args:
        kind: A dataclass whose fields are text, integers, booleans, decimals, fractions,
            enumerations, dataclasses, tuples of these, or one of these or None.
        value: What was parsed.
        where: What it is, for messages, such as ``"report"``.

    Raises:
        MalformedDocumentError: If a field is missing, unknown or of another form.
        InvalidBudgetError: If an (ε, δ) in it is no promise.
    """
    if not isinstance(value, Mapping):
        raise MalformedDocumentError(f"{where}: expected an object")
    hints = _HINTS.get(kind) or _HINTS.setdefault(kind, get_type_hints(kind))
    unknown = ", ".join(sorted(set(value) - set(hints)))
    if unknown:
        raise MalformedDocumentError(
            f"{where}: unknown field {unknown}; was it written by a later release?"
        )
    return kind(**{name: _member(hint, value, name, where) for name, hint in hints.items()})


def _member(hint: object, members: Mapping[str, Json], name: str, where: str) -> object:
    optional = get_origin(hint) is types.UnionType
    if optional:
        (hint,) = (part for part in get_args(hint) if part is not types.NoneType)
    if name not in members:
        if optional:
            return None
        raise MalformedDocumentError(f"{where}: the field {name} is missing")
    return _read(hint, members[name], where=f"{where}.{name}")


def _read(hint: object, value: Json, *, where: str) -> object:
    if get_origin(hint) is tuple:
        if not isinstance(value, list):
            raise MalformedDocumentError(f"{where}: expected an array, got {str(value)[:80]!r}")
        kind = get_args(hint)[0]
        return tuple(_read(kind, item, where=f"{where}[{i}]") for i, item in enumerate(value))
    if isinstance(hint, type) and is_dataclass(hint):
        return from_json(hint, value, where=where)
    return _scalar(hint, Fields({"value": value}, where=where), value)


def _scalar(hint: object, one: Fields, value: Json) -> object:
    """Read what has no parts; ``one`` holds it as its only field."""
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return one.choice("value", hint)
    readers = {Decimal: one.decimal, Fraction: one.fraction, int: one.integer, str: one.text}
    for kind, read in readers.items():
        if hint is kind:
            return read("value")
    if hint is bool and isinstance(value, bool):
        return value
    raise MalformedDocumentError(f"expected {hint}, got {str(value)[:80]!r}")
