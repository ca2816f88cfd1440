"""The ledger's file: an append-only table in SQLite, durable at every commit.

Knows bytes and sequence numbers, not what they mean. Write-ahead log with ``synchronous=FULL``:
a commit returns after fsync (sqlite.org/pragma.html#pragma_synchronous). Triggers refuse whatever
is no append, which stops mistakes. An attack they do not stop; it shows in the hash chain to
whoever holds the hash of a later entry, and to nobody else.
"""

from __future__ import annotations

import os
import sqlite3
import time
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
_POLL_S = 0.001

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
        self._opened = _identity(path)

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
            self._lock()
        try:
            yield
        finally:
            if self._connection.in_transaction:
                with _explained(self._path):
                    self._connection.execute("ROLLBACK")

    def _lock(self) -> None:
        """Take the write lock as soon as it is free, for at most ``BUSY_TIMEOUT_S``.

        SQLite's own waiting backs off to 100 ms, which leaves a lock that is held for a few ms idle
        most of the time, and those who waited long behind those who just came.
        """
        until = time.monotonic() + BUSY_TIMEOUT_S
        self._connection.execute("PRAGMA busy_timeout = 0")
        try:
            while not self._began(until):
                time.sleep(_POLL_S)
        finally:
            self._connection.execute(f"PRAGMA busy_timeout = {round(1000 * BUSY_TIMEOUT_S)}")

    def _began(self, until: float) -> bool:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF not in _BUSY or time.monotonic() >= until:
                raise
            return False
        return True

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

    def require_same_file(self) -> None:
        """Check that the path still leads to the file that was opened.

        SQLite goes on in a file that was renamed or deleted; what it writes there is lost.

        Raises:
            LedgerCorruptError: If there is another file, or none.
        """
        if _identity(self._path) != self._opened:
            raise LedgerCorruptError(
                f"expected {self._path} to be the file that was opened, got another or none; the "
                "file was replaced while it was open: stop, and compare the copies"
            )

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


def _identity(path: Path) -> tuple[int, int] | None:
    """Return what tells a file from another one of the same name, or None if there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


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
