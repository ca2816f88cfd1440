"""What the coordinator saw and signed, one JSON object a line, for whoever checks the run later.

Nothing private is in it: contexts, public keys, hashes of masked vectors, the published sums'
hashes. An auditor compares it with the regions' ledgers: every vector here has a send entry there.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Transcript:
    """An append-only file of events."""

    path: Path

    def __post_init__(self) -> None:
        drop_torn_line(self.path)

    def add(self, event: str, **fields: str | int | list[str]) -> None:
        """Append one event, durably; binary values are given as hex."""
        line = json.dumps({"event": event, **fields}, sort_keys=True, ensure_ascii=False)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
            file.flush()
            os.fsync(file.fileno())


def drop_torn_line(path: Path) -> None:
    """Cut off a last line that a crash left without its end: the next one would run into it."""
    if not path.exists():
        return
    whole = path.read_bytes()
    kept = whole.rfind(b"\n") + 1
    if kept < len(whole):
        os.truncate(path, kept)
