"""Private records have no way into data distillation, and every text knows where it came from."""

from pathlib import Path

import pytest

from distillation.data import artifact
from distillation.data.duplicates import Nearness, without_duplicates
from distillation.data.filters import Form, well_formed
from distillation.data.provenance import Generator, Provenance
from distillation.data.public_text import Declaration, PublicText, declared, require_public
from distillation.data.word_mix import WordMix, word_mix
from distillation.errors import RecordsError
from distillation.model_files import hash_files
from distillation.records import Columns, read_records
from tests.distillation.data import publics


def test_a_curated_file_keeps_rows_and_hash(tmp_path: Path) -> None:
    """Every text says which row of which bytes it is, and why that is public."""
    path = tmp_path / "titles.csv"
    path.write_text("title\nCholera\nTyphoid fever\n")
    found = declared(path, "title", publics.WORD)

    assert [one.text for one in found] == ["Cholera", "Typhoid fever"]
    assert [one.provenance.rows for one in found] == [(1,), (2,)]
    assert {one.provenance.sources for one in found} == {(hash_files([path]),)}
    assert {one.declaration for one in found} == {publics.WORD}


def test_private_records_are_refused_everywhere(tmp_path: Path) -> None:
    """A region's records are no public text, whichever door they try; nor are plain strings."""
    path = tmp_path / "records.csv"
    path.write_text("title\nJohn Doe fell down the stairs\n")
    records = read_records(path, Columns(text="title"))
    for smuggled in (records.texts, [records], [*publics.texts("Cholera"), records.texts[0]]):
        doors = (
            lambda texts: require_public(texts),
            lambda texts: well_formed(texts, Form()),
            lambda texts: without_duplicates(texts, Nearness()),
            lambda texts: without_duplicates(publics.texts("Cholera"), Nearness(), against=texts),
            lambda texts: word_mix(texts, ["word"], count=1, settings=WordMix(), seed=0),
            lambda texts: artifact.to_bytes(texts),
        )
        for door in doors:
            with pytest.raises(RecordsError, match="declared public") as caught:
                door(smuggled)
            assert "John" not in str(caught.value)


@pytest.mark.parametrize(("origin", "reason"), [("", "a licence"), ("titles", " ")])
def test_a_declaration_needs_its_reason(origin: str, reason: str) -> None:
    """Nobody declares a file public without saying what it is and why."""
    with pytest.raises(RecordsError, match="never be declared public"):
        Declaration(origin=origin, reason=reason)


@pytest.mark.parametrize(
    "wrong",
    [
        {"sources": ()},
        {"sources": ("no hash",)},
        {"rows": (0,)},
        {"rows": (2, 1)},
        {"rows": (1, 1)},
        {"seed": -1},
        {"parameters": (("b", ""), ("a", ""))},
    ],
)
def test_an_origin_that_says_nothing_is_refused(wrong: dict[str, object]) -> None:
    """Sources, rows, seed and settings are checked where they are made."""
    right: dict[str, object] = {
        "generator": Generator.WORD_MIX,
        "sources": (publics.SOURCE,),
        "rows": (1,),
    }
    with pytest.raises(RecordsError, match="expected"):
        Provenance(**{**right, **wrong})  # type: ignore[arg-type]  # one wrong value at a time


def test_a_text_without_words_is_refused() -> None:
    """There would be nothing to ask."""
    with pytest.raises(RecordsError, match="something to read"):
        PublicText("  ", publics.text("x").provenance, publics.WORD)
