"""``stillroom region halt`` and ``resume``: the steward's stop, and what had left by then."""

from dataclasses import dataclass

from client.folder import RegionFolder
from client.halt import (
    Halt,
    halted,
    record_halt,
    record_resume,
    remove_halt,
    write_halt,
)
from privacy.errors import PrivacyError
from privacy.ledger_state import LedgerState
from stillroom.exits import Exit
from stillroom.region_opening import leave, now, open_ledger


@dataclass(frozen=True, slots=True)
class Stopped:
    """A halted region.

    Attributes:
        halt: Since when and why.
        before: Whether it was halted before.
        sends: Masked updates that have left, all plans together.
    """

    halt: Halt
    before: bool
    sends: int


def halt_region(folder: RegionFolder, *, reason: str) -> Stopped:
    """Halt a region; the ledger's note comes after the stop, which holds without it.

    Raises:
        RegionFolderError: If no region is there.
    """
    before = halted(folder) is not None
    stop = write_halt(folder, reason=reason, now=now())
    try:
        with open_ledger(folder) as ledger:
            record_halt(ledger)
            sends = _sends(ledger.state)
    except PrivacyError as error:
        leave(f"the region is halted, but its ledger does not say so: {error}", Exit.INCOMPLETE)
    return Stopped(stop, before, sends)


def resume_region(folder: RegionFolder) -> bool:
    """Let a region go on, and return whether it was halted; the ledger's note comes first.

    Raises:
        LedgerError: If the ledger cannot be written; the region stays halted.
    """
    was_halted = halted(folder) is not None
    with open_ledger(folder) as ledger:
        record_resume(ledger)
    remove_halt(folder)
    return was_halted


def _sends(state: LedgerState) -> int:
    parts = (part for plan in state.plans.values() for part in plan.components.values())
    return sum(len(part.sends) for part in parts)
