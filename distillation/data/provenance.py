"""Where one public text came from, exactly enough to make it again.

A text is never without this: which generator, with which settings and seed, from which rows of
which files. Knows nothing of models.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from distillation.errors import RecordsError
from privacy.canonical import Json

_SHA256 = re.compile(r"[0-9a-f]{64}")
_MOST_SEED = 2**53  # what canonical JSON can hold


class Generator(StrEnum):
    """What made a text."""

    CURATED = "curated"
    WORD_MIX = "word-mix"
    TEACHER_ANSWER = "teacher-answer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """The origin of one text.

    Attributes:
        generator: What made it.
        parameters: The generator's settings as text, by name, in the order of the names.
        seed: Of the generator; None where there is no chance in it.
        sources: SHA-256 of every file that it drew from, hex, in order.
        rows: The rows of the first file that are in it, from 1, ascending.
    """

    generator: Generator
    parameters: tuple[tuple[str, str], ...] = ()
    seed: int | None = None
    sources: tuple[str, ...]
    rows: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.sources or not all(_SHA256.fullmatch(one) for one in self.sources):
            raise RecordsError("expected the SHA-256 of every source file, in hex")
        if any(row < 1 for row in self.rows) or sorted(set(self.rows)) != list(self.rows):
            raise RecordsError("expected source rows from 1, ascending, each once")
        if self.seed is not None and not 0 <= self.seed < _MOST_SEED:
            raise RecordsError(f"expected a seed in [0, 2**53), got {self.seed}")
        names = [name for name, _ in self.parameters]
        if sorted(set(names)) != names:
            raise RecordsError("expected every setting once, in the order of the names")

    def to_json(self) -> dict[str, Json]:
        """Return the origin as canonical JSON takes it."""
        found: dict[str, Json] = {
            "generator": self.generator.value,
            "parameters": dict(self.parameters),
            "sources": list(self.sources),
            "rows": list(self.rows),
        }
        if self.seed is not None:
            found["seed"] = self.seed
        return found

    @classmethod
    def from_json(cls, found: Mapping[str, object]) -> Provenance:
        """Read what `to_json` gave.

        Raises:
            RecordsError: If it is anything else.
        """
        expected = {"generator", "parameters", "sources", "rows"}
        parameters, sources, rows = (found.get(k) for k in ("parameters", "sources", "rows"))
        seed = found.get("seed")
        if (
            found.keys() - {"seed"} != expected
            or found["generator"] not in list(Generator)
            or not isinstance(parameters, dict)
            or not isinstance(sources, list)
            or not isinstance(rows, list)
            or not all(type(row) is int for row in rows)
            or not (seed is None or type(seed) is int)
        ):
            raise RecordsError("expected the origin of a public text, got something else")
        return cls(
            generator=Generator(str(found["generator"])),
            parameters=tuple(sorted((str(k), str(v)) for k, v in parameters.items())),
            seed=seed,
            sources=tuple(str(one) for one in sources),
            rows=tuple(rows),
        )
