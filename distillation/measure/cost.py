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
from types import TracebackType
from typing import Self

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
        records_per_s: In batches.
        batch: Records of a batch.
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
    batch: int
    peak_memory_bytes: int
    libraries_bytes: int
    threads: int
    texts: int

    def to_dict(self) -> dict[str, float]:
        """Return the figures by name."""
        return asdict(self)


class CostProcess:
    """A fresh process that measures one model; it loads its libraries while others work.

    It is started when it is made, and ended when its ``with`` is left, asked or not.
    """

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "distillation.measure.cost_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def measure(
        self, folder: Path, texts: Sequence[str], *, threads: int = 1, form: str | None = None
    ) -> Cost:
        """Load a model and time it on public texts; one process measures one model.

        Args:
            folder: The model with its tokenizer.
            texts: What it is to answer; the first 256 are taken.
            threads: Threads that torch may use, >= 1.
            form: How a language model reads a text, as `distillation.language.text.Form` names
                it; None: the model is a classifier.

        Raises:
            TrainingError: If the process fails; its last line says why.
        """
        if not texts or threads < 1:
            raise TrainingError("expected at least one text to time and at least one thread")
        asked = {
            "folder": str(folder),
            "texts": list(texts[:_MOST_TEXTS]),
            "threads": threads,
            "form": form,
        }
        try:
            printed, said = self._process.communicate(json.dumps(asked), timeout=_LIMIT_S)
        except subprocess.TimeoutExpired:
            raise TrainingError(
                f"timing the model in '{folder.name}' took more than {_LIMIT_S} s: give fewer or "
                "shorter texts, or leave the costs out"
            ) from None
        if self._process.returncode:
            last = (said.strip().splitlines() or ["no message"])[-1]
            raise TrainingError(f"the model in '{folder.name}' could not be timed: {last}")
        return _read(printed)


def measure_cost(folder: Path, texts: Sequence[str], *, threads: int = 1) -> Cost:
    """Load a classifier in a fresh process and time it on public texts.

    Args:
        folder: The model with its tokenizer.
        texts: What it is to answer; the first 256 are taken.
        threads: Threads that torch may use, >= 1.

    Raises:
        TrainingError: If the process fails; its last line says why.
    """
    with CostProcess() as process:
        return process.measure(folder, texts, threads=threads)


def _read(printed: str) -> Cost:
    found = json.loads(printed.strip().splitlines()[-1])
    return Cost(**{field.name: found[field.name] for field in fields(Cost)})
