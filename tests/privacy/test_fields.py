from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privacy.canonical import Json
from privacy.errors import MalformedDocumentError
from privacy.fields import Fields, decimal_text
from privacy.guarantee import Unit


@given(value=st.decimals(0, 10**9, places=9))
def test_a_decimal_has_one_spelling(value: Decimal) -> None:
    """What is written is read back equal, and written the same again."""
    text = decimal_text(value)
    read = Fields({"x": text}, where="test").decimal("x")
    assert read == value
    assert decimal_text(read) == text


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-1", "1e40", "1e-40", "9" * 120])
def test_a_decimal_that_is_no_quantity_is_not_written(value: str) -> None:
    """NaN, infinity, negative and overlong numbers are refused."""
    with pytest.raises(MalformedDocumentError):
        decimal_text(Decimal(value))


@pytest.mark.parametrize("text", ["1.0", "01", "1e5", "+1", "-1", ".5", "1.", "NaN", "", " 1"])
def test_another_spelling_of_a_decimal_is_refused(text: str) -> None:
    """A trailing zero or an exponent would give one plan two hashes."""
    with pytest.raises(MalformedDocumentError):
        Fields({"x": text}, where="test").decimal("x")


@pytest.mark.parametrize("text", ["2/4", "1/1", "1/0", "0/3", "-1/2", "0.5", "1 / 2", ""])
def test_another_spelling_of_a_fraction_is_refused(text: str) -> None:
    """Fractions are in lowest terms, without a denominator of one."""
    with pytest.raises(MalformedDocumentError):
        Fields({"x": text}, where="test").fraction("x")


def test_each_kind_of_field_is_taken() -> None:
    """A field of the right form is returned as the value that it is."""
    value: Json = {
        "a": "text",
        "b": 3,
        "c": "1/2",
        "d": "00ff",
        "e": "person",
        "f": [{"g": 1}],
        "h": {},
        "i": "0102",
        "j": True,
    }
    fields = Fields(value, where="test")
    assert fields.text("a") == "text"
    assert fields.integer("b") == 3
    assert fields.fraction("c") == Fraction(1, 2)
    assert fields.hex_bytes("d", size=2) == "00ff"
    assert fields.hex_items("i", size=1) == "0102"
    assert fields.boolean("j") is True
    assert fields.choice("e", Unit) is Unit.PERSON
    assert fields.objects("f")[0].integer("g") == 1
    assert fields.mapping("h") == {}
    fields.close()


@pytest.mark.parametrize(
    ("value", "take"),
    [
        ({}, lambda f: f.text("x")),
        ({"x": 1}, lambda f: f.text("x")),
        ({"x": "long"}, lambda f: f.text("x", most=3)),
        ({"x": True}, lambda f: f.integer("x")),
        ({"x": "1"}, lambda f: f.integer("x")),
        ({"x": 0}, lambda f: f.integer("x", least=1)),
        ({"x": "0F"}, lambda f: f.hex_bytes("x", size=1)),
        ({"x": "0"}, lambda f: f.hex_bytes("x", size=1)),
        ({"x": ""}, lambda f: f.hex_items("x", size=2)),
        ({"x": "00ff00"}, lambda f: f.hex_items("x", size=2)),
        ({"x": "00FF"}, lambda f: f.hex_items("x", size=2)),
        ({"x": 1}, lambda f: f.boolean("x")),
        ({"x": "true"}, lambda f: f.boolean("x")),
        ({"x": "team"}, lambda f: f.choice("x", Unit)),
        ({"x": {}}, lambda f: f.objects("x")),
        ({"x": [1]}, lambda f: f.objects("x")),
        ({"x": []}, lambda f: f.mapping("x")),
        ({"x": []}, lambda f: f.object("x")),
        ({"x": 1}, lambda f: f.close()),
    ],
)
def test_any_other_form_is_refused_by_name(value: Json, take: object) -> None:
    """A missing, wrong or unknown field is named in the message."""
    fields = Fields(value, where="test")
    assert callable(take)
    with pytest.raises(MalformedDocumentError, match="x"):
        take(fields)


def test_only_an_object_has_fields() -> None:
    """An array is not taken apart."""
    with pytest.raises(MalformedDocumentError):
        Fields([], where="test")
