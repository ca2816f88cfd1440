"""A region believes sums, not models, and never skips one."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from client.errors import ModelChainError
from client.folder import RegionFolder
from client.model_chain import ModelChain, load_chain, save_chain
from distillation.aggregate import ModelState, ServerOptimizer, advance

_START = ModelState.start(np.ones(3, dtype=np.float32))
_PLAN = "c" * 64


def test_the_chain_steps_by_published_means_only() -> None:
    """One mean, one round further, and the hash of what was checked stays with it."""
    chain, step = ModelChain(4, _START), np.array([0.5, 0.0, -0.5])
    ahead = chain.after(step, ServerOptimizer(), b"t" * 32)

    assert (ahead.next_round, ahead.last) == (5, b"t" * 32)
    assert ahead.model.hash == advance(_START, step, ServerOptimizer()).hash


def test_the_chain_survives_the_disk_and_belongs_to_a_plan(tmp_path: Path) -> None:
    """After a restart it goes on; another plan starts from its own beginning."""
    folder = RegionFolder(tmp_path)
    chain = ModelChain(7, advance(_START, np.full(3, 0.1), ServerOptimizer(momentum=0.5)))
    save_chain(folder, _PLAN, chain)
    found = load_chain(folder, _PLAN, _START)

    assert (found.next_round, found.model.hash) == (7, chain.model.hash)
    assert load_chain(folder, "d" * 64, _START) == ModelChain(0, _START)


@pytest.mark.slow
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_chain_with_changed_bytes_is_the_same_or_refused(
    tmp_path: Path, data: st.DataObject
) -> None:
    """A flipped bit anywhere never becomes another model, nor any other error."""
    folder = RegionFolder(tmp_path)
    chain = ModelChain(7, advance(_START, np.full(3, 0.1), ServerOptimizer()))
    save_chain(folder, _PLAN, chain)
    content = bytearray(folder.model.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    folder.model.write_bytes(content)
    assert _read_or_refuse(folder) in (chain.model.hash, b"refused")


def _read_or_refuse(folder: RegionFolder) -> bytes:
    try:
        return load_chain(folder, _PLAN, _START).model.hash
    except ModelChainError:
        return b"refused"


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"anything else"])
def test_a_damaged_chain_is_one_clear_error(tmp_path: Path, content: bytes) -> None:
    """A region does not guess its model."""
    folder = RegionFolder(tmp_path)
    folder.model.write_bytes(content)
    with pytest.raises(ModelChainError, match="backup"):
        load_chain(folder, _PLAN, _START)
