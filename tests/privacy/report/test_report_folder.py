from __future__ import annotations

import json
from pathlib import Path

import pytest

from privacy.errors import MalformedDocumentError
from privacy.ledger import Ledger
from privacy.ledger_state import fold_all
from privacy.report.declarations_file import FILE_NAME
from privacy.report.from_ledger import region_of
from privacy.report.model import Report
from privacy.report.recomputed import differences
from stillroom.exits import Exit
from stillroom.reporting_commands import complete_report, write_declarations, write_report
from tests.privacy.builders import RECORD_LIMIT, noon, small_plan
from tests.privacy.report.builders import sample

pytestmark = pytest.mark.slow  # admitting a plan asks every accountant
PLAN = small_plan()
NOON = "2027-01-16T12:00:00Z"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's folder, as small as one can be."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "plan.json").write_bytes(PLAN.to_bytes())
    regions = []
    for name in PLAN.cohort:
        home = folder / "regions" / name
        home.mkdir(parents=True)
        with Ledger.create(home / "ledger.db", region=name, clock=noon) as ledger:
            ledger.open_account("patients", [RECORD_LIMIT])
            ledger.admit_plan(PLAN, name, "a steward")
            regions.append(region_of(ledger.state, PLAN))
    report = sample(study=PLAN.study, plan=PLAN.hash, regions=tuple(regions))
    (folder / "report.json").write_bytes(report.to_json())
    return folder


def test_a_person_is_asked_and_the_report_is_complete(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """First the questions, then the report with ledgers, answers and exports."""
    assert write_declarations(run) is Exit.DONE
    questions = (run / FILE_NAME).read_text()
    answered = questions.replace('purpose = ""', 'purpose = "Sorting titles."')
    (run / FILE_NAME).write_text(answered)
    assert write_declarations(run) is Exit.DONE
    assert (run / FILE_NAME).read_text() == answered

    _ = capsys.readouterr()
    assert write_report(run, tmp_path, pdf=False, as_json=True) is Exit.DONE
    told = json.loads(capsys.readouterr().out)
    assert sorted(path.name for path in tmp_path.iterdir()) == told["files"]
    assert {"report.json", "report.html", "schema.json", "registry-entry.yaml"} <= set(
        told["files"]
    )
    assert "identity.purpose" not in told["not_declared"]
    report = Report.from_json((tmp_path / "report.json").read_bytes())
    assert report.declared.identity.purpose == "Sorting titles."
    ledgers = {}
    for name in PLAN.cohort:
        with Ledger.open(run / "regions" / name / "ledger.db", clock=noon) as ledger:
            ledgers[name] = ledger.bodies()
            assert fold_all(ledgers[name]).region == name
    assert differences(report, PLAN, ledgers) == ()
    assert "Sorting titles." in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize(
    ("name", "data"),
    [("evidence/audit.json", b"{"), ("server/registry.bin", b"x"), (FILE_NAME, b"[who]\n")],
)
def test_what_is_no_document_is_named(run: Path, name: str, data: bytes) -> None:
    """A broken file beside the report is an error, not left out."""
    path = run / name
    kept = path.read_bytes() if path.exists() else None
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    try:
        with pytest.raises(MalformedDocumentError):
            complete_report(run, created_at=NOON)
    finally:
        path.unlink()
        if kept is not None:
            path.write_bytes(kept)


def test_a_run_without_a_ledger_is_no_report(run: Path) -> None:
    """It is said whom to ask for it."""
    path = run / "regions" / "east" / "ledger.db"
    moved = path.with_name("moved.db")
    path.rename(moved)
    try:
        with pytest.raises(MalformedDocumentError, match="the ledger of east"):
            complete_report(run, created_at=NOON)
    finally:
        moved.rename(path)
