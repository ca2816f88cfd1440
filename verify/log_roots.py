"""The roots of a ledger at many sizes, in one pass over its entries (RFC 6962, section 2.1).

A ledger of n entries is held against the checkpoints of every round; each root from the start
would cost n hashes. Here the complete subtrees so far are kept, at most log n of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from functools import reduce

from privacy.tree import leaf_hash


def roots_at(bodies: Sequence[bytes], sizes: Collection[int]) -> Mapping[int, bytes]:
    """Return the root over the first so many entries, for each of these sizes that there is.

    Args:
        bodies: The entries.
        sizes: From 1; larger ones than the ledger are left out.
    """
    wanted, found = set(sizes), {}
    subtrees: list[bytes] = []  # of the sizes that are the powers of two in the count, descending
    for count, body in enumerate(bodies, start=1):
        node, rest = leaf_hash(body), count - 1
        while rest & 1:
            node, rest = _node(subtrees.pop(), node), rest >> 1
        subtrees.append(node)
        if count in wanted:
            found[count] = reduce(lambda right, left: _node(left, right), reversed(subtrees))
    return found


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()
