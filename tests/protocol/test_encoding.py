from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.encoding import Item, enc, tagged_hash

ITEMS: st.SearchStrategy[Item] = st.recursive(
    st.text(st.characters(codec="utf-8"), max_size=5)
    | st.binary(max_size=5)
    | st.integers(0, 2**128 - 1),
    lambda inner: st.lists(inner, max_size=3).map(tuple),
    max_leaves=6,
)


def test_known_answers() -> None:
    """Values of the FSA1 specification; a change here breaks every running peer."""
    assert enc("a", 1, b"\x02").hex() == (
        "530000000000000001614900000000000000100000000000000000000000000000000142000000000000000102"
    )
    assert (
        tagged_hash("t").hex() == "f953e504fe9237be5a0c82269149f3764eca0332052ddc48b917ea662ee4d14c"
    )


@given(items=st.lists(ITEMS, max_size=4))
def test_what_was_encoded_can_be_read_back(items: list[Item]) -> None:
    """The encoding is injective: a reader that knows nothing else recovers the items."""
    assert _decode(enc(*items)) == tuple(items)


@given(left=st.lists(ITEMS, max_size=3), right=st.lists(ITEMS, max_size=3))
def test_two_sequences_share_no_encoding(left: list[Item], right: list[Item]) -> None:
    """Equal encodings mean equal items."""
    assert (enc(*left) == enc(*right)) == (left == right)


@pytest.mark.parametrize("item", [True, None, 1.0, [1], bytearray(b"x")])
def test_other_types_are_refused(item: object) -> None:
    """What has no encoding of its own is not squeezed into another one's."""
    with pytest.raises(TypeError):
        enc(item)  # type: ignore[arg-type]


@pytest.mark.parametrize("number", [-1, 2**128])
def test_numbers_out_of_range_are_refused(number: int) -> None:
    """A number that does not fit is an error, not a shorter number."""
    with pytest.raises(OverflowError):
        enc(number)


def _decode(data: bytes) -> tuple[Item, ...]:
    items: list[Item] = []
    while data:
        tag, size = data[:1], int.from_bytes(data[1:9], "big")
        body, data = data[9 : 9 + size], data[9 + size :]
        match tag:
            case b"S":
                items.append(body.decode())
            case b"I":
                items.append(int.from_bytes(body, "big"))
            case b"L":
                items.append(_decode(body))
            case _:
                items.append(body)
    return tuple(items)
