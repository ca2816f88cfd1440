"""What the coordinator needs to go on after it was killed: one file, replaced as a whole.

It holds the model after the last finished round and how far the next one came. The published sums,
which every region needs in order to compute the same model itself, are beside it (``published``).
"""

import io
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from distillation.aggregate import UNREADABLE, ModelState
from protocol.wire import Chunk
from server.errors import CheckpointError


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The state between two rounds.

    Attributes:
        plan_hash: Of the plan that is being run, hex.
        finished: Number of finished rounds; the next round has this index.
        attempt: Number of attempts already made of the next round.
        model: The student's trained tensors and the optimizer's memory.
        survivors: The regions, 16 bytes each, that the next round's sum must be over, because
            some of them may have given their shares for it in an earlier attempt; empty if none.
    """

    plan_hash: str
    finished: int
    attempt: int
    model: ModelState
    survivors: bytes = b""


def save(checkpoint: Checkpoint, path: Path) -> None:
    """Write the checkpoint so that a reader finds either the old or the new one, whole."""
    buffer = io.BytesIO()
    np.savez(
        buffer,
        allow_pickle=False,
        plan_hash=np.frombuffer(checkpoint.plan_hash.encode(), dtype=np.uint8),
        counters=np.array([checkpoint.finished, checkpoint.attempt], dtype=np.int64),
        survivors=np.frombuffer(checkpoint.survivors, dtype=np.uint8),
        **checkpoint.model.arrays(),
    )
    write_whole(path, buffer.getbuffer())


def write_whole(path: Path, *parts: Chunk) -> None:
    """Write a file so that a reader finds either the old or the new one, whole, after a crash."""
    temporary = path.with_suffix(path.suffix + ".partial")
    with temporary.open("wb") as file:
        for part in parts:
            file.write(part)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def load(path: Path, *, plan_hash: str) -> Checkpoint | None:
    """Read the checkpoint of a plan's run; None if there is none yet.

    Raises:
        CheckpointError: If the file is damaged, or belongs to another plan.
    """
    if not path.exists():
        return None
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as found:
            checkpoint = _read(dict(found.items()))
    except UNREADABLE as error:
        raise CheckpointError(
            f"the checkpoint {path.name} cannot be read ({type(error).__name__}): restore it from "
            "a backup, or start the run in a new folder with a new plan"
        ) from error
    if checkpoint.plan_hash != plan_hash:
        raise CheckpointError(
            f"expected the run of plan {plan_hash[:12]}, the folder holds that of "
            f"{checkpoint.plan_hash[:12]}: choose another folder"
        )
    return checkpoint


def _read(found: dict[str, np.ndarray]) -> Checkpoint:
    finished, attempt = (int(n) for n in found["counters"])
    return Checkpoint(
        plan_hash=found["plan_hash"].tobytes().decode(),
        finished=finished,
        attempt=attempt,
        model=ModelState.from_arrays(found),
        survivors=found["survivors"].tobytes(),
    )
