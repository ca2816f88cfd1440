from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import TypeAlias

import pytest

from privacy.ledger import Ledger
from privacy.ledger_entries import Approval, Entry, body_hash
from privacy.plan import TRAIN
from privacy.report.from_ledger import region_of
from privacy.report.model import Report
from privacy.report.parts import Region
from tests.privacy.builders import DIGEST, noon, ready_ledger, small_plan
from tests.privacy.report.builders import sample
from verify.findings import Outcome
from verify.ledger_check import check_ledgers

PLAN = small_plan()
CONTEXT = bytes(32)

Edit: TypeAlias = Callable[[Region], Region]


def record(ledger: Ledger) -> None:
    """One round of two steps, reserved, released and sent."""
    ledger.accept_context(PLAN.hash, 1, 1, CONTEXT)
    draw = ledger.reserve(PLAN.hash, 1, TRAIN, 2)
    ledger.release(PLAN.hash, 1, TRAIN, draw, payload_sha256=DIGEST, payload_bytes=8)
    ledger.send(
        PLAN.hash,
        1,
        TRAIN,
        CONTEXT,
        wire_sha256=DIGEST,
        wire_bytes=12,
        destination="coordinator",
    )


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The folder of an honest run of one region."""
    home = tmp_path / "regions" / "north"
    home.mkdir(parents=True)
    with ready_ledger(home / "ledger.db", PLAN) as ledger:
        record(ledger)
        write(tmp_path, sample(plan=PLAN.hash, regions=(region_of(ledger.state, PLAN),)))
    return tmp_path


def write(folder: Path, report: Report) -> None:
    (folder / "report.json").write_bytes(report.to_json())


def export(folder: Path, change: Callable[[list[bytes]], list[bytes]]) -> None:
    """Replace north's database by exported entries, changed on the way."""
    database = folder / "regions" / "north" / "ledger.db"
    with Ledger.open(database, clock=noon) as ledger:
        bodies = list(ledger.bodies())
    database.unlink()
    database.with_suffix(".jsonl").write_bytes(b"\n".join(change(bodies)) + b"\n")


def edit_report(folder: Path, change: Edit) -> None:
    report = Report.from_json((folder / "report.json").read_bytes())
    write(folder, replace(report, regions=tuple(map(change, report.regions)), several=()))


def test_an_honest_run_holds(run: Path) -> None:
    """No finding, every region compared, and exit code 0."""
    result = check_ledgers(run)
    assert result.findings == ()
    assert result.regions == ("north",)
    assert (result.outcome, result.outcome.value) == (Outcome.HOLDS, 0)


def test_exported_entries_hold_as_well_as_the_database(run: Path) -> None:
    """One body a line is the same evidence."""
    export(run, lambda bodies: bodies)
    assert check_ledgers(run).outcome is Outcome.HOLDS


def test_the_evidence_is_not_touched(run: Path) -> None:
    """Not a byte changes and no file appears, even in a folder that is read-only."""
    home = run / "regions" / "north"
    before = {path.name: path.read_bytes() for path in home.iterdir()}
    os.chmod(home, 0o500)
    check_ledgers(run)
    os.chmod(home, 0o700)
    assert {path.name: path.read_bytes() for path in home.iterdir()} == before


def test_entries_that_are_only_in_the_write_ahead_log_count(tmp_path: Path) -> None:
    """A ledger that is still open elsewhere is read to its end."""
    home = tmp_path / "regions" / "north"
    home.mkdir(parents=True)
    with ready_ledger(home / "ledger.db", PLAN) as ledger:
        record(ledger)
        write(tmp_path, sample(plan=PLAN.hash, regions=(region_of(ledger.state, PLAN),)))
        assert (home / "ledger.db-wal").stat().st_size > 0
        assert check_ledgers(tmp_path).outcome is Outcome.HOLDS


LIES: dict[str, Edit] = {
    "less ε": lambda r: replace(r, charged=replace(r.charged, epsilon=Decimal("0.001"))),
    "less δ": lambda r: replace(r, charged=replace(r.charged, delta=Decimal("0.000001"))),
    "a larger budget": lambda r: replace(r, budget=replace(r.budget, epsilon=Decimal(9))),
    "another account": lambda r: replace(r, lineage="others"),
    "more noise": lambda r: replace(r, noise_multiplier=Decimal(9)),
    "less sampling": lambda r: replace(r, sample_rate=Fraction(1, 20)),
    "fewer steps": lambda r: replace(r, released_steps=0),
    "a larger plan": lambda r: replace(r, max_steps=11),
    "nothing sent": lambda r: replace(r, sent=()),
    "fewer bytes": lambda r: replace(r, sent=(replace(r.sent[0], wire_bytes=1),)),
    "other bytes": lambda r: replace(r, sent=(replace(r.sent[0], wire_sha256="0" * 64),)),
    "sent elsewhere": lambda r: replace(r, sent=(replace(r.sent[0], destination="me"),)),
    "sent twice": lambda r: replace(r, sent=(*r.sent, *r.sent)),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES.keys())
def test_a_report_that_says_otherwise_is_found(run: Path, lie: Edit) -> None:
    """Each figure that the ledger knows is compared; one difference violates."""
    edit_report(run, lie)
    result = check_ledgers(run)
    assert result.outcome is Outcome.VIOLATED
    assert {finding.region for finding in result.findings} == {"north"}
    assert result.outcome.value == 1


def test_a_report_of_another_plan_is_found(run: Path) -> None:
    """The plan in the report is the one that the region approved."""
    report = Report.from_json((run / "report.json").read_bytes())
    write(run, replace(report, plan="0" * 64))
    assert check_ledgers(run).outcome is Outcome.VIOLATED


@pytest.mark.parametrize("place", range(7))
def test_a_dropped_entry_is_found(run: Path, place: int) -> None:
    """Any entry but nothing can be taken out: the chain or the figures tell."""
    export(run, lambda bodies: bodies[:place] + bodies[place + 1 :])
    assert check_ledgers(run).outcome is Outcome.VIOLATED


def test_an_edited_entry_is_found(run: Path) -> None:
    """A changed body no longer has the hash that the next one names."""
    export(run, lambda bodies: [bodies[0].replace(b"north", b"south"), *bodies[1:]])
    assert check_ledgers(run).outcome is Outcome.VIOLATED


def test_a_charge_below_the_cost_of_its_events_is_found(run: Path) -> None:
    """A consistent forgery, re-chained and reported alike, still costs what it costs."""
    low = Decimal("0.001")

    def forge(bodies: list[bytes]) -> list[bytes]:
        forged: list[bytes] = []
        for body in bodies:
            entry = Entry.from_bytes(body)
            payload = entry.payload
            if isinstance(payload, Approval):
                charges = (replace(payload.charges[0], epsilon=low),)
                payload = replace(payload, charges=charges)
            previous = body_hash(forged[-1]) if forged else entry.previous
            forged.append(replace(entry, payload=payload, previous=previous).to_bytes())
        return forged

    export(run, forge)
    edit_report(run, lambda r: replace(r, charged=replace(r.charged, epsilon=low)))
    (finding,) = check_ledgers(run).findings
    assert "its events cost" in finding.text


def test_a_region_left_out_of_the_report_is_found(run: Path) -> None:
    """A ledger whose charges nobody reports is a hidden charge."""
    home = run / "regions" / "south"
    home.mkdir()
    (home / "ledger.jsonl").write_bytes(b"")
    (finding,) = check_ledgers(run).findings
    assert (finding.outcome, finding.region) == (Outcome.VIOLATED, "south")


def test_a_damaged_database_is_found(run: Path) -> None:
    """What is no database is no ledger."""
    (run / "regions" / "north" / "ledger.db").write_bytes(b"not a database" * 100)
    assert check_ledgers(run).outcome is Outcome.VIOLATED


def test_a_missing_ledger_leaves_the_check_incomplete(run: Path) -> None:
    """Absence proves nothing either way; the exit code is 4."""
    (run / "regions" / "north" / "ledger.db").unlink()
    result = check_ledgers(run)
    assert (result.outcome, result.outcome.value) == (Outcome.INCOMPLETE, 4)
    assert result.regions == ()


@pytest.mark.parametrize("data", [None, b"", b"{}", b"\xff"], ids=["none", "empty", "other", "no"])
def test_without_a_readable_report_the_check_is_incomplete(run: Path, data: bytes | None) -> None:
    """There is nothing to compare with."""
    (run / "report.json").unlink()
    if data is not None:
        (run / "report.json").write_bytes(data)
    assert check_ledgers(run).outcome is Outcome.INCOMPLETE


def test_an_entry_of_a_later_release_leaves_the_check_incomplete(run: Path) -> None:
    """What this release cannot read it does not condemn."""
    export(run, lambda bodies: [*bodies[:-1], bodies[-1].replace(b'"send"', b'"sent"')])
    assert check_ledgers(run).outcome is Outcome.INCOMPLETE


def test_a_region_named_like_a_path_is_not_followed(run: Path) -> None:
    """A report from a stranger cannot make the auditor read elsewhere."""
    edit_report(run, lambda r: replace(r, name="../../north"))
    findings = check_ledgers(run).findings
    assert any("got the path" in finding.text for finding in findings)


def test_a_violation_outweighs_what_is_missing(run: Path) -> None:
    """One proven difference decides, whatever else could not be read."""
    report = Report.from_json((run / "report.json").read_bytes())
    north = replace(report.regions[0], released_steps=0)
    both = (north, replace(north, name="south"))
    write(run, replace(report, regions=both, claims=(), several=()))
    result = check_ledgers(run)
    assert {finding.outcome for finding in result.findings} == {
        Outcome.VIOLATED,
        Outcome.INCOMPLETE,
    }
    assert result.outcome is Outcome.VIOLATED
