"""The ledger's bench, on so few entries that it shows the counts and not the speed."""

import importlib
from pathlib import Path
from types import ModuleType

import pytest

from verify.evidence import read_state

BENCH = Path(__file__).parents[1] / "bench"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return the bench, which is a script beside its helpers and no package."""
    monkeypatch.syspath_prepend(BENCH)
    return importlib.import_module("ledger")


def test_the_long_ledger_is_an_honest_one(bench: ModuleType, tmp_path: Path) -> None:
    """It opens and verifies, and every time is one."""
    figures = bench.long_ledger(tmp_path, 30, turns=2)
    assert figures["entries"] == 3 + 5 * 6
    assert all(figures[key] > 0 for key in ("open_s", "verify_s", "fold_s", "root_s"))
    assert read_state(tmp_path / "north").size == 33


def test_an_append_takes_time(bench: ModuleType, tmp_path: Path) -> None:
    figures = bench.appending(tmp_path / "ledger.db", 5)
    assert 0 < figures["median_ms"] <= figures["p95_ms"]


@pytest.mark.slow
def test_the_racers_take_what_there_is(bench: ModuleType, tmp_path: Path) -> None:
    figures = bench.racing(tmp_path / "ledger.db", 2, 20)
    assert figures["reserves"] == 20
    assert figures["per_second"] > 0
