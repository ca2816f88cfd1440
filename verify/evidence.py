"""Reading a stranger's ledgers: nothing in the folder changes, a database is read from a copy."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from privacy.charging import charged_epsilon
from privacy.errors import LedgerVersionError, PrivacyError, UnknownEntryError
from privacy.ledger_entries import Approval, Entry
from privacy.ledger_file import LedgerFile
from privacy.ledger_state import LedgerState, fold_all
from verify.errors import ContradictedError, MissingEvidenceError


def region_folder(folder: Path, region: str) -> Path:
    """Return where the region's ledger is, inside the run's folder and nowhere else.

    Raises:
        ContradictedError: If the name is a path.
    """
    if Path(region).name != region:
        raise ContradictedError(f"expected the name of a region, got the path {region[:80]!r}")
    return folder / "regions" / region


def read_state(folder: Path) -> LedgerState:
    """Read and fold a region's ledger, and compute each of its charges anew.

    Raises:
        MissingEvidenceError: If there is no ledger, or this release cannot read it.
        ContradictedError: If it breaks its own rules.
    """
    bodies = read_bodies(folder)
    try:
        entries = [Entry.from_bytes(body) for body in bodies]
    except (UnknownEntryError, LedgerVersionError) as error:
        raise MissingEvidenceError(str(error)) from error
    except PrivacyError as error:
        raise ContradictedError(str(error)) from error
    try:
        state = fold_all(bodies)
        for entry in entries:
            if isinstance(entry.payload, Approval):
                _check_charges(entry.payload)
    except PrivacyError as error:
        raise ContradictedError(f"the ledger breaks its own rules: {error}") from error
    return state


def read_bodies(folder: Path) -> Sequence[bytes]:
    """Return the bodies of the ledger in a region's folder, and change nothing there.

    Raises:
        MissingEvidenceError: If there is no ledger, or this release cannot read it.
        ContradictedError: If the file is damaged.
    """
    database, export = folder / "ledger.db", folder / "ledger.jsonl"
    if database.is_file():
        return _database_bodies(database)
    if export.is_file():
        return export.read_bytes().splitlines()
    raise MissingEvidenceError(
        f"expected ledger.db or ledger.jsonl in {folder}, got neither; ask the region for it"
    )


def _database_bodies(database: Path) -> Sequence[bytes]:
    with tempfile.TemporaryDirectory(prefix="stillroom-") as scratch:
        # Opening would write a log beside the evidence; what was not folded into the database
        # yet is in its write-ahead log.
        for path in (database, database.with_name("ledger.db-wal")):
            if path.is_file():
                shutil.copyfile(path, Path(scratch, path.name))
        try:
            file = LedgerFile.open(Path(scratch, database.name))
        except LedgerVersionError as error:
            raise MissingEvidenceError(str(error)) from error
        except PrivacyError as error:
            raise ContradictedError(f"{database.name} cannot be read: {error}") from error
        try:
            return file.bodies()
        except PrivacyError as error:
            raise ContradictedError(f"{database.name} cannot be read: {error}") from error
        finally:
            file.close()


def _check_charges(approval: Approval) -> None:
    """Refuse an approval that charged less than its events cost."""
    for charge in approval.charges:
        event = approval.event_for(charge.unit)
        if event is None:
            raise ContradictedError(
                f"the plan {approval.plan[:16]}… was charged {charge}, and a plan on records that "
                "declares no cap says nothing about persons"
            )
        cost = charged_epsilon(event, delta=charge.delta, neighbours=charge.neighbours)
        if cost > charge.epsilon:
            raise ContradictedError(
                f"the plan {approval.plan[:16]}… was charged {charge}, "
                f"and its events cost ε = {cost} at that δ"
            )
