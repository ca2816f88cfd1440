"""Where evidence is read from: a run's folder or a pack, by the same relative names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from privacy.pack.blocks import blocks_of, open_block
from privacy.pack.container import Container
from privacy.pack.errors import PackRefusedError


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


class PackFiles:
    """The files in an open pack whose manifest was checked; rounds in blocks are files like others.

    Raises:
        PackRefusedError: When it is made, if a block is none or a file is there twice.
    """

    def __init__(self, container: Container) -> None:
        self._container = container
        self._block: tuple[str, Container] | None = None  # the last one that was read
        self._homes = _homes(container)

    def names(self, folder: str) -> list[str]:
        """Return the names of the files in a folder, without it, ascending."""
        head = f"{folder}/"
        return sorted(path.removeprefix(head) for path in self._homes if path.startswith(head))

    def read(self, path: str) -> bytes | None:
        """Return a file's contents, or None if there is none."""
        home = self._homes.get(path)
        if not home:
            return None if home is None else self._container.read(path)
        if self._block is None or self._block[0] != home:
            self._block = home, open_block(self._container, home)
        return self._block[1].read(path)


def _homes(container: Container) -> dict[str, str]:
    """Return for each file the block that it is in; empty for what stands by itself."""
    homes = dict.fromkeys(container.items, "")
    for block in blocks_of(container):
        for path in open_block(container, block).items:
            if path in homes:
                raise PackRefusedError(f"{path} is in the pack twice: once in {block}")
            homes[path] = block
    return homes
