"""Canonical JSON: one value, one string of bytes, so that a hash means something.

The subset of RFC 8785 without floats and nulls: strings, integers below 2**53, booleans,
arrays, objects with keys sorted by UTF-16 code units. Numbers with a fraction travel as text
(``"4.763"``, ``"1/2"``). It knows nothing of plans and ledgers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from privacy.errors import MalformedDocumentError

Json: TypeAlias = "str | int | bool | Sequence[Json] | Mapping[str, Json]"

MAX_INTEGER = 2**53 - 1  # RFC 8785 numbers are IEEE 754 doubles; beyond, readers disagree
MAX_DEPTH = 32


def dumps(value: Json) -> bytes:
    """Return the canonical bytes of ``value``.

    Raises:
        MalformedDocumentError: For a float, a null, an integer of 2**53 or more, a lone
            surrogate, a key that is not text, or nesting deeper than 32.
    """
    try:
        return json.dumps(_ordered(value, 0), ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError as error:
        raise MalformedDocumentError(
            "expected text that is valid Unicode, got a lone surrogate; remove it"
        ) from error


def loads(data: bytes) -> Json:
    """Read canonical bytes.

    Guarantees: ``dumps(loads(data)) == data``; there is no second spelling of a value.

    Raises:
        MalformedDocumentError: For any other bytes; nothing else is ever raised.
    """
    try:
        value: Json = json.loads(data.decode(), object_pairs_hook=_without_duplicates)
    except (ValueError, RecursionError) as error:
        raise MalformedDocumentError(
            f"expected canonical JSON, got {len(data)} bytes that are not JSON: {error}"
        ) from error
    if dumps(value) != data:
        raise MalformedDocumentError(
            "expected canonical JSON (sorted keys, no spaces, no escapes that are not needed), "
            "got another spelling; was the file edited by hand or by a formatter?"
        )
    return value


def _ordered(value: object, depth: int) -> Json:
    """Check ``value`` and sort its objects' keys."""
    if depth > MAX_DEPTH:
        raise MalformedDocumentError(f"expected nesting of at most {MAX_DEPTH}, got more")
    if isinstance(value, str | bool):
        return value
    if isinstance(value, int):
        if abs(value) > MAX_INTEGER:
            raise MalformedDocumentError("expected integers below 2**53; write larger ones as text")
        return value
    if isinstance(value, list | tuple):
        return [_ordered(item, depth + 1) for item in value]
    if isinstance(value, Mapping):
        return {key: _ordered(value[key], depth + 1) for key in sorted(value, key=_utf16)}
    raise MalformedDocumentError(
        f"expected text, integers, booleans, arrays and objects, got {type(value).__name__}; "
        "write a number with a fraction as text"
    )


def _utf16(key: object) -> bytes:
    if not isinstance(key, str):
        raise MalformedDocumentError(f"expected keys that are text, got {type(key).__name__}")
    return key.encode("utf-16-be")


def _without_duplicates(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a key appears twice in one object")
    return members
