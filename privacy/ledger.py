"""A region's ledger: the only door through which privacy budget is spent.

The order that makes a crash harmless:

    context → reserve → train → store the payload → release → mask → send → bytes leave
    → reveal → shares leave → sum

Each step is on the disk before the next begins. A process killed anywhere may have reserved
more than it released, never released more than it reserved. A reserve is never given back:
otherwise whoever can kill the process could draw noise until he likes the result.

Several processes may share one ledger; each append reads what the others wrote, under SQLite's
write lock, before it decides.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from privacy.canonical import Json
from privacy.charging import approve
from privacy.errors import LedgerClockError, LedgerCorruptError, LedgerError, UnknownEntryError
from privacy.guarantee import Bound, Guarantee, Neighbours, Unit
from privacy.ledger_entries import (
    Account,
    Context,
    Entry,
    Genesis,
    Note,
    Payload,
    Release,
    Reserve,
    Reveal,
    Send,
    Sum,
    body_hash,
)
from privacy.ledger_file import LedgerFile
from privacy.ledger_state import LedgerState, fold, fold_all
from privacy.plan import Plan
from privacy.tree import leaf_hash, root

# Time services correct a clock by seconds; a region that finds itself further in the past runs
# from an old snapshot or has a wrong clock, and its times would mislead an auditor.
CLOCK_TOLERANCE_S = 300


@dataclass(frozen=True, slots=True)
class BudgetView:
    """One limit of one account, and what became of it.

    Attributes:
        lineage: The account.
        unit: The privacy unit of the limit.
        neighbours: Its neighbouring relation.
        granted: The limit.
        charged: The sum over approved plans: what the region claims.
        left: What a new plan may cost.
        max_steps: Steps that the approved plans allow.
        reserved_steps: Steps spent.
        executed_steps: Steps whose payload was released; for information, no guarantee.
    """

    lineage: str
    unit: Unit
    neighbours: Neighbours
    granted: Guarantee
    charged: Guarantee
    left: Guarantee
    max_steps: int
    reserved_steps: int
    executed_steps: int


class Ledger:
    """A region's ledger, open for reading and appending.

    Make one by ``create`` or ``open``; use it as a context manager or ``close`` it. Threads may
    share it; a forked process must open its own.
    """

    def __init__(self, file: LedgerFile, *, clock: Callable[[], int]) -> None:
        self._file = file
        self._clock = clock
        self._lock = threading.RLock()
        self._process = os.getpid()
        self._state = LedgerState()

    @classmethod
    def create(cls, path: Path, *, region: str, clock: Callable[[], int]) -> Self:
        """Create a ledger whose first entry names its region.

        Args:
            path: A path on a local disk, where nothing is yet.
            region: The region's name, as in the plan.
            clock: Returns Unix seconds.

        Raises:
            LedgerStorageError: If something is there, or the disk is full, read-only or remote.
        """
        ledger = cls(LedgerFile.create(path), clock=clock)
        ledger._append(lambda _: Genesis(region=region))
        return ledger

    @classmethod
    def open(cls, path: Path, *, clock: Callable[[], int]) -> Self:
        """Open a ledger and check every entry of it.

        Raises:
            LedgerStorageError: If there is none, or its disk is remote.
            LedgerVersionError: If a later release wrote it.
            LedgerCorruptError: If an entry was changed, dropped or moved.
            UnknownEntryError: If it holds a kind that this release does not know.
        """
        file = LedgerFile.open(path)
        ledger = cls(file, clock=clock)
        try:
            if not ledger.state.size:
                raise LedgerCorruptError(
                    f"expected a first entry in {path}, got none; its creation was cut off: "
                    "delete the file and create the ledger again"
                )
        except LedgerError:
            file.close()
            raise
        return ledger

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

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

    def bodies(self) -> tuple[bytes, ...]:
        """Return every entry as it is stored, for a report or a copy."""
        with self._lock:
            return tuple(self._file.bodies())

    def entries(self) -> tuple[Entry, ...]:
        """Return every entry, checked.

        Raises:
            LedgerError: If the stored bodies are not a ledger any more.
        """
        bodies = self.bodies()
        fold_all(bodies)
        return tuple(map(Entry.from_bytes, bodies))

    def budget(self) -> tuple[BudgetView, ...]:
        """Return one view for each limit of each account."""
        state = self.state
        return tuple(
            _view(state, lineage, limit)
            for lineage, account in state.accounts.items()
            for limit in account.limits
        )

    def open_account(self, lineage: str, limits: Sequence[Bound]) -> None:
        """Grant a lineage of data its budget, once.

        Args:
            lineage: The data's name, the same for all its versions.
            limits: One for each unit and relation that counts here.

        Raises:
            DuplicateEntryError: If the lineage has its account.
            LedgerError: If there is no limit, or two for one relation.
        """
        self._append(lambda _: Account(lineage=lineage, limits=tuple(limits)))

    def admit_plan(
        self, plan: Plan, region: str, approved_by: str, *, lineage: str | None = None
    ) -> None:
        """Approve a plan: charge all of it, in every unit and relation the account limits.

        The charge is computed here, from the plan, before the lock is taken.

        Args:
            plan: What the steward read.
            region: This ledger's region.
            approved_by: The steward's name, or ``simulation``.
            lineage: The account that pays; may be left out while there is one only.

        Raises:
            BudgetExceededError: If the account has not enough left.
            LineageRefusedError: If the plan's teacher may depend on the region's records.
            PlanRefusedError: If the plan is not for this region, or cannot be charged in a unit
                or relation that the account limits.
            UnknownEntryError: If the account is not open.
            DuplicateEntryError: If the plan was approved before.
        """
        state = self.state
        if region != state.region:
            raise LedgerError(f"this is the ledger of {state.region!r}, not of {region!r}")
        name = _account_name(state, lineage)
        approval = approve(
            plan,
            region=region,
            lineage=name,
            limits=state.accounts[name].limits,
            approved_by=approved_by,
        )
        self._append(lambda _: approval)

    def accept_context(self, plan_hash: str, round_: int, attempt: int, context: bytes) -> None:
        """Record that this region takes part in a round under this configuration.

        Raises:
            ReplayedContextError: If it was accepted before, or is not after the last one.
            UnknownEntryError: If the plan was not approved here.
        """
        entry = Context(plan=plan_hash, round=round_, attempt=attempt, context=context.hex())
        self._append(lambda _: entry)

    def reserve(self, plan_hash: str, round_: int, component: str, steps: int) -> int:
        """Spend ``steps`` and return the number of the draw that may now be made.

        Guarantees: on the disk before it returns, and never given back.

        Raises:
            BudgetExceededError: If the component has fewer steps left.
            DuplicateEntryError: If the round was released: noise is not drawn again.
            UnknownEntryError: If the plan or the component is not approved here.
        """

        def next_draw(state: LedgerState) -> Reserve:
            draws = state.reserved(plan_hash, round_, component)
            return Reserve(plan_hash, round_, component, len(draws) + 1, steps)

        after = self._append(next_draw)
        return len(after.reserved(plan_hash, round_, component))

    def release(
        self,
        plan_hash: str,
        round_: int,
        component: str,
        draw: int,
        payload_sha256: str,
        payload_bytes: int,
    ) -> None:
        """Fix the one payload of a round; the same again changes nothing.

        Raises:
            MissingReserveError: If ``draw`` is not the latest reserve of this round.
            DuplicateEntryError: If another payload was released for it.
            UnknownEntryError: If the plan or the component is not approved here.
        """
        entry = Release(plan_hash, round_, component, draw, payload_sha256, payload_bytes)
        self._append(
            lambda state: None if state.released(plan_hash, round_, component) == entry else entry
        )

    def send(
        self,
        plan_hash: str,
        round_: int,
        component: str,
        context: bytes,
        wire_sha256: str,
        wire_bytes: int,
        destination: str,
    ) -> None:
        """Record masked bytes before they leave; the same again changes nothing.

        Raises:
            MissingReleaseError: If the round has no release.
            DuplicateEntryError: If other bytes left under this context.
            UnknownEntryError: If the context was not accepted for this round.
        """
        entry = Send(
            plan_hash, round_, component, context.hex(), wire_sha256, wire_bytes, destination
        )
        self._append(
            lambda state: None if state.sent(plan_hash, component, context) == entry else entry
        )

    def reveal(
        self,
        plan_hash: str,
        round_: int,
        context: bytes,
        survivors: Sequence[bytes],
        payload_sha256: str,
    ) -> None:
        """Record for whose sum this region gives its shares, before they leave.

        Args:
            plan_hash: The plan.
            round_: The round.
            context: The attempt, 32 bytes; accepted before.
            survivors: The regions in the sum, 16 bytes each, ascending.
            payload_sha256: This region's release in it.

        Raises:
            DuplicateEntryError: If shares of this round were given for other survivors.
            MissingReleaseError: If the round has no such release.
            UnknownEntryError: If the context was not accepted for this round.
        """
        uids = b"".join(survivors).hex()
        entry = Reveal(plan_hash, round_, context.hex(), uids, payload_sha256)
        self._append(lambda state: None if state.revealed(plan_hash, round_) == entry else entry)

    def record_sum(
        self, plan_hash: str, round_: int, transcript: str, survivors: Sequence[bytes]
    ) -> None:
        """Record a published sum before the model steps by it; the same again changes nothing.

        Args:
            plan_hash: The plan.
            round_: The round; the one after the last recorded.
            transcript: Hash of the signed messages that prove the survivors' consent, hex.
            survivors: The regions in the sum, 16 bytes each, ascending.

        Raises:
            DuplicateEntryError: If it is out of order, or over other survivors than this region
                gave its shares for.
            UnknownEntryError: If the plan was not approved here.
        """
        entry = Sum(plan_hash, round_, transcript, b"".join(survivors).hex())
        self._append(lambda state: None if state.sums(plan_hash).get(round_) == entry else entry)

    def root_at(self, size: int | None = None) -> tuple[int, bytes] | None:
        """Return a number of first entries and the root over them, or None if there are fewer.

        Whoever holds an earlier root tells with it a later state of this ledger from another one.

        Args:
            size: How many, from 1; None means all that there are.
        """
        with self._lock:
            leaves = [leaf_hash(body) for body in self._file.bodies()]
        size = len(leaves) if size is None else size
        return (size, root(leaves[:size])) if 1 <= size <= len(leaves) else None

    def note(self, topic: str, fields: Mapping[str, Json]) -> None:
        """Keep something that changes no budget, such as the result of a self-test.

        Raises:
            MalformedDocumentError: If ``fields`` holds floats or nulls.
        """
        self._append(lambda _: Note(topic=topic, content=fields))

    def _append(self, decide: Callable[[LedgerState], Payload | None]) -> LedgerState:
        """Read what is new, decide, check by ``fold``, write, commit; None writes nothing."""
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
        self._state = state

    def _require_own_process(self) -> None:
        if os.getpid() != self._process:
            raise LedgerError("this ledger was opened before a fork; open it again in the child")


def _account_name(state: LedgerState, lineage: str | None) -> str:
    """Return the account that is meant."""
    names = list(state.accounts)
    if lineage is None and len(names) == 1:
        return names[0]
    if lineage is None or lineage not in state.accounts:
        raise UnknownEntryError(
            f"expected the lineage of an open account ({', '.join(names) or 'none is open'}), "
            f"got {lineage!r}; open the account, or name the one that pays"
        )
    return lineage


def _view(state: LedgerState, lineage: str, limit: Bound) -> BudgetView:
    charged = state.accounts[lineage].charged[limit.relation]
    parts = [
        part
        for plan in state.plans.values()
        if plan.approval.lineage == lineage
        for part in plan.components.values()
    ]
    return BudgetView(
        lineage=lineage,
        unit=limit.unit,
        neighbours=limit.neighbours,
        granted=limit.guarantee,
        charged=charged,
        left=limit.guarantee.minus(charged),
        max_steps=sum(part.max_steps for part in parts),
        reserved_steps=sum(part.reserved_steps for part in parts),
        executed_steps=sum(part.executed_steps for part in parts),
    )
