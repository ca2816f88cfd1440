"""``make crash``: kill -9 at random moments, and count what was drawn or left without an entry.

A ledger's writer is killed again and again, then a whole federation with its coordinator and its
regions. Whatever is found outside a ledger must be in it: a drawn delta needs its reserve, a vector
that arrived its send, and shares were given for one list of survivors a round. The last line is
``N kills, M under-counted``; the status is 0 only if M is 0.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NoReturn

from privacy.ledger import Ledger
from privacy.ledger_entries import Reveal
from privacy.ledger_state import fold_all
from privacy.plan import TRAIN, Plan
from protocol.identity import region_uid
from protocol.messages import Masked
from simulations.run_folder import RunFolder
from simulations.simulate import Options, simulate
from tests.privacy.builders import noon, ready_ledger, small_plan
from tests.simulations import tiny_study

WRITER_KILLS, FEDERATION_KILLS = 180, 20
_START_S = 180.0  # a start takes seconds; a busy machine may take many times as long


def kill_in_a_fork(work: Callable[[], object], delay_s: float, *, watched: Path | None) -> None:
    """Do ``work`` in a child and kill it.

    Args:
        work: Never ends by itself.
        delay_s: When: so long after the child has begun, or has written to ``watched``.
        watched: A file that grows once the child is at work.

    Raises:
        RuntimeError: If the child ended by itself, or did nothing for so long.
    """
    before, until = _size(watched), time.monotonic() + _START_S
    child = os.fork()
    if child == 0:
        _work_to_the_end(work)
    while watched is not None and _size(watched) <= before and time.monotonic() < until:
        time.sleep(0.005)
    began = watched is None or _size(watched) > before
    time.sleep(delay_s)
    os.kill(child, signal.SIGKILL)
    if os.waitpid(child, 0)[1] != signal.SIGKILL or not began:
        raise RuntimeError("the child ended by itself, or did nothing: its kill shows nothing")


def _size(path: Path | None) -> int:
    return path.stat().st_size if path is not None and path.exists() else 0


def _work_to_the_end(work: Callable[[], object]) -> NoReturn:
    """Work in a child that says nothing and never comes back into the parent's code."""
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    try:
        work()
    finally:
        os._exit(0)


def write_without_end(path: Path, wire: Path, plan: str) -> None:
    """Play a region that goes on where its ledger says it stopped; the server is a file."""
    with Ledger.open(path, clock=noon) as ledger, wire.open("ab", buffering=0) as server:
        last = ledger.state.last_round(plan)
        round_, attempt = last if last else (1, 0)
        while True:
            context, attempt = os.urandom(32), attempt + 1
            ledger.accept_context(plan, round_, attempt, context)
            if ledger.state.released(plan, round_, TRAIN) is None:
                draw = ledger.reserve(plan, round_, TRAIN, 2)
                digest = hashlib.sha256(os.urandom(16)).hexdigest()
                ledger.release(plan, round_, TRAIN, draw, digest, 16)
            masked = hashlib.sha256(context).hexdigest()
            ledger.send(plan, round_, TRAIN, context, masked, 16, "server")
            server.write(f"{masked}\n".encode())
            round_, attempt = round_ + 1, 0


def _long_plan() -> Plan:
    """Return a plan whose noise is so strong that it pays for any number of rounds."""
    return small_plan(rounds=20_000, noise_multiplier="400")


def kill_writer(folder: Path, kills: int, chance: random.Random) -> int:
    """Kill a ledger's writer so often; return how many vectors arrived without a send."""
    path, wire, plan = folder / "ledger.db", folder / "wire", _long_plan()
    ready_ledger(path, plan).close()
    for _ in range(kills):
        work = partial(write_without_end, path, wire, plan.hash)
        kill_in_a_fork(work, chance.uniform(0, 0.03), watched=wire)
    with Ledger.open(path, clock=noon) as ledger:
        state = fold_all(ledger.bodies())
    train = state.plans[plan.hash].components[TRAIN]
    arrived = wire.read_text().splitlines()
    return len(set(arrived) - {send.wire_sha256 for send in train.sends.values()})


def kill_federation(folder: Path, kills: int, chance: random.Random) -> int:
    """Kill a whole federation so often; return how much it did without an entry.

    Every fourth kill may strike while it starts or resumes, the others between two vectors.
    """
    study, out = tiny_study.make(folder / "study", rounds=400), folder / "run"
    study.edit("[privacy]\nepsilon = 3", "[privacy]\nepsilon = 20")
    for number in range(kills):
        if not (out / "study.toml").exists():  # killed before there was anything to resume
            shutil.rmtree(out, ignore_errors=True)
        options = Options(resume=out.exists())
        early = number % 4 == 3
        kill_in_a_fork(
            partial(simulate, study.file, out, options),
            chance.uniform(0, 3 if early else 0.5),
            watched=None if early else out / "transcript.jsonl",
        )
    if not any(_arrived(out, region) for region in tiny_study.REGIONS):
        raise RuntimeError("no vector arrived between the kills: they show nothing")
    return sum(uncovered(out, region) for region in tiny_study.REGIONS)


def uncovered(out: Path, region: str) -> int:
    """Return how many deltas, vectors and reveals of a region its ledger does not cover."""
    folder = RunFolder(out).region(region)
    if not folder.ledger.exists():
        return 0
    with Ledger.open(folder.ledger, clock=lambda: 2**40) as ledger:
        state, entries = ledger.state, ledger.entries()
    draws = {path.name for path in (folder.root / "deltas").glob("*.f32")}
    sends, reserved, lists = set(), set(), dict[int, set[str]]()
    for plan in state.plans.values():
        part = plan.components[TRAIN]
        sends |= {(send.context, send.wire_sha256) for send in part.sends.values()}
        reserved |= {
            folder.delta(draw.round, draw.draw).name
            for drawn in part.reserves.values()
            for draw in drawn
        }
    for entry in entries:
        if isinstance(entry.payload, Reveal):
            lists.setdefault(entry.payload.round, set()).add(entry.payload.survivors)
    arrived = _arrived(out, region)
    twice = sum(len(found) - 1 for found in lists.values())
    return len(draws - reserved) + len(arrived - sends) + twice


def _arrived(out: Path, region: str) -> set[tuple[str, str]]:
    """Return context and hash of each vector, of one chunk, that the coordinator says came."""
    path, found = out / "transcript.jsonl", set[tuple[str, str]]()
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            event = json.loads(line)
        except ValueError:
            continue  # the line that a kill tore
        if event["event"] == "masked" and event["uid"] == region_uid(region).hex():
            masked = Masked.from_bytes(bytes.fromhex(event["message"]))
            (only,) = masked.chunk_hashes
            found.add((masked.context.hex(), only.hex()))
    return found


def main() -> int:
    """Kill as often as asked; print the count last."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--writer", type=int, default=WRITER_KILLS)
    parser.add_argument("--federation", type=int, default=FEDERATION_KILLS)
    parser.add_argument("--seed", type=int, default=20_261_124)
    asked = parser.parse_args()
    chance = random.Random(asked.seed)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "writer").mkdir()
        missing = kill_writer(Path(folder) / "writer", asked.writer, chance)
        missing += kill_federation(Path(folder) / "federation", asked.federation, chance)
    print(f"{asked.writer + asked.federation} kills, {missing} under-counted")
    return int(missing > 0)


if __name__ == "__main__":
    sys.exit(main())
