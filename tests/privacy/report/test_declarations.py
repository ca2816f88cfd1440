from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privacy.errors import MalformedDocumentError
from privacy.report.declarations_file import declarations_template, read_declarations
from privacy.report.declared import NOT_DECLARED, Declarations, DeclaredIdentity
from privacy.report.html import render
from tests.privacy.report.builders import sample


def test_the_empty_file_declares_nothing() -> None:
    """Every field is in it, each with a help above it, and none is declared."""
    text = declarations_template()
    found = read_declarations(text.encode())
    assert found == Declarations()
    assert len(found.missing) == len(list(found.rows()))
    for _, name, help_text, _ in found.rows():
        assert f"# {help_text}\n{name} = " in text


@given(st.text(min_size=1, max_size=60).filter(lambda text: text.strip() and "nonym" not in text))
def test_what_is_declared_is_read_back(text: str) -> None:
    """Quotes, backslashes and other scripts included."""
    if "\r" in text or any(0xD800 <= ord(one) <= 0xDFFF for one in text):
        return
    declared = Declarations(identity=DeclaredIdentity(controllers=text.strip()))
    assert read_declarations(declarations_template(declared).encode()) == declared


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"[identity]\ncontrolers = 'us'\n", "did you mean controllers"),
        (b"[identities]\n", "did you mean identity"),
        (b"[identity]\ncontrollers = 7\n", "text in quotes"),
        (b"identity = 7\n", "as a table"),
        (b"[identity\n", "no TOML"),
        (b"\xff", "no TOML"),
        (b"[identity]\npurpose = 'anonymous statistics'\n", "leave the judgement"),
    ],
)
def test_what_nobody_asked_for_is_refused(data: bytes, said: str) -> None:
    """With the field that was probably meant, or what to write."""
    with pytest.raises(MalformedDocumentError, match=said):
        read_declarations(data)


@given(st.binary(max_size=80))
def test_any_bytes_are_declarations_or_refused(data: bytes) -> None:
    """Nothing else is raised."""
    try:
        found = read_declarations(data)
    except MalformedDocumentError:
        return
    assert found == read_declarations(declarations_template(found).encode())


def test_a_blank_answer_is_none() -> None:
    """Spaces declare nothing."""
    assert read_declarations(b"[data]\nsubjects = '  '\n").data.subjects == NOT_DECLARED


def test_the_page_has_every_field_and_marks_what_is_missing() -> None:
    """A field that nobody declared is printed as such, never left out."""
    declared = Declarations(identity=DeclaredIdentity(controllers="A hospital"))
    page = render(sample(declared=declared))
    rows = list(declared.rows())
    for _, name, _, _ in rows:
        assert f'<th scope="row">{name.replace("_", " ")}<small>' in page
    marked = f"<td data-label=\"Declared\"><strong class='missing'>{NOT_DECLARED}"
    assert page.count(marked) == len(declared.missing) == len(rows) - 1
    assert f"{len(declared.missing)} facts that only a person can state" in page


def test_the_template_is_toml_of_texts() -> None:
    """Whoever fills it in may use any TOML editor."""
    found = tomllib.loads(declarations_template())
    assert all(value == "" for table in found.values() for value in table.values())
