"""The roots of many sizes in one pass are the roots."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from privacy.tree import leaf_hash, root
from verify.log_roots import roots_at


@given(count=st.integers(0, 70), sizes=st.sets(st.integers(1, 80)))
def test_each_root_is_the_one_of_the_tree(count: int, sizes: set[int]) -> None:
    """For any ledger and any sizes, what there is agrees with RFC 6962's definition."""
    bodies = [str(number).encode() for number in range(count)]
    leaves = [leaf_hash(body) for body in bodies]

    assert roots_at(bodies, sizes) == {size: root(leaves[:size]) for size in sizes if size <= count}
