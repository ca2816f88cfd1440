"""A region's ledger: the only door through which privacy budget is spent.

The order that makes a crash harmless; each step is on the disk before the next begins:

    accept_context   this round's configuration, which no later round may repeat
    reserve          the steps are spent from here on
    (train)          noise is drawn
    (store)          the delta is on the disk, fsynced
    release          its hash: the round's one payload
    (mask)
    send             the hash of the masked bytes
    (bytes leave)
    reveal           for whose sum the shares are given
    (shares leave)
    record_sum       what was published

A process killed anywhere may have reserved more than it released, never released more than it
reserved:

    killed after      at the next start
    reserve           the draw is lost and stays paid for; a second reserve pays for a second draw
    release           the stored delta is sent; noise is not drawn again for this round
    send              the same bytes again under the same context, or the same delta under new masks
    reveal            shares for the same survivors only

A reserve is never given back: otherwise whoever can kill the process could draw noise until he
likes the result.

Several processes may share one ledger; each append reads what the others wrote, under SQLite's
write lock, before it decides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from privacy.canonical import Json
from privacy.charging import approve
from privacy.errors import LedgerError
from privacy.guarantee import Bound
from privacy.ledger_entries import Entry
from privacy.ledger_grants import Account, Genesis, Merge, Note
from privacy.ledger_incidents import Freeze, Lift
from privacy.ledger_log import LedgerLog
from privacy.ledger_rounds import RoundEntries
from privacy.ledger_state import fold_all
from privacy.ledger_values import LedgerState
from privacy.ledger_view import BudgetView, account_name, budget_of
from privacy.plan import Plan
from privacy.tree import consistency_proof, root

__all__ = ["BudgetView", "Ledger"]


class Ledger(RoundEntries):
    """A region's ledger, open for reading and appending.

    The caller keeps the order of the module's description: ``reserve`` before noise is drawn,
    ``release`` once the delta is on the disk, ``send`` before the masked bytes leave, ``reveal``
    before the shares do. The ledger refuses what comes out of order, and cannot see what was done
    without it.

    Guarantees:
      - no component's steps exceed the plan's, and no account owes more than its limits;
      - whatever a method wrote is on the disk when it returns, or it raised;
      - ``reserve`` gives nothing back; ``release``, ``send``, ``reveal`` and ``record_sum`` may be
        repeated with the same content, which writes nothing, and never with another;
      - nothing written before was changed, dropped or moved, as far as this process has read it; an
        older copy under a new process is told by checkpoints that others hold (``client``).

    Make one by ``create`` or ``open``; use it as a context manager or ``close`` it. Threads may
    share it; a forked process must open its own.
    """

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
        ledger = cls(LedgerLog.create(path, clock=clock))
        ledger._append(lambda _: Genesis(region=region))
        return ledger

    @classmethod
    def open(cls, path: Path, *, clock: Callable[[], int]) -> Self:
        """Open a ledger and check every entry of it.

        Args:
            path: Where it is, on a local disk.
            clock: Returns Unix seconds. A time up to 300 s before the last entry's is taken for a
                correction of the clock, and the last entry's time is written again.

        Raises:
            LedgerStorageError: If there is none, or its disk is remote.
            LedgerVersionError: If a later release wrote it.
            LedgerCorruptError: If an entry was changed, dropped or moved.
            UnknownEntryError: If it holds a kind that this release does not know.
        """
        return cls(LedgerLog.open(path, clock=clock))

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
        self._log.close()

    @property
    def state(self) -> LedgerState:
        """What all entries, other processes' too, add up to now."""
        return self._log.state

    def bodies(self) -> tuple[bytes, ...]:
        """Return every entry as it is stored, for a report or a copy."""
        return self._log.bodies()

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
        return budget_of(self.state)

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

    def merge_accounts(self, lineage: str, absorbed: str, approved_by: str) -> None:
        """Make one account of two, because a data set holds records of both lineages.

        What both owe adds up, and of their limits the lower one stays, for each unit and relation.

        Raises:
            BudgetExceededError: If they owe more than that together: the overlap must be dropped.
            UnknownEntryError: If one of the accounts is not open.
            LedgerError: If they limit different units or relations.
        """
        self._append(lambda _: Merge(lineage, absorbed, approved_by))

    def freeze(
        self, lineage: str, reason: str, *, evidence: Mapping[str, Json], frozen_by: str
    ) -> None:
        """Stop an account: nothing is approved, trained, released or sent under it any more.

        Raises:
            UnknownEntryError: If the account is not open.
            LedgerError: If there is no reason.
        """
        self._append(
            lambda state: Freeze(account_name(state, lineage), reason, evidence, frozen_by)
        )

    def lift(
        self,
        lineage: str,
        charges: Sequence[Bound],
        reason: str,
        *,
        lifted_by: str,
        sign: Callable[[bytes, bytes], bytes],
    ) -> None:
        """Use a frozen account again, and charge it what the finding shows, at least.

        Args:
            lineage: Whose account.
            charges: One for each of its limits.
            reason: What the cause was, and why it cannot come again.
            lifted_by: Who answers for that.
            sign: Returns the region's signature, 64 bytes, of what is said and of the hash of the
                entry before, 32 bytes.

        Raises:
            BudgetExceededError: If it cannot pay that: then it stays frozen.
            LedgerError: If it is not frozen, or reason, name or a limit's charge is missing.
        """

        def signed(state: LedgerState) -> Lift:
            name = account_name(state, lineage)
            lift = Lift(name, tuple(charges), reason, lifted_by, signature="")
            return replace(lift, signature=sign(lift.said, bytes.fromhex(state.head)).hex())

        self._append(signed)

    def record_data_version(self, lineage: str, fingerprint: str) -> None:
        """Note that a lineage's data changed: the budget stays the one of all its versions.

        Args:
            lineage: Whose data; its account is open.
            fingerprint: A keyed hash of the records, hexadecimal; an unkeyed one would let a
                reader of the ledger test guesses.

        Raises:
            UnknownEntryError: If the lineage has no account.
        """
        self._append(
            lambda state: Note(
                "data-version",
                {"lineage": account_name(state, lineage), "fingerprint": fingerprint},
            )
        )

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
        name = account_name(state, lineage)
        approval = approve(
            plan,
            region=region,
            lineage=name,
            limits=state.accounts[name].limits,
            approved_by=approved_by,
            plans_on_record=state.paid_by(name),
        )
        self._append(lambda _: approval)

    def root_at(self, size: int | None = None) -> tuple[int, bytes] | None:
        """Return a number of first entries and the root over them, or None if there are fewer.

        Whoever holds an earlier root tells with it a later state of this ledger from another one.

        Args:
            size: How many, from 1; None means all that there are.
        """
        leaves = self._log.leaves
        size = len(leaves) if size is None else size
        return (size, root(leaves[:size])) if 1 <= size <= len(leaves) else None

    def growth(self, old: int, size: int) -> tuple[bytes, ...]:
        """Return the hashes that prove that ``size`` entries begin with the first ``old`` of them.

        Args:
            old: The number that a witness has seen; 0 needs no proof.
            size: The number that the proof leads to.

        Raises:
            ValueError: If there are not so many entries, or ``old`` is more than ``size``.
        """
        leaves = self._log.leaves
        if not 0 <= old <= size <= len(leaves):
            raise ValueError(f"expected 0 <= {old} <= {size} <= {len(leaves)} entries")
        return consistency_proof(leaves[:size], old) if old else ()

    def note(self, topic: str, fields: Mapping[str, Json]) -> None:
        """Keep something that changes no budget, such as the result of a self-test.

        Raises:
            MalformedDocumentError: If ``fields`` holds floats or nulls.
        """
        self._append(lambda _: Note(topic=topic, content=fields))
