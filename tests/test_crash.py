"""The crash harness finds what it looks for, and in a short run nothing."""

from pathlib import Path
from random import Random

import pytest

from simulations.simulate import Options, simulate
from tests.crash import kill_federation, kill_writer, uncovered
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
def test_a_few_kills_under_count_nothing(tmp_path: Path) -> None:
    """The long run is ``make crash``."""
    (tmp_path / "writer").mkdir()
    assert kill_writer(tmp_path / "writer", 5, Random(1)) == 0
    assert kill_federation(tmp_path / "federation", 2, Random(1)) == 0
