"""Two packs of one account: what came between them, and that the later goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from privacy.pack import write_pack
from tests.verify.made_run import MadeRun, made_run
from verify.findings import Check, Outcome
from verify.pack_check import compare_packs


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[MadeRun, Path, Path]:
    """A run with a pack after its first round and one after its third."""
    folder = tmp_path_factory.mktemp("history")
    run = made_run(folder / "run", rounds=1)
    early, late = folder / "early.zip", folder / "late.zip"
    write_pack(run.root, early, run.pack_keys)
    run.play(2)
    write_pack(run.root, late, run.pack_keys)
    return run, early, late


def test_what_came_since_is_told_in_words(two: tuple[MadeRun, Path, Path]) -> None:
    """How many entries, what was charged, what was spent and sent."""
    run, early, late = two
    result = compare_packs(early, late, run.auditor_keys)
    told = "\n".join(result.notes)

    assert (result.outcome, result.findings) == (Outcome.HOLDS, ())
    assert told.count("12 entries since, from 2027-01-15") == 3
    assert told.count("was charged nothing more") == 3
    assert told.count("spent 4 steps, fixed 2 releases and sent 2 vectors (64 bytes)") == 3


def test_nothing_since_is_told_too(two: tuple[MadeRun, Path, Path]) -> None:
    """A pack compared with itself."""
    run, early, _ = two
    result = compare_packs(early, early, run.auditor_keys)

    assert result.notes == tuple(
        f"{name}: nothing was entered since" for name in ("east", "north", "west")
    )


def test_a_later_pack_that_does_not_go_on_is_refused(two: tuple[MadeRun, Path, Path]) -> None:
    """The two exchanged: the later one lacks what the earlier one had; nothing is told then."""
    run, early, late = two
    result = compare_packs(late, early, run.auditor_keys)

    assert result.outcome is Outcome.VIOLATED
    assert {one.region for one in result.findings} == {"east", "north", "west"}
    assert {one.check for one in result.findings} == {Check.HISTORY}
    assert all("does not begin with" in one.text for one in result.findings)
    assert result.notes == ()


def test_a_pack_of_others_is_refused(two: tuple[MadeRun, Path, Path], tmp_path: Path) -> None:
    """Accounts are compared under one registry only."""
    run, early, _ = two
    other = made_run(tmp_path / "other", seed="other", rounds=0)
    path = tmp_path / "other.zip"
    write_pack(other.root, path, other.pack_keys)

    assert compare_packs(path, early, run.auditor_keys).outcome is Outcome.VIOLATED
    assert compare_packs(early, tmp_path / "no.zip", run.auditor_keys).outcome is Outcome.INCOMPLETE
