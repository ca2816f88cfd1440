"""Text that somebody declared public, by name and reason: the only input of data distillation.

The teacher's answers to such text cost no ε, so a private record that slipped in would leave for
free. Hence a type of its own: no function of this package takes a string or `Records`, none turns
either into a `PublicText` but `declared`, and that one asks why the file is public. The claim is
the study's; code cannot check it, but it can make it impossible to make it without noticing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from distillation.data.provenance import Generator, Provenance
from distillation.errors import RecordsError
from distillation.model_files import hash_files
from distillation.records import Columns, read_records


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """Who says that a file is public, and why; it is in the artifact for everyone to read.

    Attributes:
        origin: What the file is, such as a title and a version.
        reason: Why everybody may see it, such as a licence or a publication.
    """

    origin: str
    reason: str

    def __post_init__(self) -> None:
        if not self.origin.strip() or not self.reason.strip():
            raise RecordsError(
                "expected the origin of a public file and the reason why it is public, got an "
                "empty one: private records must never be declared public"
            )


@dataclass(frozen=True, slots=True)
class PublicText:
    """One text that follows from declared-public files alone.

    Attributes:
        text: What the teacher is to answer.
        provenance: How it follows from them.
        declaration: Whose word it is that they are public.
    """

    text: str
    provenance: Provenance
    declaration: Declaration

    def __post_init__(self) -> None:
        if not self.text.strip():
            raise RecordsError("expected a public text with something to read, got none")


def declared(path: Path, column: str, declaration: Declaration) -> tuple[PublicText, ...]:
    """Return the texts of a curated file, one a row.

    Args:
        path: A CSV, JSONL or Parquet file.
        column: Which column holds the text.
        declaration: Why it is public.

    Raises:
        RecordsError: If the file cannot be used.
    """
    records = read_records(path, Columns(text=column))
    source = hash_files([path])
    return tuple(
        PublicText(
            text,
            Provenance(
                generator=Generator.CURATED,
                parameters=(("column", column),),
                sources=(source,),
                rows=(row,),
            ),
            declaration,
        )
        for row, text in enumerate(records.texts, start=1)
    )


def require_public(texts: Iterable[PublicText]) -> tuple[PublicText, ...]:
    """Return the texts, or refuse what is not declared: types are not checked at run time.

    Raises:
        RecordsError: If one is a plain string, a record, or anything but a `PublicText`.
    """
    found = tuple(texts)
    if not all(type(text) is PublicText for text in found):
        raise RecordsError(
            "expected texts that were declared public, got others: read the public file with "
            "distillation.data.public_text.declared; private records have no way in here"
        )
    return found
