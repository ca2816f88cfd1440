"""A checkpoint is there whole, or the old one is; another plan's is refused."""

import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from distillation.aggregate import ModelState
from server.checkpoint import Checkpoint, load, save
from server.errors import CheckpointError

_PLAN = "a" * 64


def _checkpoint() -> Checkpoint:
    model = ModelState(np.arange(4, dtype=np.float32), np.linspace(0, 1, 4))
    return Checkpoint(_PLAN, 3, 2, model, survivors=bytes(range(32)))


def test_a_checkpoint_survives_the_disk(tmp_path: Path) -> None:
    """Everything comes back, bit by bit, and no partial file stays."""
    save(_checkpoint(), tmp_path / "checkpoint.npz")
    found = load(tmp_path / "checkpoint.npz", plan_hash=_PLAN)

    assert found is not None
    assert (found.finished, found.attempt) == (3, 2)
    assert found.survivors == bytes(range(32))
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


@pytest.mark.slow
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_checkpoint_with_changed_bytes_is_the_same_or_refused(
    tmp_path: Path, data: st.DataObject
) -> None:
    """A flipped bit anywhere never becomes another model, nor any other error."""
    path = tmp_path / "checkpoint.npz"
    save(_checkpoint(), path)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    assert _read_or_refuse(path) in (_checkpoint().model.hash, b"refused")


@pytest.mark.parametrize("method", [1, 8, 12, 14, 99])
@pytest.mark.parametrize("flags", [0, 1, 32, 64])
def test_a_damaged_archive_header_is_one_clear_error(
    tmp_path: Path, method: int, flags: int
) -> None:
    """Another compression, encryption: what a flipped bit can claim and Python cannot read."""
    path = tmp_path / "checkpoint.npz"
    save(_checkpoint(), path)
    content = bytearray(path.read_bytes())
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = content.index(mark) + at
        content[start : start + 4] = struct.pack("<HH", flags, method)
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="cannot be read"):
        load(path, plan_hash=_PLAN)


def _read_or_refuse(path: Path) -> bytes:
    try:
        found = load(path, plan_hash=_PLAN)
    except CheckpointError:
        return b"refused"
    return b"none" if found is None else found.model.hash


def test_a_partial_write_leaves_the_old_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that dies while it writes has lost the new state only."""
    path = tmp_path / "checkpoint.npz"
    save(_checkpoint(), path)

    def die(descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("server.checkpoint.os.fsync", die)
    newer = replace(_checkpoint(), finished=4)
    with pytest.raises(KeyboardInterrupt):
        save(newer, path)
    found = load(path, plan_hash=_PLAN)

    assert found is not None
    assert found.finished == 3


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_damaged_checkpoint_is_one_clear_error(tmp_path: Path, share: float) -> None:
    """Cut off anywhere, or not a checkpoint at all."""
    path = tmp_path / "checkpoint.npz"
    save(_checkpoint(), path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(CheckpointError, match="cannot be read"):
        load(path, plan_hash=_PLAN)
