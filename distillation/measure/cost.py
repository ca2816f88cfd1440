"""What a model costs to run: time a record, records a second, memory, size on disk.

Measured on the machine that runs, in a process of its own that does nothing else: peak memory
would otherwise be whatever the process had held before. Figures compare models on one machine and
one load; they are not properties of the model.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from distillation.errors import TrainingError

_LIMIT_S = 600
_MOST_TEXTS = 256
"""Texts that are timed: the first so many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a model costs on one machine.

    Attributes:
        parameters: Number of its parameters.
        size_bytes: Of its folder's files that are needed to load it.
        latency_p50_ms: Median time of one record alone, text to probabilities.
        latency_p95_ms: The time that 95 % of records stay under.
        records_per_s: In batches of 32.
        peak_memory_bytes: Most memory that the process held, libraries included.
        libraries_bytes: What it held before the model was loaded.
        threads: Threads that torch used.
        texts: How many records were timed.
    """

    parameters: int
    size_bytes: int
    latency_p50_ms: float
    latency_p95_ms: float
    records_per_s: float
    peak_memory_bytes: int
    libraries_bytes: int
    threads: int
    texts: int

    def to_dict(self) -> dict[str, float]:
        """Return the figures by name."""
        return asdict(self)


def measure_cost(folder: Path, texts: Sequence[str], *, threads: int = 1) -> Cost:
    """Load a classifier in a fresh process and time it on public texts.

    Args:
        folder: The model with its tokenizer.
        texts: What it is to answer; the first 256 are taken.
        threads: Threads that torch may use, >= 1.

    Raises:
        TrainingError: If the process fails; its last line says why.
    """
    if not texts or threads < 1:
        raise TrainingError("expected at least one text to time and at least one thread")
    asked = {"folder": str(folder), "texts": list(texts[:_MOST_TEXTS]), "threads": threads}
    command = [sys.executable, "-m", "distillation.measure.cost_process"]
    try:
        done = subprocess.run(  # noqa: S603 - this interpreter, a module of ours, no shell
            command,
            input=json.dumps(asked),
            capture_output=True,
            text=True,
            timeout=_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise TrainingError(
            f"timing the model in '{folder.name}' took more than {_LIMIT_S} s: give fewer or "
            "shorter texts, or leave the costs out"
        ) from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise TrainingError(f"the model in '{folder.name}' could not be timed: {last}")
    return _read(done.stdout)


def _read(printed: str) -> Cost:
    found = json.loads(printed.strip().splitlines()[-1])
    return Cost(**{field.name: found[field.name] for field in fields(Cost)})
