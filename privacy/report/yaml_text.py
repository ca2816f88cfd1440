"""Plain values as YAML that every reader takes for the same: mappings, lists, texts, numbers.

Texts are written as JSON strings, which YAML 1.2 reads as they are, so that no word becomes a
number, a date or a truth value.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import TypeAlias

Yaml: TypeAlias = "str | int | float | bool | Sequence[Yaml] | Mapping[str, Yaml]"


def to_yaml(value: Mapping[str, Yaml]) -> str:
    """Return the text of a document."""
    return "\n".join(_lines(value, "")) + "\n"


def _lines(value: Mapping[str, Yaml], indent: str) -> Iterator[str]:
    for key, item in value.items():
        if isinstance(item, Mapping):
            yield f"{indent}{key}:"
            yield from _lines(item, indent + "  ")
        elif isinstance(item, Sequence) and not isinstance(item, str):
            yield f"{indent}{key}:"
            for one in item:
                yield from _item(one, indent + "  ")
        else:
            yield f"{indent}{key}: {_scalar(item)}"


def _item(value: Yaml, indent: str) -> Iterator[str]:
    if isinstance(value, Mapping):
        first, *others = _lines(value, indent + "  ")
        yield f"{indent}- {first.lstrip()}"
        yield from others
    else:
        yield f"{indent}- {_scalar(value)}"


def _scalar(value: Yaml) -> str:
    if isinstance(value, float):
        # YAML 1.1 takes 1e-05 for a text: a number needs its point.
        text = f"{Decimal(repr(value)):f}"
        return text if "." in text else f"{text}.0"
    return json.dumps(value, ensure_ascii=False)
