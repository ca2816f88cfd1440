"""One injective encoding of nested values, and the hash with a label that rests on it.

An item is ``tag (1) | length (8, big-endian) | bytes``; a tuple's bytes are its items in order.
Two different sequences of items never share an encoding, so a hash or a signature over one can
not be read as one over another. It is only ever written, never read from a peer.
"""

from __future__ import annotations

import hashlib
from typing import TypeAlias

Item: TypeAlias = "str | int | bytes | tuple[Item, ...]"

_INTEGER_BYTES = 16


def enc(*items: Item) -> bytes:
    """Return the encoding of ``items``; injective.

    Args:
        items: Text, integers in [0, 2**128), bytes, or tuples of these.

    Raises:
        OverflowError: If an integer is negative or too large.
        TypeError: If an item is of another type; a bool counts as one.
    """
    return b"".join(_item(item) for item in items)


def tagged_hash(label: str, *items: Item) -> bytes:
    """Return ``SHA-256(enc("FSA1/" + label, *items))``, 32 bytes: one label for each purpose.

    Raises:
        OverflowError: As ``enc``.
        TypeError: As ``enc``.
    """
    return hashlib.sha256(enc("FSA1/" + label, *items)).digest()


def _item(item: object) -> bytes:
    match item:
        case str():
            tag, data = b"S", item.encode()
        case bytes():
            tag, data = b"B", item
        case tuple():
            tag, data = b"L", b"".join(_item(part) for part in item)
        case int() if not isinstance(item, bool):
            tag, data = b"I", item.to_bytes(_INTEGER_BYTES, "big")
        case _:
            raise TypeError(f"expected text, an integer, bytes or a tuple, got {type(item)}")
    return tag + len(data).to_bytes(8, "big") + data
