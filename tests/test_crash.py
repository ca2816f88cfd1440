"""The crash harness finds what it looks for, and in a short run nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from simulations.simulate import Options, simulate
from tests.crash import uncovered
from tests.simulations import tiny_study


@pytest.mark.slow
def test_a_delta_or_a_vector_without_an_entry_is_counted(tmp_path: Path) -> None:
    """A draw that nobody reserved, and a ledger that lost what the coordinator received."""
    study, out = tiny_study.make(tmp_path / "study", rounds=2), tmp_path / "run"
    simulate(study.file, out, Options())
    assert [uncovered(out, region) for region in tiny_study.REGIONS] == [0] * 5
    extra = out / "regions" / "b" / "deltas" / "round-00007-draw-1.f32"
    extra.write_bytes(b"drawn in secret")
    assert uncovered(out, "b") == 1
    other = out / "regions" / "c" / "ledger.db"
    (out / "regions" / "a" / "ledger.db").replace(other)
    assert uncovered(out, "c") >= 1


@pytest.mark.slow
def test_a_few_kills_under_count_nothing() -> None:
    """The long run is ``make crash``; in a process of its own, because it forks."""
    ended = subprocess.run(
        [sys.executable, "-m", "tests.crash", "--writer", "5", "--federation", "2"],
        cwd=Path(__file__).parents[1],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=500,
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    assert ended.stdout.splitlines()[-1] == "7 kills, 0 under-counted"
