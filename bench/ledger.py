"""How fast a ledger is: durable appends, reserves of racing processes, opening, verifying.

An append is one reserve, from the call to its return, after fsync. It depends on the disk that the
temporary folder is on: beside it stands what the same disk takes for a write and an fsync alone.
The processes reserve from one plan at once, as fast as they can, and the count is checked: what
they took is what there was. SQLite's lock is not fair, so one of them may take most (``least`` is
what the unluckiest took); a region that trains between two reserves does not hold it. The long
ledger holds rounds of six entries; its times are given by the wall clock and as CPU time, which
other work on the machine does not change.
"""

from __future__ import annotations

import hashlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path

from measure import options, publish, say

from privacy.errors import BudgetExceededError
from privacy.events import Gaussian
from privacy.guarantee import Bound, Neighbours, Unit
from privacy.ledger import Ledger
from privacy.ledger_entries import Approval, Entry, Payload
from privacy.ledger_file import LedgerFile
from privacy.ledger_grants import Account, Genesis
from privacy.ledger_state import fold, fold_all
from privacy.ledger_steps import Context, Release, Reserve, Reveal, Send, Sum
from privacy.ledger_values import LedgerState
from verify.evidence import read_state

_PLAN = "ab" * 32
_UIDS = "01" * 16 + "02" * 16
_DIGEST = hashlib.sha256(b"delta").hexdigest()
_STEPS = 1_000_000
_PROCESSES = (1, 2, 4, 8)
_ENTRIES = 10_000
_TIME = 1_800_000_000


def main() -> None:
    """Measure and print; ``race`` is a process of the race."""
    if sys.argv[1:2] == ["race"]:
        race(Path(sys.argv[2]), int(sys.argv[3]))
        return
    asked = options(__doc__ or "")
    appends, reserves = (100, 200) if asked.quick else (500, 800)
    with tempfile.TemporaryDirectory(prefix="stillroom-") as folder:
        root = Path(folder)
        result: dict[str, object] = {
            "append": appending(root / "append.db", appends),
            "racing": {n: racing(root / f"race-{n}.db", n, reserves) for n in _PROCESSES},
            "long": long_ledger(root, _ENTRIES, turns=3 if asked.quick else 7),
        }
    publish(result, asked.out)


def new_ledger(path: Path, steps: int = _STEPS) -> None:
    """Make a ledger with one account and one plan, whose charge is not computed."""
    Ledger.create(path, region="north", clock=_clock).close()
    limit = Bound(Unit.RECORD, Neighbours.ADD_OR_REMOVE_ONE, Decimal(8), Decimal("0.0001"))
    with Ledger.open(path, clock=_clock) as ledger:
        ledger.open_account("patients", [limit])
        ledger._append(lambda _: _approval(steps, limit))


def appending(path: Path, count: int) -> Mapping[str, float]:
    """Return the times of durable appends in ms, and of the disk's own fsync."""
    new_ledger(path)
    with Ledger.open(path, clock=_clock) as ledger:
        times = _times(lambda: ledger.reserve(_PLAN, 0, "train", 1), count)
    with path.with_suffix(".raw").open("wb") as raw:

        def write() -> None:
            raw.write(bytes(4096))
            raw.flush()
            os.fsync(raw.fileno())

        disk = _times(write, count)
    say(f"append: {statistics.median(times):.2f} ms, fsync alone {statistics.median(disk):.2f} ms")
    return {
        "count": count,
        "median_ms": statistics.median(times),
        "p95_ms": statistics.quantiles(times, n=20)[-1],
        "fsync_median_ms": statistics.median(disk),
    }


def racing(path: Path, processes: int, reserves: int) -> Mapping[str, float]:
    """Let processes reserve threes from one plan until it is empty; return reserves a second."""
    new_ledger(path, steps=3 * reserves + 2)
    racers = [
        subprocess.Popen(
            [sys.executable, __file__, "race", str(path), str(3)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(processes)
    ]
    for racer in racers:
        _read(racer)
    began = time.perf_counter()
    for racer in racers:
        _go(racer)
    taken = [int(_read(racer)) for racer in racers]
    seconds = time.perf_counter() - began
    for racer in racers:
        racer.communicate()
    if sum(taken) != reserves:
        raise RuntimeError(f"expected {reserves} reserves in all, got {taken}")
    say(f"{processes} processes: {reserves / seconds:.0f} reserves a second")
    return {"reserves": reserves, "per_second": reserves / seconds, "least": min(taken)}


def race(path: Path, steps: int) -> None:
    """Reserve until the plan is empty; print how often."""
    with Ledger.open(path, clock=_clock) as ledger:
        print("up", flush=True)
        sys.stdin.readline()
        taken = 0
        while True:
            try:
                ledger.reserve(_PLAN, 0, "train", steps)
            except BudgetExceededError:
                break
            taken += 1
    print(taken, flush=True)


def long_ledger(root: Path, entries: int, *, turns: int) -> Mapping[str, float]:
    """Return the times to open a ledger of so many entries, and to verify it, in s."""
    home = root / "north"
    home.mkdir()
    path = home / "ledger.db"
    bodies = _rounds(entries)
    file = LedgerFile.create(path)
    connection = file._connection  # one transaction: the bench measures reading
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany("INSERT INTO entry VALUES (?, ?)", list(enumerate(bodies, start=1)))
    connection.execute("COMMIT")
    file.close()
    opened = _times(lambda: Ledger.open(path, clock=_clock).close(), turns)
    verified = _times(lambda: read_state(home), turns)
    open_cpu = _times(lambda: Ledger.open(path, clock=_clock).close(), turns, time.process_time)
    verify_cpu = _times(lambda: read_state(home), turns, time.process_time)
    with Ledger.open(path, clock=_clock) as ledger:
        signed = _times(ledger.root_at, turns)
    folded = _times(lambda: fold_all(bodies), turns)
    say(f"{len(bodies)} entries: opened in {min(opened):.0f} ms, verified in {min(verified):.0f}")
    return {
        "entries": len(bodies),
        "bytes": path.stat().st_size,
        "open_s": min(opened) / 1000,
        "open_median_s": statistics.median(opened) / 1000,
        "open_cpu_s": min(open_cpu) / 1000,
        "verify_s": min(verified) / 1000,
        "verify_median_s": statistics.median(verified) / 1000,
        "verify_cpu_s": min(verify_cpu) / 1000,
        "fold_s": min(folded) / 1000,
        "root_s": min(signed) / 1000,
    }


def _rounds(entries: int) -> list[bytes]:
    """Return the bodies of an honest ledger: whole rounds, at least so many entries."""
    limit = Bound(Unit.RECORD, Neighbours.ADD_OR_REMOVE_ONE, Decimal(8), Decimal("0.0001"))
    state, bodies = LedgerState(), list[bytes]()

    def add(*payloads: Payload) -> None:
        nonlocal state
        for payload in payloads:
            salt = os.urandom(16).hex()
            body = Entry(state.size + 1, _TIME, state.head, salt, payload).to_bytes()
            state = fold(state, body)
            bodies.append(body)

    add(Genesis("north"), Account("patients", (limit,)), _approval(_STEPS, limit))
    for round_ in range(entries):
        if len(bodies) >= entries:
            break
        context = hashlib.sha256(f"{round_}".encode()).hexdigest()
        add(
            Context(_PLAN, round_, 0, context),
            Reserve(_PLAN, round_, "train", 1, 1),
            Release(_PLAN, round_, "train", 1, _DIGEST, 64),
            Send(_PLAN, round_, "train", context, _DIGEST, 64, "coordinator"),
            Reveal(_PLAN, round_, context, _UIDS, _DIGEST),
            Sum(_PLAN, round_, _DIGEST, _UIDS),
        )
    return bodies


def _approval(steps: int, limit: Bound) -> Approval:
    # Noise so strong that the whole limit pays for it, whatever the number of steps.
    event = Gaussian(Decimal(10_000), steps)
    return Approval(_PLAN, "patients", Unit.RECORD, None, {"train": event}, (limit,), "bench")


def _times(
    work: Callable[[], object], count: int, clock: Callable[[], float] = time.perf_counter
) -> list[float]:
    """Return the time of each of ``count`` calls in ms."""
    times = []
    for _ in range(count):
        began = clock()
        work()
        times.append(1000 * (clock() - began))
    return times


def _clock() -> int:
    return _TIME


def _read(racer: subprocess.Popen[str]) -> str:
    if racer.stdout is None:
        raise RuntimeError("a racer has no output")
    return racer.stdout.readline()


def _go(racer: subprocess.Popen[str]) -> None:
    if racer.stdin is None:
        raise RuntimeError("a racer has no input")
    racer.stdin.write("go\n")
    racer.stdin.flush()


if __name__ == "__main__":
    main()
