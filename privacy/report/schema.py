"""The JSON Schema of ``report.json``, made of the same dataclasses as the document.

Draft 2020-12. Two keywords of our own, on properties and valid for all below them: ``x-recomputed``
marks what a verifier finds anew from ledgers and plan, ``x-declared`` what a person has to declare.
A description is the sentence that the dataclass's docstring has for the field.
"""

from __future__ import annotations

import re
import types
from dataclasses import Field, fields, is_dataclass
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import get_args, get_origin, get_type_hints

from privacy.canonical import MAX_INTEGER, Json, dumps
from privacy.errors import MalformedDocumentError
from privacy.fields import MAX_DIGITS, MAX_TEXT
from privacy.report.declared import DECLARED
from privacy.report.model import SCHEMA, Report
from privacy.report.parts import Region, Sums

RECOMPUTED = "x-recomputed"
_WHOLLY_RECOMPUTED = frozenset({Region, Sums})
_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_ENTRY = re.compile(r"^ {4}(?:    )?(\w+): (.+(?:\n {12}.+)*)", re.MULTILINE)
_SCALARS: dict[type, dict[str, Json]] = {
    str: {"type": "string", "maxLength": MAX_TEXT},
    bool: {"type": "boolean"},
    int: {"type": "integer", "minimum": 0, "maximum": MAX_INTEGER},
    Decimal: {
        "type": "string",
        "pattern": r"^(0|[1-9][0-9]*)(\.[0-9]*[1-9])?$",
        "maxLength": MAX_DIGITS,
    },
    Fraction: {"type": "string", "pattern": "^(0|[1-9][0-9]*)(/[1-9][0-9]*)?$"},
}


def report_schema() -> dict[str, Json]:
    """Return the schema of a report, as plain values."""
    parts: dict[str, Json] = {}
    top = _object(Report, parts)
    properties, required = top["properties"], top["required"]
    if not isinstance(properties, dict) or not isinstance(required, list):
        raise TypeError("expected the schema of an object")  # `_object` made both
    return {
        "$schema": _DIALECT,
        "$id": f"urn:{SCHEMA.replace('/', ':')}",
        "title": "Stillroom report",
        **top,
        "properties": {"schema": {"const": SCHEMA}, **properties},
        "required": ["schema", *required],
        "$defs": dict(sorted(parts.items())),
    }


def schema_bytes() -> bytes:
    """Return ``schema.json``, canonical: one schema, one string of bytes."""
    return dumps(report_schema())


def _object(kind: type, parts: dict[str, Json]) -> dict[str, Json]:
    hints, sentences = get_type_hints(kind), _sentences(kind)
    properties: dict[str, Json] = {}
    required: list[Json] = []
    for one in fields(kind):
        hint = hints[one.name]
        is_optional = get_origin(hint) is types.UnionType
        if is_optional:
            (hint,) = (part for part in get_args(hint) if part is not types.NoneType)
        else:
            required.append(one.name)
        whole: dict[str, Json] = {RECOMPUTED: True} if kind in _WHOLLY_RECOMPUTED else {}
        properties[one.name] = {**_property(hint, parts), **whole, **_marks(one, sentences)}
    return {
        "type": "object",
        "description": _first(kind),
        "additionalProperties": False,
        "properties": properties,
        "required": required,
    }


def _property(hint: object, parts: dict[str, Json]) -> dict[str, Json]:
    if get_origin(hint) is tuple:
        return {"type": "array", "items": _property(get_args(hint)[0], parts)}
    if isinstance(hint, type) and is_dataclass(hint):
        if hint.__name__ not in parts:
            parts[hint.__name__] = {}  # stands for it while its own parts are made
            parts[hint.__name__] = _object(hint, parts)
        return {"$ref": f"#/$defs/{hint.__name__}"}
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return {"type": "string", "enum": [member.value for member in hint]}
    if isinstance(hint, type) and hint in _SCALARS:
        return dict(_SCALARS[hint])
    raise MalformedDocumentError(f"expected a type that a report may hold, got {hint}")


def _marks(one: Field[object], sentences: dict[str, str]) -> dict[str, Json]:
    marks: dict[str, Json] = {key: True for key in (RECOMPUTED, DECLARED) if one.metadata.get(key)}
    sentence = one.metadata.get("help") or sentences.get(one.name)
    return {**marks, "description": sentence} if sentence else marks


def _sentences(kind: type) -> dict[str, str]:
    """Return what the docstring says of each field."""
    _, _, listed = (kind.__doc__ or "").partition("Attributes:\n")
    return {name: re.sub(r"\s+", " ", text) for name, text in _ENTRY.findall(listed)}


def _first(kind: type) -> str:
    return (kind.__doc__ or "").partition("\n")[0]
