"""The ledger's tree: RFC 6962's roots, and proofs that hold if and only if they are true."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privacy.tree import (
    consistency_proof,
    includes,
    inclusion_proof,
    is_consistent,
    leaf_hash,
    root,
)

# The reference leaves and roots of the certificate-transparency project's own tests of RFC 6962.
LEAVES = (
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
)
ROOTS = (
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)
HASHES = tuple(leaf_hash(bytes.fromhex(leaf)) for leaf in LEAVES)


def leaves(count: int) -> list[bytes]:
    return [leaf_hash(str(number).encode()) for number in range(count)]


@pytest.mark.parametrize("size", range(1, len(ROOTS) + 1))
def test_the_roots_are_those_of_the_reference(size: int) -> None:
    """Leaves and nodes are told apart, and an odd one out is carried up."""
    assert root(HASHES[:size]).hex() == ROOTS[size - 1]


def test_an_empty_tree_has_a_root() -> None:
    """That of nothing, so that no list of entries shares it."""
    assert root([]) == hashlib.sha256(b"").digest()


@given(size=st.integers(1, 70), data=st.data())
def test_a_proof_of_inclusion_holds_for_its_leaf_alone(size: int, data: st.DataObject) -> None:
    """Another leaf, place, size, root or hash in the proof, and it does not hold."""
    all_, index = leaves(size), data.draw(st.integers(0, size - 1))
    proof, top = inclusion_proof(all_, index), root(all_)
    assert includes(all_[index], index, size=size, root_hash=top, proof=proof)
    assert not includes(leaf_hash(b"x"), index, size=size, root_hash=top, proof=proof)
    assert not includes(all_[index], index, size=size, root_hash=leaf_hash(b"x"), proof=proof)
    assert not includes(all_[index], index, size=size, root_hash=top, proof=(*proof, top))
    assert not includes(all_[index], size, size=size, root_hash=top, proof=proof)
    if proof:
        assert not includes(all_[index], index, size=size, root_hash=top, proof=proof[:-1])
        place = data.draw(st.integers(0, len(proof) - 1))
        bent = [*proof[:place], leaf_hash(b"x"), *proof[place + 1 :]]
        assert not includes(all_[index], index, size=size, root_hash=top, proof=bent)


@given(size=st.integers(1, 70), data=st.data())
def test_a_proof_of_growth_holds_for_its_two_trees_alone(size: int, data: st.DataObject) -> None:
    """A rewritten past has another root, and no proof leads from it to the new one."""
    old = data.draw(st.integers(1, size))
    all_ = leaves(size)
    before, after, proof = root(all_[:old]), root(all_), consistency_proof(all_, old)
    assert is_consistent(old, before, size=size, root_hash=after, proof=proof)
    bent = leaf_hash(b"x")
    assert not is_consistent(old, bent, size=size, root_hash=after, proof=proof)
    assert not is_consistent(old, before, size=size, root_hash=bent, proof=proof)
    assert not is_consistent(old, before, size=size, root_hash=after, proof=(*proof, bent))
    assert not is_consistent(0, before, size=size, root_hash=after, proof=proof)
    assert not is_consistent(size + 1, before, size=size, root_hash=after, proof=proof)
    if proof:
        assert not is_consistent(old, before, size=size, root_hash=after, proof=proof[1:])
        place = data.draw(st.integers(0, len(proof) - 1))
        changed = [*proof[:place], bent, *proof[place + 1 :]]
        assert not is_consistent(old, before, size=size, root_hash=after, proof=changed)


@given(size=st.integers(1, 40), data=st.data())
def test_another_program_proves_growth_between_our_roots(size: int, data: st.DataObject) -> None:
    """And gives the same roots; its proofs have another form, and hold between ours."""
    pymerkle = pytest.importorskip("pymerkle")
    old = data.draw(st.integers(1, size))
    tree = pymerkle.InmemoryTree(algorithm="sha256")
    for number in range(size):
        tree.append_entry(str(number).encode())
    all_ = leaves(size)
    assert tree.get_root(size) == root(all_)
    assert tree.get_root(old) == root(all_[:old])
    theirs = tree.prove_consistency(old, size)
    pymerkle.verify_consistency(root(all_[:old]), root(all_), theirs)


@given(size=st.integers(2, 40), data=st.data())
def test_a_rewritten_past_is_not_consistent(size: int, data: st.DataObject) -> None:
    """Whoever changes an old entry cannot prove growth with the proof of the changed tree."""
    old = data.draw(st.integers(1, size - 1))
    all_ = leaves(size)
    before = root(all_[:old])
    all_[data.draw(st.integers(0, old - 1))] = leaf_hash(b"rewritten")
    proof = consistency_proof(all_, old)
    assert not is_consistent(old, before, size=size, root_hash=root(all_), proof=proof)


@pytest.mark.parametrize("index", [-1, 3])
def test_there_is_no_proof_of_what_is_not_there(index: int) -> None:
    """Of three leaves there is no fourth, and no earlier size beyond them."""
    with pytest.raises(ValueError, match="expected a leaf"):
        inclusion_proof(leaves(3), index)
    with pytest.raises(ValueError, match="expected an earlier size"):
        consistency_proof(leaves(3), 4 if index == 3 else 0)
