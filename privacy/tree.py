"""The Merkle tree over a ledger's entries (RFC 6962, section 2.1).

One root stands for all entries so far. Whoever holds an older root can be shown, with a few hashes,
that the newer ledger begins with the same entries, and that an entry is in it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

HASH_BYTES = 32


def leaf_hash(body: bytes) -> bytes:
    """Return the hash of one entry: SHA-256 of a zero byte and the entry."""
    return hashlib.sha256(b"\x00" + body).digest()


def root(leaves: Sequence[bytes]) -> bytes:
    """Return the root over leaf hashes, 32 bytes; that of no leaves is SHA-256 of nothing."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = _split(len(leaves))
    return _node(root(leaves[:split]), root(leaves[split:]))


def inclusion_proof(leaves: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    """Return the hashes that lead from leaf ``index`` to the root (section 2.1.1).

    Raises:
        ValueError: If there is no such leaf.
    """
    if not 0 <= index < len(leaves):
        raise ValueError(f"expected a leaf in [0, {len(leaves)}), got {index}")
    if len(leaves) == 1:
        return ()
    split = _split(len(leaves))
    left, right = leaves[:split], leaves[split:]
    if index < split:
        return (*inclusion_proof(left, index), root(right))
    return (*inclusion_proof(right, index - split), root(left))


def includes(
    leaf: bytes, index: int, *, size: int, root_hash: bytes, proof: Sequence[bytes]
) -> bool:
    """Return whether a proof shows that ``leaf`` stands at ``index`` under a root.

    Args:
        leaf: Its hash, 32 bytes.
        index: Its place, from 0.
        size: Number of leaves under the root.
        root_hash: The root, 32 bytes.
        proof: What ``inclusion_proof`` returned.
    """
    if not 0 <= index < size:
        return False
    found = _from_proof(leaf, index, size, list(proof))
    return found is not None and found == root_hash


def consistency_proof(leaves: Sequence[bytes], old: int) -> tuple[bytes, ...]:
    """Return the hashes that show that the first ``old`` leaves are as they were (section 2.1.2).

    Raises:
        ValueError: If ``old`` is not in [1, number of leaves].
    """
    if not 1 <= old <= len(leaves):
        raise ValueError(f"expected an earlier size in [1, {len(leaves)}], got {old}")
    return _subproof(leaves, old, whole=True)


def is_consistent(
    old: int, old_root: bytes, *, size: int, root_hash: bytes, proof: Sequence[bytes]
) -> bool:
    """Return whether a proof shows that a tree grew from an older one.

    Args:
        old: The older number of leaves, at least 1.
        old_root: Its root.
        size: The newer number of leaves.
        root_hash: Its root.
        proof: What ``consistency_proof`` returned.
    """
    if not 1 <= old <= size:
        return False
    left = list(proof)
    found = _grown(old, size, left, old_root)
    return not left and found == (old_root, root_hash)


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def _split(size: int) -> int:
    """Return the largest power of two below ``size``, which is at least 2."""
    return 1 << ((size - 1).bit_length() - 1)


def _from_proof(leaf: bytes, index: int, size: int, proof: list[bytes]) -> bytes | None:
    """Return the root that a proof leads to, or None if it has another length."""
    if size == 1:
        return leaf if not proof else None
    if not proof:
        return None
    split, last = _split(size), proof.pop()
    if index < split:
        left = _from_proof(leaf, index, split, proof)
        return None if left is None else _node(left, last)
    right = _from_proof(leaf, index - split, size - split, proof)
    return None if right is None else _node(last, right)


def _subproof(leaves: Sequence[bytes], old: int, *, whole: bool) -> tuple[bytes, ...]:
    if old == len(leaves):
        return () if whole else (root(leaves),)
    split = _split(len(leaves))
    left, right = leaves[:split], leaves[split:]
    if old <= split:
        return (*_subproof(left, old, whole=whole), root(right))
    return (*_subproof(right, old - split, whole=False), root(left))


def _grown(
    old: int, size: int, proof: list[bytes], old_root: bytes | None
) -> tuple[bytes, bytes] | None:
    """Return the older and the newer root of a subtree, as a proof has them, or None.

    ``old_root`` is taken for the subtree that is the whole older tree; elsewhere it is None, and
    the proof holds the subtree's root.
    """
    if old == size and old_root is not None:
        return old_root, old_root
    if not proof:
        return None
    last = proof.pop()
    if old == size:
        return last, last
    split = _split(size)
    if old <= split:
        found = _grown(old, split, proof, old_root)
        return None if found is None else (found[0], _node(found[1], last))
    found = _grown(old - split, size - split, proof, None)
    return None if found is None else (_node(last, found[0]), _node(last, found[1]))
