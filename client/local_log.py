"""The region's own log of what went wrong: the one place where an error keeps its text."""

import os
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class LocalLog:
    """A file that only its owner reads; nothing of it is ever sent.

    Attributes:
        path: The file.
    """

    path: Path

    def report(self, error: Exception) -> None:
        """Append one error: when, which kind, what it says, and what was noted on it."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        said = "; ".join((str(error), *getattr(error, "__notes__", ())))
        text = " ".join(said.splitlines())  # one line an error
        line = f"{stamp} {type(error).__name__}: {text}\n".encode(errors="backslashreplace")
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(descriptor, line)
        finally:
            os.close(descriptor)

    def last(self) -> str:
        """Return the latest line, or empty text."""
        if not self.path.exists():
            return ""
        return self.path.read_text(encoding="utf-8").rstrip("\n").rpartition("\n")[2]
