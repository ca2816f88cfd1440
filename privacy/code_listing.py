"""Which code ran, as a list that hashes: each source file's, and the versions of others' libraries.

Two hashes name the code of a run. A plan has one of all that runs in a region, which every region
approves; a region's self-test notes one of the trainer and its libraries in the ledger. Both can be
made from one list, so whoever has the list can tell what the hashes stand for, and that a table of
versions says the same. It is text, one item a line, sources before libraries:

    privacy/accountant.py 9b0c…
    torch 2.13.0
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from privacy.errors import MalformedDocumentError

REGION_CODE = ("client", "distillation", "privacy", "protocol", "server")
"""Packages whose sources a plan's hash of the code covers, in order."""
TRAINER_CODE = ("distillation", "privacy")
"""Those that a self-test's hash covers, with the libraries."""

MAX_BYTES = 1 << 20
_SOURCE = re.compile(r"([a-z_]+/[A-Za-z0-9_./-]+\.py) ([0-9a-f]{64})")
_LIBRARY = re.compile(r"([A-Za-z0-9._-]+) ([!-~]{1,80})")


@dataclass(frozen=True, slots=True)
class CodeListing:
    """The code of a run.

    Attributes:
        sources: SHA-256, hexadecimal, by package and file, in the order in which they are hashed.
        libraries: Versions by name.
    """

    sources: Mapping[str, str]
    libraries: Mapping[str, str]

    @classmethod
    def of(cls, packages: Mapping[str, Path], libraries: Mapping[str, str]) -> Self:
        """List the Python files of packages.

        Args:
            packages: The folder of each of ``REGION_CODE``.
            libraries: Versions by name.
        """
        sources = {
            f"{name}/{file.relative_to(packages[name]).as_posix()}": hashlib.sha256(
                file.read_bytes()
            ).hexdigest()
            for name in REGION_CODE
            for file in sorted(packages[name].rglob("*.py"))
        }
        return cls(sources, libraries)

    def to_bytes(self) -> bytes:
        """Return the lines."""
        items = (*self.sources.items(), *self.libraries.items())
        return "".join(f"{name} {what}\n" for name, what in items).encode("ascii")

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read the lines.

        Raises:
            MalformedDocumentError: For any other bytes, also where a name is there twice.
        """
        lines = data.decode("ascii", errors="replace").split("\n")[:-1]
        sources = [found for line in lines if (found := _SOURCE.fullmatch(line))]
        others = [_LIBRARY.fullmatch(line) for line in lines[len(sources) :]]
        listing = cls(
            {one[1]: one[2] for one in sources}, {one[1]: one[2] for one in others if one}
        )
        if listing.to_bytes() != data or len(data) > MAX_BYTES:
            raise MalformedDocumentError(
                "expected sources with their hashes, then libraries with their versions, one a "
                "line and each once"
            )
        return listing

    @property
    def region_hash(self) -> str:
        """What a plan names this code by."""
        total = hashlib.sha256()
        for name, digest in self._of(REGION_CODE):
            total.update(hashlib.sha256(name.encode()).digest())
            total.update(bytes.fromhex(digest))
        return total.hexdigest()

    @property
    def trainer_hash(self) -> str:
        """What a self-test names it by."""
        items = (*self._of(TRAINER_CODE), *self.libraries.items())
        return hashlib.sha256("".join(f"{a} {b}\n" for a, b in items).encode()).hexdigest()

    def _of(self, packages: Iterable[str]) -> list[tuple[str, str]]:
        return [
            (name, digest)
            for name, digest in self.sources.items()
            if name.partition("/")[0] in packages
        ]
