"""``declarations.toml``: a file that asks a person for what software cannot know, and its reading.

What stays empty is not declared. A key that nobody asked for is refused with the nearest known
one, since a declaration that nobody reads is worse than none.
"""

from __future__ import annotations

import difflib
import json
import tomllib
from dataclasses import fields
from typing import Any

from privacy.errors import MalformedDocumentError
from privacy.report.declared import NOT_DECLARED, Declarations

FILE_NAME = "declarations.toml"
_MOST_BYTES = 1_000_000
_HEAD = """\
# What only an accountable person can say about this run. Every field is printed in the report:
# one that is left empty says NOT DECLARED. These are declarations: no program checks them.
"""


def declarations_template(declared: Declarations | None = None) -> str:
    """Return the file for a person to fill in: each field with one sentence of help.

    Args:
        declared: What is known already; nothing if left out.
    """
    lines, last = [_HEAD], ""
    for part, name, help_text, value in (declared or Declarations()).rows():
        if part != last:
            lines.append(f"\n[{part}]\n")
            last = part
        lines.append(f"# {help_text}\n{name} = {_quoted(value)}\n")
    return "".join(lines)


def read_declarations(data: bytes) -> Declarations:
    """Read the file.

    Raises:
        MalformedDocumentError: If it is no TOML, has a table or key that is not asked for, a
            value that is no text, or a text that claims more than the report can show.
    """
    found = _parsed(data)
    kinds = {part.name: part.default_factory for part in fields(Declarations)}
    _refuse_unknown("the file", found, list(kinds))
    parts = {}
    for name, kind in kinds.items():
        table = found.get(name, {})
        if not isinstance(table, dict) or not callable(kind):
            raise MalformedDocumentError(f"expected [{name}] as a table of texts")
        known = [one.name for one in fields(kind())]
        _refuse_unknown(f"[{name}]", table, known)
        parts[name] = kind(**{key: _text(f"{name}.{key}", value) for key, value in table.items()})
    return Declarations(**parts)


def _parsed(data: bytes) -> dict[str, Any]:  # what a TOML file may hold is checked by the caller
    if len(data) > _MOST_BYTES:
        raise MalformedDocumentError(f"expected a file of at most {_MOST_BYTES} bytes")
    try:
        return tomllib.loads(data.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise MalformedDocumentError(f"{FILE_NAME} is no TOML file: {error}") from error


def _refuse_unknown(where: str, found: dict[str, Any], known: list[str]) -> None:
    for key in found:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
            raise MalformedDocumentError(f"{where} has no field {key[:60]!r}; {hint}")


def _text(where: str, value: object) -> str:
    if not isinstance(value, str):
        raise MalformedDocumentError(f"{where}: expected text in quotes, got {str(value)[:60]!r}")
    return value.strip() or NOT_DECLARED


def _quoted(value: str) -> str:
    # A JSON string is a TOML string, but for DEL, which TOML wants escaped.
    text = "" if value == NOT_DECLARED else value
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
