"""The ledger's file: an append-only table in SQLite, durable at every commit.

Knows bytes and sequence numbers, not what they mean. Write-ahead log with ``synchronous=FULL``:
a commit returns after fsync (sqlite.org/pragma.html#pragma_synchronous). Triggers refuse whatever
is no append, which stops mistakes. An attack they do not stop; it shows in the hash chain to
whoever holds the hash of a later entry, and to nobody else.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from privacy.errors import (
    LedgerBusyError,
    LedgerCorruptError,
    LedgerError,
    LedgerStorageError,
    LedgerVersionError,
)
from privacy.file_system import require_local

VERSION = 1
APPLICATION_ID = 0x53524C31  # "SRL1"
BUSY_TIMEOUT_S = 30.0

_SCHEMA = """
BEGIN IMMEDIATE;
CREATE TABLE entry (seq INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;
CREATE TRIGGER entry_no_update BEFORE UPDATE ON entry
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER entry_no_delete BEFORE DELETE ON entry
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER entry_in_order BEFORE INSERT ON entry
WHEN NEW.seq <> (SELECT coalesce(max(seq), 0) + 1 FROM entry)
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
"""
_STAMP = f"""
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {VERSION};
COMMIT;
"""

_BUSY = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_STORAGE = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PERM,
    }
)


class LedgerFile:
    """A list of bodies that only grows.

    Args:
        connection: An open connection in autocommit mode.
        path: Where the file is, for messages.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path

    @classmethod
    def create(cls, path: Path) -> LedgerFile:
        """Create an empty file, readable by its owner only.

        Raises:
            LedgerStorageError: If it exists, or the disk refuses it or is a network one.
        """
        require_local(path.parent)
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        except OSError as error:
            raise LedgerStorageError(
                f"expected to create {path}, got: {error.strerror}; a ledger is created once, "
                "in an existing directory: open the old one, or choose another path"
            ) from error
        with _explained(path):
            connection = _connect(path)
            connection.executescript(_SCHEMA + _STAMP)
        _sync_directory(path.parent)
        return cls(connection, path)

    @classmethod
    def open(cls, path: Path) -> LedgerFile:
        """Open an existing file.

        Raises:
            LedgerStorageError: If there is none, or its disk is a network one.
            LedgerVersionError: If a later release wrote it.
            LedgerCorruptError: If it is not a ledger.
        """
        if not path.is_file():
            raise LedgerStorageError(f"expected a ledger at {path}, got none; create it first")
        require_local(path)
        with _explained(path):
            connection = _connect(path)
            (application,) = connection.execute("PRAGMA application_id").fetchone()
            (version,) = connection.execute("PRAGMA user_version").fetchone()
        if application != APPLICATION_ID or version < 1:
            connection.close()
            raise LedgerCorruptError(f"expected a ledger at {path}, got another kind of database")
        if version > VERSION:
            connection.close()
            raise LedgerVersionError(
                f"expected a ledger of version {VERSION} or less, got {version}; update stillroom"
            )
        return cls(connection, path)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the write lock, across processes; leave without ``append`` to change nothing."""
        with _explained(self._path):
            self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            if self._connection.in_transaction:
                with _explained(self._path):
                    self._connection.execute("ROLLBACK")

    def append(self, seq: int, body: bytes) -> None:
        """Write one body and commit; it is on the disk when this returns.

        Raises:
            LedgerError: If it may not be on the disk; the caller must read again before it
                goes on.
        """
        with _explained(self._path):
            self._connection.execute("INSERT INTO entry (seq, body) VALUES (?, ?)", (seq, body))
            self._connection.execute("COMMIT")

    def bodies(self, *, start: int = 1) -> list[bytes]:
        """Return the bodies from ``start`` on, in order."""
        with _explained(self._path):
            rows = self._connection.execute(
                "SELECT body FROM entry WHERE seq >= ? ORDER BY seq", (start,)
            ).fetchall()
        return [row[0] for row in rows]

    def close(self) -> None:
        """Close the connection; closing twice is fine."""
        self._connection.close()


def _connect(path: Path) -> sqlite3.Connection:
    """Open in autocommit mode, durable; the caller serialises threads."""
    connection = sqlite3.connect(
        f"{path.resolve().as_uri()}?mode=rw",
        uri=True,
        timeout=BUSY_TIMEOUT_S,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _sync_directory(directory: Path) -> None:
    """Make the new file's name durable too."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into ours, with what to do."""
    try:
        yield
    except sqlite3.Error as error:
        raise _explain(error, path) from error


def _explain(error: sqlite3.Error, path: Path) -> LedgerError:
    # Some errors of the sqlite3 module itself (a closed connection) carry no code.
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in _BUSY:
        return LedgerBusyError(
            f"expected the write lock of {path} within {BUSY_TIMEOUT_S:.0f} s, another process "
            "kept it; stop that process, or wait and try again: nothing was written"
        )
    if code in _STORAGE:
        return LedgerStorageError(
            f"expected to write {path} durably, got: {error}; free disk space or repair the disk, "
            "then start again: nothing leaves the region until the ledger can be written"
        )
    if code in _DAMAGED:
        return LedgerCorruptError(
            f"expected a ledger at {path}, got: {error}; keep the file as it is, restore a copy "
            "and compare it with the checkpoints that others hold"
        )
    return LedgerError(f"the ledger {path} could not be used: {error}")
