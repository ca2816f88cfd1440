"""Which files of a run's folder go into its pack, and under which names.

A sum is not packed unless it is asked for: it has four bytes a parameter and round, and the
transcript of its round holds the hash of it that the coordinator signed. Nothing secret and
no record is ever looked at: every file is named here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path

from privacy.canonical import loads
from privacy.pack import layout
from privacy.pack.errors import PackSourceError
from privacy.report.model import SCHEMA
from privacy.report.schema import schema_bytes

_REQUIRED = {"report.json": "report.json", "plan.json": "plan.json"}
_REGISTRY = ("server/registry.bin", "registry.bin")
_OPTIONAL = {
    "report.html": "report.html",
    "report.pdf": "report.pdf",
    "schema.json": "schema.json",
    "transcript.jsonl": "server/transcript.jsonl",
    "study.toml": "config/study.toml",
    "summary.json": "config/summary.json",
    "artifacts/recipe.json": "config/recipe.json",
    "code.txt": "config/code.txt",
}
_ROUND = re.compile(r"[0-9]{5}\.(?:transcript|receipts|sum)")


class Sums(StrEnum):
    """Whether the words of the sums are packed, beside the hashes that were signed."""

    HASHES = "hashes"
    WORDS = "words"


def gather(run: Path, *, sums: Sums) -> Mapping[str, bytes]:
    """Return all that a pack of this run holds but the ledgers.

    Raises:
        PackSourceError: If report, plan or registry is not there.
        MalformedDocumentError: If the report is no canonical JSON.
        OSError: If a file cannot be read.
    """
    found = {}
    for source, path in (*_REQUIRED.items(), _REGISTRY):
        found[path] = _required(run / source)
    for source, path in _OPTIONAL.items():
        if (run / source).is_file():
            found[path] = (run / source).read_bytes()
    if "schema.json" not in found and _is_current(found["report.json"]):
        found["schema.json"] = schema_bytes()
    for file in (*_rounds(run, sums), *_named(run, "evidence")):
        path = file.relative_to(run).as_posix()
        layout.require_allowed(path)
        found[path] = file.read_bytes()
    return found


def _is_current(report: bytes) -> bool:
    """Return whether a report is of the schema that this release writes."""
    value = loads(report)
    return isinstance(value, Mapping) and value.get("schema") == SCHEMA


def _required(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise PackSourceError(
            f"expected {path}, got none: a pack is made of a finished run's folder"
        ) from error


def _rounds(run: Path, sums: Sums) -> Iterator[Path]:
    for file in _named(run, "rounds"):
        if _ROUND.fullmatch(file.name) and (file.suffix != ".sum" or sums is Sums.WORDS):
            yield file


def _named(run: Path, folder: str) -> list[Path]:
    return sorted(path for path in (run / folder).glob("*") if path.is_file())
