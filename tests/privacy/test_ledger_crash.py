"""A process killed anywhere never sent what it had not paid for."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from privacy.ledger import Ledger
from privacy.ledger_state import fold_all
from tests.privacy.builders import noon, ready_ledger, small_plan

ROOT = Path(__file__).parents[2]
KILLS = 10

# Plays a region: goes on where the ledger says it stopped; the "server" is a file of lines.
WORKER = """
import hashlib, os, sys
from pathlib import Path
from privacy.ledger import Ledger
path, wire, plan = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
ledger = Ledger.open(path, clock=lambda: 1_800_000_000)
server = os.open(wire, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
print("up", flush=True)
last = ledger.state.last_round(plan)
round_, attempt = last if last else (1, 0)
while True:
    context = os.urandom(32)
    attempt += 1
    ledger.accept_context(plan, round_, attempt, context)
    release = ledger.state.released(plan, round_, "train")
    if release is None:
        draw = ledger.reserve(plan, round_, "train", 2)
        payload = os.urandom(16)
        digest = hashlib.sha256(payload).hexdigest()
        ledger.release(plan, round_, "train", draw, digest, 16)
    masked = hashlib.sha256(context).hexdigest()
    ledger.send(plan, round_, "train", context, masked, 16, "server")
    os.write(server, f"{round_} {masked}\\n".encode())
    round_, attempt = round_ + 1, 0
"""


def run_and_kill(path: Path, wire: Path, plan_hash: str, delay_s: float) -> None:
    """Start a region, let it work for a while after it is up, kill it without warning."""
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(path), str(wire), plan_hash],
        cwd=ROOT,
        stdout=subprocess.PIPE,
    )
    assert worker.stdout is not None
    assert worker.stdout.readline() == b"up\n"
    time.sleep(delay_s)
    assert worker.poll() is None, "the worker ended by itself"
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()
    worker.stdout.close()


@pytest.mark.slow
def test_a_kill_at_any_moment_only_ever_over_counts(tmp_path: Path) -> None:
    """Killed again and again, a region has paid for all that left, and for little more."""
    path, wire = tmp_path / "ledger.db", tmp_path / "wire"
    plan = small_plan(rounds=20_000, noise_multiplier="400")
    ready_ledger(path, plan).close()
    rng = random.Random(20_261_124)

    for _ in range(KILLS):
        run_and_kill(path, wire, plan.hash, delay_s=rng.uniform(0.0, 0.15))

    with Ledger.open(path, clock=noon) as ledger:
        state = fold_all(ledger.bodies())
        assert state == ledger.state
    train = state.plans[plan.hash].components["train"]
    arrived = [line.split() for line in wire.read_text().splitlines()]
    assert len(arrived) > KILLS, "the worker did nothing between the kills"
    assert {masked for _, masked in arrived} <= {s.wire_sha256 for s in train.sends.values()}
    assert {int(round_) for round_, _ in arrived} <= set(train.releases)
    assert set(train.releases) <= set(train.reserves)
    burnt = train.reserved_steps - train.executed_steps
    assert 0 <= burnt <= 2 * KILLS
