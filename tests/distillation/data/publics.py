"""Declared-public texts for tests."""

from distillation.data.provenance import Generator, Provenance
from distillation.data.public_text import Declaration, PublicText

WORD = Declaration(origin="titles made up for tests", reason="they are in the source code")
SOURCE = "ab" * 32


def text(words: str, row: int = 1, declaration: Declaration = WORD) -> PublicText:
    """Return one curated text."""
    origin = Provenance(
        generator=Generator.CURATED,
        parameters=(("column", "title"),),
        sources=(SOURCE,),
        rows=(row,),
    )
    return PublicText(words, origin, declaration)


def texts(*words: str) -> tuple[PublicText, ...]:
    """Return curated texts, row by row."""
    return tuple(text(one, row) for row, one in enumerate(words, start=1))
