from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from privacy import ledger_file
from privacy.errors import (
    BudgetExceededError,
    DuplicateEntryError,
    LedgerBusyError,
    LedgerClockError,
    LedgerCorruptError,
    LedgerError,
    LedgerStorageError,
    LedgerVersionError,
    LineageRefusedError,
    MalformedDocumentError,
    PlanRefusedError,
    PrivacyError,
    ReplayedContextError,
    UnknownEntryError,
)
from privacy.guarantee import Limit, Neighbours, Unit
from privacy.ledger import Ledger
from privacy.ledger_entries import Note
from privacy.ledger_state import fold_all
from privacy.lineage import Declaration, TeacherLineage
from privacy.plan import Plan
from privacy.tree import is_consistent
from tests.privacy.builders import DIGEST, NOON, RECORD_LIMIT, noon, ready_ledger, small_plan

ROOT = Path(__file__).parents[2]
CONTEXT = b"\x01" * 32


@pytest.fixture
def plan() -> Plan:
    return small_plan()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


def one_round(ledger: Ledger, plan_hash: str, round_: int, context: bytes) -> None:
    """A round as the client runs it."""
    ledger.accept_context(plan_hash, round_, 1, context)
    draw = ledger.reserve(plan_hash, round_, "train", 2)
    ledger.release(plan_hash, round_, "train", draw, DIGEST, 64)
    ledger.send(plan_hash, round_, "train", context, DIGEST, 64, "server")


def edit(path: Path, *statements: str) -> None:
    """Change the file as somebody with SQLite would."""
    connection = sqlite3.connect(path)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


def test_a_reopened_ledger_is_in_the_same_state(path: Path, plan: Plan) -> None:
    """What was appended is what is read back, by this code and by a verifier's fold."""
    with ready_ledger(path, plan) as ledger:
        one_round(ledger, plan.hash, 1, CONTEXT)
        ledger.note("self-test", {"passed": True})
        live, bodies = ledger.state, ledger.bodies()
        assert ledger.entries()[-1].payload == Note("self-test", {"passed": True})
    with Ledger.open(path, clock=noon) as again:
        assert again.state == live == fold_all(bodies)
        assert again.bodies() == bodies


def test_the_budget_counts_what_was_charged_reserved_and_released(path: Path, plan: Plan) -> None:
    """Each limit shows its own charge; steps are integers."""
    with ready_ledger(path, plan) as ledger:
        one_round(ledger, plan.hash, 1, CONTEXT)
        ledger.reserve(plan.hash, 2, "train", 2)
        (view,) = ledger.budget()
    assert view.granted == RECORD_LIMIT.guarantee
    assert Decimal(0) < view.charged.epsilon <= plan.epsilon
    assert view.charged + view.left == view.granted
    assert (view.max_steps, view.reserved_steps, view.executed_steps) == (10, 4, 2)


def test_steps_end_at_the_integer_cap(path: Path, plan: Plan) -> None:
    """The plan's rounds and slack can be reserved, and not one step more."""
    with ready_ledger(path, plan) as ledger:
        for round_ in range(5):
            assert ledger.reserve(plan.hash, round_, "train", 2) == 1
        with pytest.raises(BudgetExceededError, match="10 steps"):
            ledger.reserve(plan.hash, 5, "train", 1)


def test_a_reserve_is_never_given_back(path: Path, plan: Plan) -> None:
    """A draw that was lost is followed by a second one, which costs again."""
    with ready_ledger(path, plan) as ledger:
        assert ledger.reserve(plan.hash, 1, "train", 2) == 1
        assert ledger.reserve(plan.hash, 1, "train", 2) == 2
        assert ledger.budget()[0].reserved_steps == 4


def test_the_same_release_and_send_are_written_once(path: Path, plan: Plan) -> None:
    """A client that repeats itself after a crash adds nothing."""
    with ready_ledger(path, plan) as ledger:
        one_round(ledger, plan.hash, 1, CONTEXT)
        size = ledger.state.size
        ledger.release(plan.hash, 1, "train", 1, DIGEST, 64)
        ledger.send(plan.hash, 1, "train", CONTEXT, DIGEST, 64, "server")
        assert ledger.state.size == size
        with pytest.raises(DuplicateEntryError):
            ledger.release(plan.hash, 1, "train", 1, "0" * 64, 64)


def test_replay_protection_survives_a_restart(path: Path, plan: Plan) -> None:
    """A context that was accepted before the crash is refused after it."""
    with ready_ledger(path, plan) as ledger:
        ledger.accept_context(plan.hash, 2, 1, CONTEXT)
    with Ledger.open(path, clock=noon) as again:
        assert again.state.last_round(plan.hash) == (2, 1)
        with pytest.raises(ReplayedContextError):
            again.accept_context(plan.hash, 2, 2, CONTEXT)
        with pytest.raises(ReplayedContextError):
            again.accept_context(plan.hash, 1, 3, b"\x02" * 32)


def test_plans_add_up_until_the_account_is_empty(path: Path) -> None:
    """The third plan of 3 does not fit into an account of 8."""
    with Ledger.create(path, region="north", clock=noon) as ledger:
        ledger.open_account("patients", [RECORD_LIMIT])
        for study in ("first", "second"):
            plan = small_plan(study=study, noise_multiplier="1")
            ledger.admit_plan(plan, "north", "a steward")
        before = ledger.budget()
        third = small_plan(study="third", noise_multiplier="1")
        with pytest.raises(BudgetExceededError, match="patients"):
            ledger.admit_plan(third, "north", "a steward")
        assert ledger.budget() == before


def test_every_relation_that_the_account_limits_is_charged(path: Path, plan: Plan) -> None:
    """Replacing a record costs more than adding one, and both are counted."""
    swap = Limit(Unit.RECORD, Neighbours.REPLACE_ONE, Decimal(8), Decimal("0.0001"))
    with Ledger.create(path, region="north", clock=noon) as ledger:
        ledger.open_account("patients", [RECORD_LIMIT, swap])
        ledger.admit_plan(plan, "north", "a steward")
        add, replace = ledger.budget()
    assert add.charged.epsilon < replace.charged.epsilon


def _refused_plan(
    ledger: Ledger, plan: Plan
) -> list[tuple[Callable[[], None], type[PrivacyError]]]:
    region_private = small_plan(teacher=Declaration(TeacherLineage.REGION_PRIVATE))
    return [
        (lambda: ledger.admit_plan(plan, "south", "me"), LedgerError),
        (lambda: ledger.admit_plan(plan, "north", " "), PlanRefusedError),
        (lambda: ledger.admit_plan(plan, "north", "me", lineage="staff"), UnknownEntryError),
        (lambda: ledger.admit_plan(plan, "north", "me"), DuplicateEntryError),
        (lambda: ledger.admit_plan(region_private, "north", "me"), LineageRefusedError),
    ]


def test_a_plan_that_is_not_for_this_account_is_refused(path: Path, plan: Plan) -> None:
    """Another region, nobody's name, no account, twice, a teacher of the region: refused."""
    with ready_ledger(path, plan) as ledger:
        size = ledger.state.size
        for act, error in _refused_plan(ledger, plan):
            with pytest.raises(error):
                act()
        assert ledger.state.size == size


def test_with_several_accounts_the_payer_is_named(path: Path, plan: Plan) -> None:
    """An ambiguous charge is not guessed."""
    with Ledger.create(path, region="north", clock=noon) as ledger:
        with pytest.raises(UnknownEntryError, match="none is open"):
            ledger.admit_plan(plan, "north", "me")
        ledger.open_account("patients", [RECORD_LIMIT])
        ledger.open_account("staff", [RECORD_LIMIT])
        with pytest.raises(UnknownEntryError, match="patients, staff"):
            ledger.admit_plan(plan, "north", "me")
        ledger.admit_plan(plan, "north", "me", lineage="staff")
        assert [view.charged.epsilon > 0 for view in ledger.budget()] == [False, True]


def test_the_file_is_its_owners_alone(path: Path) -> None:
    """Neither group nor others may read the ledger or its log."""
    with Ledger.create(path, region="north", clock=noon):
        modes = [file.stat().st_mode & 0o777 for file in path.parent.iterdir()]
    assert set(modes) == {0o600}


def test_a_ledger_is_created_once(path: Path) -> None:
    """An existing file is not overwritten, and a missing one is not made by opening it."""
    with pytest.raises(LedgerStorageError, match="create it first"):
        Ledger.open(path, clock=noon)
    Ledger.create(path, region="north", clock=noon).close()
    with pytest.raises(LedgerStorageError, match="created once"):
        Ledger.create(path, region="north", clock=noon)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE entry SET body = x'00'",
        "DELETE FROM entry",
        "INSERT OR REPLACE INTO entry VALUES (1, x'00')",
        "INSERT INTO entry VALUES (99, x'00')",
    ],
)
def test_the_table_is_append_only(path: Path, plan: Plan, statement: str) -> None:
    """A careless statement is refused by the file itself."""
    ready_ledger(path, plan).close()
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        edit(path, statement)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE entry SET body = CAST(replace(CAST(body AS TEXT), '\"steps\":10', '\"steps\":99')"
        " AS BLOB) WHERE seq = 3",
        "UPDATE entry SET body = x'7b7d' WHERE seq = 2",
        "DELETE FROM entry WHERE seq = 2",
        "UPDATE entry SET seq = 100 - seq",
        "DELETE FROM entry",
    ],
)
def test_a_changed_file_is_not_opened(path: Path, plan: Plan, statement: str) -> None:
    """Whoever drops the triggers and edits, drops or moves an entry is found out."""
    with ready_ledger(path, plan) as ledger:
        one_round(ledger, plan.hash, 1, CONTEXT)
    edit(path, "DROP TRIGGER entry_no_update", "DROP TRIGGER entry_no_delete", statement)
    with pytest.raises(LedgerCorruptError):
        Ledger.open(path, clock=noon)


def test_a_file_exchanged_under_an_open_ledger_is_noticed(path: Path, plan: Plan) -> None:
    """What was read before must still be there at the next append."""
    with ready_ledger(path, plan) as ledger:
        edit(path, "DROP TRIGGER entry_no_delete", "DELETE FROM entry WHERE seq = 3")
        with pytest.raises(LedgerCorruptError, match="replaced"):
            ledger.reserve(plan.hash, 1, "train", 2)


def test_a_database_of_another_kind_is_not_opened(path: Path) -> None:
    """Neither another database nor another file is a ledger."""
    edit(path, "CREATE TABLE other (x)")
    with pytest.raises(LedgerCorruptError, match="another kind"):
        Ledger.open(path, clock=noon)
    path.write_bytes(b"not a database, but long enough to have a header of one" * 20)
    with pytest.raises(LedgerCorruptError, match="not a database"):
        Ledger.open(path, clock=noon)


def test_a_later_ledger_is_not_opened(path: Path) -> None:
    """A file of a later version says: update."""
    Ledger.create(path, region="north", clock=noon).close()
    edit(path, f"PRAGMA user_version = {ledger_file.VERSION + 1}")
    with pytest.raises(LedgerVersionError, match="update"):
        Ledger.open(path, clock=noon)


def test_a_full_disk_stops_the_region_and_loses_nothing(path: Path, plan: Plan) -> None:
    """When nothing more can be written the entry is refused, and the ledger stays whole."""
    with ready_ledger(path, plan) as ledger:
        # SQLite reports a file at its page limit as it reports a full disk (SQLITE_FULL).
        ledger._log._file._connection.execute("PRAGMA max_page_count = 1")
        before = ledger.state
        with pytest.raises(LedgerStorageError, match="free disk space"):
            ledger.note("long", {"text": "x" * 500_000})
        ledger._log._file._connection.execute("PRAGMA max_page_count = 100000")
        assert ledger.state == before
        assert ledger.reserve(plan.hash, 1, "train", 2) == 1


def test_a_held_lock_is_waited_for_and_then_named(
    path: Path, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another writer that does not let go gives a LedgerBusyError, and nothing is written."""
    ready_ledger(path, plan).close()
    monkeypatch.setattr(ledger_file, "BUSY_TIMEOUT_S", 0.05)
    other = sqlite3.connect(path, isolation_level=None)
    with Ledger.open(path, clock=noon) as ledger:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerBusyError, match="another process"):
            ledger.reserve(plan.hash, 1, "train", 2)
        other.execute("ROLLBACK")
        other.close()
        assert ledger.reserve(plan.hash, 1, "train", 2) == 1


def test_a_clock_that_goes_back_a_little_is_held(path: Path, plan: Plan) -> None:
    """A correction of a minute gives the time of the entry before."""
    ready_ledger(path, plan).close()
    with Ledger.open(path, clock=lambda: NOON - 60) as ledger:
        ledger.note("self-test", {})
        assert ledger.state.time == NOON


def test_a_clock_that_goes_back_a_day_stops_the_region(path: Path, plan: Plan) -> None:
    """A restored machine image must be looked at before it may spend."""
    ready_ledger(path, plan).close()
    with (
        Ledger.open(path, clock=lambda: NOON - 86_400) as ledger,
        pytest.raises(LedgerClockError, match="went back by 86400 s"),
    ):
        ledger.reserve(plan.hash, 1, "train", 2)


def test_a_note_is_canonical_or_refused(path: Path) -> None:
    """A float in a note is refused before it is written."""
    with Ledger.create(path, region="north", clock=noon) as ledger:
        with pytest.raises(MalformedDocumentError):
            ledger.note("accuracy", {"value": 0.5})  # type: ignore[dict-item]
        assert ledger.state.size == 1


def test_two_open_ledgers_see_each_other(path: Path, plan: Plan) -> None:
    """An append by one is known to the other at its next call."""
    with ready_ledger(path, plan) as first, Ledger.open(path, clock=noon) as second:
        assert first.reserve(plan.hash, 1, "train", 2) == 1
        assert second.reserve(plan.hash, 1, "train", 2) == 2
        assert first.state == second.state


def test_threads_may_share_a_ledger(path: Path, plan: Plan) -> None:
    """Five threads that reserve at once get five of the draws, each another."""
    draws: list[int] = []
    with ready_ledger(path, plan) as ledger:

        def work() -> None:
            draws.append(ledger.reserve(plan.hash, 1, "train", 2))

        threads = [threading.Thread(target=work) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(draws) == [1, 2, 3, 4, 5]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_ledger_refuses_to_work(path: Path) -> None:
    """SQLite's locks do not survive a fork; the child must open its own."""
    with Ledger.create(path, region="north", clock=noon) as ledger:
        ledger._log._process += 1  # as a child would see it
        with pytest.raises(LedgerError, match="fork"):
            ledger.note("self-test", {})


def test_a_merged_account_pays_for_both_names(path: Path) -> None:
    """Afterwards a plan for either lineage is charged to the one account that is left."""
    with Ledger.create(path, region="north", clock=noon) as ledger:
        for lineage, study in (("patients", "first"), ("staff", "second")):
            ledger.open_account(lineage, [RECORD_LIMIT])
            ledger.admit_plan(small_plan(study=study), "north", "me", lineage=lineage)
        first, second = ledger.budget()
        ledger.merge_accounts("patients", "staff", "me")
        (both,) = ledger.budget()
        assert both.charged == first.charged + second.charged
        assert both.max_steps == first.max_steps + second.max_steps
        ledger.admit_plan(small_plan(study="third"), "north", "me", lineage="staff")
        assert ledger.budget()[0].charged.epsilon > both.charged.epsilon
        with pytest.raises(UnknownEntryError, match="merged into 'patients'"):
            ledger.merge_accounts("staff", "patients", "me")


def test_a_new_version_of_the_data_keeps_its_lineages_budget(path: Path, plan: Plan) -> None:
    """It is on record, under an account that is open, and gives nothing back."""
    with ready_ledger(path, plan) as ledger:
        before = ledger.budget()
        ledger.record_data_version("patients", DIGEST)
        assert ledger.budget() == before
        kept = Note("data-version", {"lineage": "patients", "fingerprint": DIGEST})
        assert ledger.entries()[-1].payload == kept
        with pytest.raises(UnknownEntryError):
            ledger.record_data_version("staff", DIGEST)


@pytest.mark.parametrize("moved", [True, False])
def test_a_file_put_in_the_place_of_an_open_one_is_noticed(
    path: Path, plan: Plan, moved: bool
) -> None:
    """SQLite would go on in the old file, which nobody finds again; the copy is told from it."""
    with ready_ledger(path, plan) as ledger:
        copy = path.with_name("copy.db")
        with sqlite3.connect(path) as source, sqlite3.connect(copy) as target:
            source.backup(target)
        source.close()
        target.close()
        if moved:
            copy.replace(path)
        else:
            path.unlink()
        with pytest.raises(LedgerCorruptError, match="replaced"):
            ledger.reserve(plan.hash, 1, "train", 2)
        with pytest.raises(LedgerCorruptError, match="replaced"):
            _ = ledger.state


def test_a_damaged_page_is_one_clear_error(path: Path, plan: Plan) -> None:
    """SQLite's own words, and what to do."""
    with ready_ledger(path, plan) as ledger:
        for number in range(50):
            ledger.note("filler", {"text": f"{number}" * 400})
    data = bytearray(path.read_bytes())
    data[100:200] = b"\xff" * 100
    path.write_bytes(data)
    with pytest.raises(LedgerCorruptError, match="compare it with the checkpoints"):
        Ledger.open(path, clock=noon)


def test_an_older_copy_is_told_by_a_root_and_a_fork_by_its_proof(path: Path, plan: Plan) -> None:
    """Whoever kept a size and a root needs nothing else; growth is shown with a few hashes."""
    with ready_ledger(path, plan) as ledger:
        kept = ledger.root_at()
        assert kept is not None
        one_round(ledger, plan.hash, 1, CONTEXT)
        now = ledger.root_at()
        assert now is not None
        size, top = now
        proof = ledger.growth(kept[0], size)
        assert is_consistent(*kept, size=size, root_hash=top, proof=proof)
        assert ledger.growth(0, size) == ()
        with pytest.raises(ValueError, match="entries"):
            ledger.growth(1, size + 1)


# It pauses after each reserve, as a region trains: SQLite's lock is not fair to who waits.
RACER = """
import sys, time
from pathlib import Path
from privacy.errors import BudgetExceededError
from privacy.ledger import Ledger
ledger = Ledger.open(Path(sys.argv[1]), clock=lambda: 1_800_000_000)
print("up", flush=True)
sys.stdin.readline()
taken = 0
while True:
    try:
        ledger.reserve(sys.argv[2], taken, "train", 3)
    except BudgetExceededError:
        break
    taken += 1
    time.sleep(0.002)
print(taken)
"""


RACERS = 8


@pytest.mark.slow
def test_racing_processes_reserve_exactly_to_the_cap(path: Path) -> None:
    """Eight processes that reserve threes from 1,000 steps get 333 of them together."""
    plan = small_plan(rounds=952, local_steps=1, noise_multiplier="40")
    ready_ledger(path, plan).close()
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, str(path), plan.hash],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(RACERS)
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "up\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    taken = [int(racer.communicate(timeout=120)[0]) for racer in racers]

    assert sum(taken) == 333
    assert min(taken) > 0, "they did not race"
    with Ledger.open(path, clock=noon) as ledger:
        assert ledger.budget()[0].reserved_steps == 999
