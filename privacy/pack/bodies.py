"""A region's ledger as bodies, from the database that it is in or from an exported file.

Reading changes nothing in the folder: a database is read from a copy, since opening it would write
a log beside it; what was not folded into it yet is in its write-ahead log.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from privacy.ledger_file import LedgerFile


def read_bodies(folder: Path) -> Sequence[bytes] | None:
    """Return the bodies of ``ledger.db`` or ``ledger.jsonl`` in a folder, or None without either.

    Raises:
        LedgerVersionError: If a later release wrote the database.
        LedgerError: If it is damaged or cannot be read.
    """
    database, export = folder / "ledger.db", folder / "ledger.jsonl"
    if database.is_file():
        return _database_bodies(database)
    return from_lines(export.read_bytes()) if export.is_file() else None


def to_lines(bodies: Sequence[bytes]) -> bytes:
    """Return bodies as a file has them, one a line; canonical JSON holds no line's end."""
    return b"".join(body + b"\n" for body in bodies)


def from_lines(data: bytes) -> Sequence[bytes]:
    """Return the bodies of a file of lines."""
    return data.removesuffix(b"\n").split(b"\n") if data else []


def _database_bodies(database: Path) -> Sequence[bytes]:
    with tempfile.TemporaryDirectory(prefix="stillroom-") as scratch:
        for path in (database, database.with_name("ledger.db-wal")):
            if path.is_file():
                shutil.copyfile(path, Path(scratch, path.name))
        file = LedgerFile.open(Path(scratch, database.name))
        try:
            return file.bodies()
        finally:
            file.close()
