"""The public texts of a study as one file: a line a text, with its origin, and a hash for the plan.

Canonical JSON a line, so that the same texts are the same bytes on every machine. The first line
says what the file is and whose word it is that the sources are public.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from distillation.data.provenance import Provenance
from distillation.data.public_text import Declaration, PublicText, require_public
from distillation.errors import ArtifactError, RecordsError
from privacy.canonical import Json, dumps, loads
from privacy.errors import MalformedDocumentError

_KIND = "stillroom/public-texts/v1"
_HEAD_KEYS = {"kind", "count", "declarations"}
_LINE_KEYS = {"text", "declaration", "provenance"}


def to_bytes(texts: Sequence[PublicText]) -> bytes:
    """Return the file's bytes.

    Raises:
        RecordsError: If a text is not declared public.
    """
    texts = require_public(texts)
    declarations = list(dict.fromkeys(text.declaration for text in texts))
    head: Json = {
        "kind": _KIND,
        "count": len(texts),
        "declarations": [{"origin": d.origin, "reason": d.reason} for d in declarations],
    }
    place = {declaration: number for number, declaration in enumerate(declarations)}
    lines: list[Json] = [
        {
            "text": text.text,
            "declaration": place[text.declaration],
            "provenance": text.provenance.to_json(),
        }
        for text in texts
    ]
    return b"".join(dumps(line) + b"\n" for line in (head, *lines))


def sha256(texts: Sequence[PublicText]) -> str:
    """Return the hash of the file's bytes, hex: what a plan names."""
    return hashlib.sha256(to_bytes(texts)).hexdigest()


def write(path: Path, texts: Sequence[PublicText]) -> str:
    """Write the file and return its hash, hex.

    Raises:
        RecordsError: If a text is not declared public.
        OSError: If it cannot be written.
    """
    content = to_bytes(texts)
    path.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def read(path: Path, *, expected_sha256: str | None = None) -> tuple[PublicText, ...]:
    """Read a file that `write` wrote.

    Args:
        path: Where it is.
        expected_sha256: The plan's hash of it; None: any such file.

    Raises:
        ArtifactError: If it is missing, damaged, or not the one that the plan names.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ArtifactError(f"{path.name} cannot be read: {error.strerror}") from error
    if expected_sha256 not in (None, hashlib.sha256(content).hexdigest()):
        raise ArtifactError(
            f"{path.name} is not the file that the plan names: get the one that travelled with it"
        )
    try:
        return from_bytes(content)
    except ArtifactError as error:
        raise ArtifactError(f"{path.name}: {error}") from error


def from_bytes(content: bytes) -> tuple[PublicText, ...]:
    """Read the file's bytes.

    Raises:
        ArtifactError: For any other bytes; nothing else is ever raised.
    """
    head, *lines = content.removesuffix(b"\n").split(b"\n")
    try:
        found = _object(head, _HEAD_KEYS)
        declared = found["declarations"]
        if found["kind"] != _KIND or found["count"] != len(lines) or not isinstance(declared, list):
            raise ValueError("another kind, or lines are missing")
        declarations = [Declaration(origin=d["origin"], reason=d["reason"]) for d in declared]
        texts = tuple(_text(line, declarations) for line in lines)
        if to_bytes(texts) != content:
            raise ValueError("another spelling")
    except (
        AttributeError, IndexError, KeyError, MalformedDocumentError, RecordsError, TypeError,
        ValueError,
    ) as error:  # fmt: skip
        raise ArtifactError(
            f"expected public texts of kind {_KIND} with every line as it was written, got "
            "something else: make the file again"
        ) from error
    return texts


def _text(line: bytes, declarations: Sequence[Declaration]) -> PublicText:
    found = _object(line, _LINE_KEYS)
    place, text, origin = found["declaration"], found["text"], found["provenance"]
    if type(place) is not int or place < 0 or not isinstance(text, str):
        raise ValueError("a text or its declaration is of another type")
    if not isinstance(origin, dict):
        raise ValueError("a text has no origin")
    return PublicText(text, Provenance.from_json(origin), declarations[place])


def _object(line: bytes, keys: set[str]) -> Mapping[str, Json]:
    found = loads(line)
    if not isinstance(found, dict) or found.keys() != keys:
        raise ValueError("other keys")
    return found
