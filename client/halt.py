"""A steward's stop: while the file ``halted.json`` is in a region's folder, nothing leaves it.

The file is the switch: it works beside a running client, and with a ledger that cannot be
opened. The ledger keeps when it was thrown, so that the pause shows in a report; the reason
stays in the file, because a ledger is shown to auditors.

The order makes a stop complete. The client looks for the file before a reserve, between the
reserve and the training, and before and after it makes an answer; the stop writes the file first
and the ledger's note second. So everything that left stands in the ledger before the note.
"""

import contextlib
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

from client.errors import HaltedError, RegionFolderError
from client.folder import RegionFolder, write_durably
from privacy.ledger import Ledger
from privacy.ledger_entries import Note

TOPIC = "halt"
_HALTED, _RESUMED = "halted", "resumed"


@dataclass(frozen=True, slots=True)
class Halt:
    """A region's stop.

    Attributes:
        since: Unix seconds; 0 if the file does not say.
        reason: What the steward wrote; it never leaves the region.
    """

    since: int
    reason: str


_UNKNOWN = Halt(since=0, reason="")
_NO_TIME = 1 << 33  # beyond it the calendar of some machines ends


def halt_file(folder: RegionFolder) -> Path:
    """Return the file whose presence halts the region, whatever it holds."""
    return folder.root / "halted.json"


def halted(folder: RegionFolder) -> Halt | None:
    """Return the stop that the region is under, or None; a damaged file halts as well."""
    path = halt_file(folder)
    if not os.path.lexists(path):
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        since, reason = int(found["since"]), str(found["reason"])
    except (OSError, ValueError, KeyError, TypeError):
        return _UNKNOWN
    return Halt(since, reason) if 0 <= since < _NO_TIME else _UNKNOWN


def require_running(folder: RegionFolder) -> None:
    """Go on only if the region is not halted.

    Raises:
        HaltedError: If it is; the reason is not in the message.
    """
    stop = halted(folder)
    if stop is None:
        return
    stamp = time.strftime(" since %Y-%m-%dT%H:%M:%SZ", time.gmtime(stop.since))
    raise HaltedError(
        f"this region is halted{stamp if stop.since else ''}: nothing is trained or sent until "
        "its steward resumes it (stillroom region resume)"
    )


def write_halt(folder: RegionFolder, *, reason: str, now: int) -> Halt:
    """Halt the region, durably; one that is halted keeps its first time and reason.

    Guarantees: once this returns, no client of this folder starts to train or hands out an
    answer; what it is training then may end, and stays in the region.

    Args:
        folder: The region's folder.
        reason: For the region's own people.
        now: Unix seconds.

    Raises:
        RegionFolderError: If no region is there.
    """
    _require_region(folder)
    before = halted(folder)
    if before is not None:
        return before
    stop = Halt(since=now, reason=reason)
    text = json.dumps({"since": now, "reason": reason}, ensure_ascii=False)
    write_durably(halt_file(folder), text.encode())
    halt_file(folder).chmod(0o600)
    return stop


def remove_halt(folder: RegionFolder) -> None:
    """Let the region go on, durably; one that is not halted stays as it is."""
    with contextlib.suppress(FileNotFoundError):
        halt_file(folder).unlink()
    directory = os.open(folder.root, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def record_halt(ledger: Ledger) -> None:
    """Have the ledger say that the region is halted; nothing is written if it says so."""
    _record(ledger, _HALTED)


def record_resume(ledger: Ledger) -> None:
    """Have the ledger say that the region goes on; nothing is written if it says so."""
    _record(ledger, _RESUMED)


def _record(ledger: Ledger, state: str) -> None:
    notes = [
        entry.payload.content.get("state")
        for entry in ledger.entries()
        if isinstance(entry.payload, Note) and entry.payload.topic == TOPIC
    ]
    if (notes[-1] if notes else _RESUMED) != state:
        ledger.note(TOPIC, {"state": state})


def _require_region(folder: RegionFolder) -> None:
    if not any(path.exists() for path in (folder.policy, folder.ledger)):
        raise RegionFolderError(
            f"there is no region in {folder.root}: name the folder that holds its policy.toml"
        )
