"""A region believes sums, not models, and never skips one."""

from pathlib import Path

import numpy as np
import pytest

from client.errors import ModelChainError
from client.folder import RegionFolder
from client.model_chain import ModelChain, load_chain, save_chain
from distillation.aggregate import ModelState, ServerOptimizer, advance

_START = ModelState.start(np.ones(3, dtype=np.float32))
_PLAN = "c" * 64


def test_the_chain_steps_by_published_means_only() -> None:
    """Its own round needs no sum; the next needs exactly one; any other is refused."""
    chain, step = ModelChain(4, _START), np.array([0.5, 0.0, -0.5])

    assert chain.after(4, lambda: pytest.fail("read a sum"), ServerOptimizer()) is chain
    ahead = chain.after(5, lambda: step, ServerOptimizer())
    assert ahead.next_round == 5
    assert ahead.model.hash == advance(_START, step, ServerOptimizer()).hash
    for round_ in (0, 3, 6):
        with pytest.raises(ModelChainError, match="expected round 4 or 5"):
            chain.after(round_, lambda: step, ServerOptimizer())


def test_the_chain_survives_the_disk_and_belongs_to_a_plan(tmp_path: Path) -> None:
    """After a restart it goes on; another plan starts from its own beginning."""
    folder = RegionFolder(tmp_path)
    chain = ModelChain(7, advance(_START, np.full(3, 0.1), ServerOptimizer(momentum=0.5)))
    save_chain(folder, _PLAN, chain)
    found = load_chain(folder, _PLAN, _START)

    assert (found.next_round, found.model.hash) == (7, chain.model.hash)
    assert load_chain(folder, "d" * 64, _START) == ModelChain(0, _START)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"anything else"])
def test_a_damaged_chain_is_one_clear_error(tmp_path: Path, content: bytes) -> None:
    """A region does not guess its model."""
    folder = RegionFolder(tmp_path)
    folder.model.write_bytes(content)
    with pytest.raises(ModelChainError, match="backup"):
        load_chain(folder, _PLAN, _START)
