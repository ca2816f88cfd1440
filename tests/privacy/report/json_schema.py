"""A small check of JSON against a JSON Schema, which refuses keywords that it does not know."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

_NOTES = {"description", "description_long", "tier", "title", "$schema", "$id", "$defs"}
_TYPES: dict[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
}


def faults(value: Any, schema: Mapping[str, Any]) -> list[str]:
    """Return everything in ``value`` that the schema forbids, each with its path."""
    return list(_faults(value, schema, schema, "$"))


def _faults(value: Any, schema: Mapping[str, Any], root: Any, at: str) -> Iterator[str]:
    for key, rule in schema.items():
        if key in _RULES:
            if not _RULES[key](value, rule, schema):
                yield f"{at}: {key} {rule!r:.80} against {value!r:.80}"
        elif key not in _NOTES and not key.startswith("x-"):
            for item, part, where in _parts(key, rule, value, root):
                yield from _faults(item, part, root, at + where)


def _parts(key: str, rule: Any, value: Any, root: Any) -> list[tuple[Any, Any, str]]:
    """Return what a keyword applies other schemas to, each with its schema and place."""
    if key == "$ref":
        return [(value, root["$defs"][rule.rpartition("/")[2]], "")]
    if key == "properties":
        found = value if isinstance(value, dict) else {}
        return [(found[name], rule[name], f".{name}") for name in rule.keys() & found.keys()]
    if key == "items":
        items = value if isinstance(value, list) else []
        return [(item, rule, f"[{number}]") for number, item in enumerate(items)]
    raise NotImplementedError(f"the keyword {key} is not checked here")


def _is(value: Any, kind: str) -> bool:
    return isinstance(value, _TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))


def _is_date(value: Any) -> bool:
    try:
        return bool(date.fromisoformat(value).isoformat() == value)
    except (TypeError, ValueError):
        return False


_RULES: dict[str, Any] = {
    "type": lambda v, rule, _: any(_is(v, k) for k in ([rule] if isinstance(rule, str) else rule)),
    "enum": lambda v, rule, _: v in rule,
    "const": lambda v, rule, _: v == rule,
    "pattern": lambda v, rule, _: not isinstance(v, str) or re.search(rule, v) is not None,
    "maxLength": lambda v, rule, _: not isinstance(v, str) or len(v) <= rule,
    "minimum": lambda v, rule, _: v >= rule,
    "maximum": lambda v, rule, _: v <= rule,
    "minItems": lambda v, rule, _: len(v) >= rule,
    "required": lambda v, rule, _: not isinstance(v, dict) or set(rule) <= set(v),
    "additionalProperties": lambda v, rule, schema: (
        rule is not False or not isinstance(v, dict) or set(v) <= set(schema["properties"])
    ),
    "format": lambda v, rule, _: rule != "date" or _is_date(v),
}
