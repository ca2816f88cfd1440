"""Where evidence is read from: a run's folder or a pack, by the same relative names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from privacy.pack.container import Container


class Files(Protocol):
    """Files of one run, by relative names with forward slashes."""

    def names(self, folder: str) -> list[str]:
        """Return the names of the files in a folder, without it, ascending."""
        ...

    def read(self, path: str) -> bytes | None:
        """Return a file's contents, or None if there is none."""
        ...


@dataclass(frozen=True, slots=True)
class FolderFiles:
    """The files below a folder."""

    root: Path

    def names(self, folder: str) -> list[str]:
        """Return the names of the files in a folder, without it, ascending."""
        return sorted(path.name for path in (self.root / folder).glob("*") if path.is_file())

    def read(self, path: str) -> bytes | None:
        """Return a file's contents, or None if there is none."""
        file = self.root / path
        return file.read_bytes() if file.is_file() else None


@dataclass(frozen=True, slots=True)
class PackFiles:
    """The files in an open pack whose manifest was checked."""

    container: Container

    def names(self, folder: str) -> list[str]:
        """Return the names of the files in a folder, without it, ascending."""
        head = f"{folder}/"
        return [path.removeprefix(head) for path in self.container.items if path.startswith(head)]

    def read(self, path: str) -> bytes | None:
        """Return a file's contents, or None if there is none."""
        return self.container.read(path) if path in self.container.items else None
