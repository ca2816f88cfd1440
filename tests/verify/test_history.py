"""Two packs of one account: what came between them, and that the later goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from privacy.ledger_grants import Note
from privacy.ledger_incidents import Freeze
from privacy.pack import write_pack
from tests.verify.made_region import LINEAGE, made_plan
from tests.verify.made_run import MadeRun, made_run
from verify.findings import Check, Outcome
from verify.pack_check import check_pack, compare_packs


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
    assert "both packs are about one plan" in told
    assert "east, north, west: 12 entries since, on 2027-01-15" in told
    assert told.count("was charged nothing more") == 1
    assert "of 20 is left" in told
    assert f"going on with the plan {run.plan.hash[:16]}… it began 4 steps, fixed 2" in told
    assert "sent 2 vectors (64 bytes)" in told


def test_another_plan_and_what_came_with_it_is_told(tmp_path: Path) -> None:
    """A new version of the data, a second plan in one account, an account frozen in one region."""
    run = made_run(tmp_path / "run", rounds=1)
    early, late = tmp_path / "early.zip", tmp_path / "late.zip"
    write_pack(run.root, early, run.pack_keys)
    first = run.plan.hash
    for one in run.regions:
        one.add(Note("data-version", {"version": "2", "fingerprint": "ee" * 32}))
    run.go_on_with(made_plan(run.plan.cohort, rounds=3, noise_multiplier="10"), rounds=1)
    run.region("north").add(Freeze(LINEAGE, "an audit's bound", {}, "the steward"))
    run.write()
    write_pack(run.root, late, run.pack_keys)
    result = check_pack(late, run.auditor_keys)
    told = compare_packs(early, late, run.auditor_keys).notes

    assert (result.outcome, result.findings) == (Outcome.HOLDS, ())
    assert any(f"under another plan, {first[:16]}…" in note for note in result.notes)
    assert not any("not counted in any sum" in note for note in result.notes)
    assert {
        "since early.zip:",
        f"the plan is another: {first[:16]}… then, {run.plan.hash[:16]}… now",
        "in the plan, rounds was 4 and is now 3",
        "in the plan, noise multiplier (components, train, event) of east, north, west was 8 and "
        "is now 10",
    } <= set(told)
    for words in (
        "east, north, west: noted data-version on 2027-01-15 08:00 UTC: fingerprint "
        "eeeeeeeeeeeeeeee…, version 2",
        "east, north, west: approved the plan",
        "passed, code",
        "east, north, west: the account patients had been charged (ε = 0.133",
        "north: froze the account patients on 2027-01-15 08:00 UTC (the steward): an audit's bound",
        f"under the plan {run.plan.hash[:16]}… it began 2 steps, fixed 1 releases and sent 1",
    ):
        assert any(note.startswith(words) or words in note for note in told), words


def test_nothing_since_is_told_too(two: tuple[MadeRun, Path, Path]) -> None:
    """A pack compared with itself."""
    run, early, _ = two
    result = compare_packs(early, early, run.auditor_keys)

    assert result.notes[0] == "since early.zip:"
    assert result.notes[-1] == "east, north, west: nothing was entered since"
    assert len(result.notes) == 3


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
