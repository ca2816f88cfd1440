"""Which entry may come next, and what it makes of a ledger.

One pure function, ``fold(state, body)``, decides. The writer calls it before it writes; a
verifier calls it on a stranger's bodies; both therefore refuse the same things. Entries stand in
one chain, their times never go back, and each keeps the rules of its kind: those of
``ledger_grant_rules`` for what a steward enters, of ``ledger_round_rules`` for what a region does.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from privacy.errors import LedgerCorruptError
from privacy.ledger_entries import Entry, body_hash
from privacy.ledger_grant_rules import apply_grant
from privacy.ledger_grants import Account, Approval, Genesis, Merge, Note
from privacy.ledger_incidents import Freeze, Lift
from privacy.ledger_round_rules import apply_step
from privacy.ledger_values import AccountState, ComponentState, LedgerState, PlanState

__all__ = ["AccountState", "ComponentState", "LedgerState", "PlanState", "fold", "fold_all"]


def fold(state: LedgerState, body: bytes) -> LedgerState:
    """Return the state after ``body``, or refuse it.

    Guarantees: whatever bodies are folded, no component's reserved steps exceed its maximum and
    no account's charges exceed its limits.

    Raises:
        LedgerError: If the body is damaged, out of place, or breaks a rule above.
        BudgetExceededError: If it would spend more than the account or the component has left.
    """
    entry = Entry.from_bytes(body)
    if (entry.seq, entry.previous) != (state.size + 1, state.head):
        raise LedgerCorruptError(
            f"expected entry {state.size + 1} after {state.head[:16]}…, got entry {entry.seq} "
            f"after {entry.previous[:16]}…; an entry was changed, dropped or moved"
        )
    if entry.time < state.time:
        raise LedgerCorruptError(
            f"expected a time of at least {state.time}, got {entry.time} in entry {entry.seq}"
        )
    if (state.size == 0) != isinstance(entry.payload, Genesis):
        raise LedgerCorruptError(
            f"expected exactly one genesis entry, the first; entry {entry.seq} is "
            f"{entry.payload.KIND}"
        )
    payload = entry.payload
    after = (
        apply_grant(payload, state)
        if isinstance(payload, Genesis | Account | Merge | Approval | Freeze | Lift | Note)
        else apply_step(payload, state)
    )
    return replace(after, size=entry.seq, head=body_hash(body), time=entry.time)


def fold_all(bodies: Iterable[bytes]) -> LedgerState:
    """Return the state after all ``bodies``, from an empty ledger; see ``fold``."""
    state = LedgerState()
    for body in bodies:
        state = fold(state, body)
    return state
