"""An open ledger as a log: what is in it, what it adds up to, and how one more entry gets in.

Knows the chain, the clock and the file, and no single kind of entry: ``ledger`` decides what is
written, ``ledger_state`` whether it may be.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

from privacy.errors import LedgerClockError, LedgerCorruptError, LedgerError
from privacy.ledger_entries import Entry, Payload, body_hash
from privacy.ledger_file import LedgerFile
from privacy.ledger_state import fold
from privacy.ledger_values import LedgerState
from privacy.tree import leaf_hash

# Time services correct a clock by seconds; a region that finds itself further in the past runs
# from an old snapshot or has a wrong clock, and its times would mislead an auditor.
CLOCK_TOLERANCE_S = 300


class LedgerLog:
    """The entries of one ledger, read once and then only as far as they are new.

    Guarantees: what was read before is still in the file, under the same path, whenever something
    is appended. Threads may share it; a forked process must open its own.
    """

    def __init__(self, file: LedgerFile, *, clock: Callable[[], int]) -> None:
        self._file = file
        self._clock = clock
        self._lock = threading.RLock()
        self._process = os.getpid()
        self._state = LedgerState()
        self._leaves: list[bytes] = []

    @classmethod
    def create(cls, path: Path, *, clock: Callable[[], int]) -> Self:
        """Create an empty log; see ``Ledger.create``."""
        return cls(LedgerFile.create(path), clock=clock)

    @classmethod
    def open(cls, path: Path, *, clock: Callable[[], int]) -> Self:
        """Open a log and check every entry; see ``Ledger.open``."""
        file = LedgerFile.open(path)
        log = cls(file, clock=clock)
        try:
            if not log.state.size:
                raise LedgerCorruptError(
                    f"expected a first entry in {path}, got none; its creation was cut off: "
                    "delete the file and create the ledger again"
                )
        except LedgerError:
            file.close()
            raise
        return log

    def close(self) -> None:
        """Close the file; closing twice is fine."""
        with self._lock:
            self._file.close()

    @property
    def state(self) -> LedgerState:
        """What all entries, other processes' too, add up to now."""
        with self._lock:
            self._catch_up()
            return self._state

    @property
    def leaves(self) -> Sequence[bytes]:
        """The leaf hashes of all entries, for roots and proofs."""
        with self._lock:
            self._catch_up()
            return tuple(self._leaves)

    def bodies(self) -> tuple[bytes, ...]:
        """Return every entry as it is stored."""
        with self._lock:
            return tuple(self._file.bodies())

    def append(self, decide: Callable[[LedgerState], Payload | None]) -> LedgerState:
        """Read what is new, decide, check by ``fold``, write, commit; None writes nothing.

        Guarantees: all under the write lock, and on the disk before it returns. If it raises, the
        entry may or may not be there; the next call reads before it decides.
        """
        with self._lock:
            self._require_own_process()
            with self._file.writing():
                self._catch_up()
                payload = decide(self._state)
                if payload is None:
                    return self._state
                body = self._body(payload)
                after = fold(self._state, body)
                self._file.append(after.size, body)
            self._leaves.append(leaf_hash(body))
            self._state = after
            return after

    def _body(self, payload: Payload) -> bytes:
        state = self._state
        return Entry(
            seq=state.size + 1,
            time=self._time(state.time),
            previous=state.head,
            salt=os.urandom(16).hex(),
            payload=payload,
        ).to_bytes()

    def _time(self, last: int) -> int:
        """Return the clock's time, or the last entry's where the clock was set back a little."""
        now = self._clock()
        if now < last - CLOCK_TOLERANCE_S:
            raise LedgerClockError(
                f"expected a time near or after {last}, got {now}: the clock went back by "
                f"{last - now} s; set the clock, or find out who restored an old machine image"
            )
        return max(now, last)

    def _catch_up(self) -> None:
        """Fold what others appended, and see that what was read before is still there."""
        self._require_own_process()
        self._file.require_same_file()
        state = self._state
        bodies = self._file.bodies(start=max(state.size, 1))
        if state.size:
            if not bodies or body_hash(bodies[0]) != state.head:
                raise LedgerCorruptError(
                    f"expected entry {state.size} as it was read before, got another or none; "
                    "the file was replaced while it was open: stop, and compare the copies"
                )
            bodies = bodies[1:]
        for body in bodies:
            state = fold(state, body)
        self._leaves.extend(map(leaf_hash, bodies))
        self._state = state

    def _require_own_process(self) -> None:
        if os.getpid() != self._process:
            raise LedgerError("this ledger was opened before a fork; open it again in the child")
