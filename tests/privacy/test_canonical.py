from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privacy.canonical import MAX_INTEGER, dumps, loads
from privacy.errors import MalformedDocumentError

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
VALUES: st.SearchStrategy[Any] = st.recursive(
    TEXT | st.booleans() | st.integers(-MAX_INTEGER, MAX_INTEGER),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


@given(value=VALUES)
def test_a_value_survives_the_round_trip(value: Any) -> None:
    """Whatever can be written is read back as it was."""
    assert loads(dumps(value)) == value


@given(members=st.dictionaries(TEXT, st.integers(0, 9), max_size=6))
def test_the_order_of_keys_does_not_show(members: dict[str, int]) -> None:
    """Two objects with the same members have the same bytes."""
    backwards = dict(reversed(members.items()))
    assert dumps(members) == dumps(backwards)


@given(
    data=st.binary(max_size=64) | st.text(max_size=64).map(lambda t: t.encode("utf-8", "replace"))
)
def test_garbage_is_read_or_refused(data: bytes) -> None:
    """Any bytes are a canonical value or a MalformedDocumentError, and nothing in between."""
    with contextlib.suppress(MalformedDocumentError):
        assert dumps(loads(data)) == data


def test_keys_are_sorted_by_utf16_code_units() -> None:
    """The example of RFC 8785, section 3.2.3: U+1F600 sorts before U+FB33."""
    dalet, smile = "\ufb33", "\U0001f600"
    keys = {"€": 1, "\r": 2, dalet: 3, "1": 4, smile: 5, "\x80": 6, "ö": 7}
    expected = f'{{"\\r":2,"1":4,"\x80":6,"ö":7,"€":1,"{smile}":5,"{dalet}":3}}'
    assert dumps(keys) == expected.encode()


@pytest.mark.parametrize(
    "value",
    [
        0.5,
        None,
        [1, None],
        {"a": 1.0},
        {1: "a"},
        2**53,
        -(2**53),
        b"bytes",
        "\ud800",
        {"\ud800": 1},
    ],
)
def test_what_has_no_single_spelling_is_not_written(value: Any) -> None:
    """Floats, nulls, large integers, keys that are not text and lone surrogates are refused."""
    with pytest.raises(MalformedDocumentError):
        dumps(value)


@pytest.mark.parametrize(
    "data",
    [
        b'{"b":1,"a":2}',
        b'{"a": 1}',
        b'{"a":1,"a":2}',
        b'"\\u0041"',
        b"1.0",
        b"null",
        b"NaN",
        b"01",
        b"-0",
        b"1 ",
        b"",
        b'"\\ud800"',
        b"9" * 5000,
        b"[" * 100_000,
        b"[" * 40 + b"]" * 40,
    ],
)
def test_another_spelling_is_refused(data: bytes) -> None:
    """Unsorted, spaced, escaped, doubled, fractional, deep: none of it is canonical."""
    with pytest.raises(MalformedDocumentError):
        loads(data)
