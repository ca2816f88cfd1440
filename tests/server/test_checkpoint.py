"""A checkpoint is there whole, or the old one is; another plan's is refused."""

from pathlib import Path

import numpy as np
import pytest

from distillation.aggregate import ModelState
from server.checkpoint import Checkpoint, load, save
from server.errors import CheckpointError

_PLAN = "a" * 64


def _checkpoint() -> Checkpoint:
    model = ModelState(np.arange(4, dtype=np.float32), np.linspace(0, 1, 4))
    return Checkpoint(_PLAN, 3, 2, model, outcome=b"signed", words=bytes(range(16)))


def test_a_checkpoint_survives_the_disk(tmp_path: Path) -> None:
    """Everything comes back, bit by bit, and no partial file stays."""
    save(_checkpoint(), tmp_path / "checkpoint.npz")
    found = load(tmp_path / "checkpoint.npz", plan_hash=_PLAN)

    assert found is not None
    assert (found.finished, found.attempt) == (3, 2)
    assert (found.outcome, found.words) == (b"signed", bytes(range(16)))
    assert found.model.hash == _checkpoint().model.hash
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.npz"]


def test_without_a_file_the_run_starts_at_the_beginning(tmp_path: Path) -> None:
    """No checkpoint is not an error."""
    assert load(tmp_path / "checkpoint.npz", plan_hash=_PLAN) is None


def test_another_plans_checkpoint_is_refused(tmp_path: Path) -> None:
    """A run folder belongs to one plan."""
    save(_checkpoint(), tmp_path / "checkpoint.npz")
    with pytest.raises(CheckpointError, match="another folder"):
        load(tmp_path / "checkpoint.npz", plan_hash="b" * 64)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_damaged_checkpoint_is_one_clear_error(tmp_path: Path, share: float) -> None:
    """Cut off anywhere, or not a checkpoint at all."""
    path = tmp_path / "checkpoint.npz"
    save(_checkpoint(), path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(CheckpointError, match="cannot be read"):
        load(path, plan_hash=_PLAN)
