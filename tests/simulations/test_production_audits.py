"""A simulated study whose plan declares an audit: every region's result is in report and pack."""

from pathlib import Path

import pytest

from privacy.ledger import Ledger
from privacy.ledger_entries import Note
from privacy.plan import Plan
from simulations.run_folder import RunFolder
from simulations.simulate import Options, simulate
from stillroom.exits import Exit
from stillroom.packing import auditor_keys_of, pack_run
from stillroom.reporting_commands import complete_report, write_report
from tests.client.region_builder import clock
from tests.simulations import tiny_study
from verify.findings import Check
from verify.pack_check import check_pack

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run."""
    folder = tmp_path_factory.mktemp("audits")
    tiny = tiny_study.audited(folder / "study", canaries=24)
    simulate(tiny.file, folder / "run", Options(clock=clock))
    return folder / "run"


def test_every_region_has_its_result_in_ledger_report_and_pack(run: Path, tmp_path: Path) -> None:
    """Two methods a region; the report's are those of the ledgers, and the auditor sees them."""
    plan = Plan.from_bytes((run / "plan.json").read_bytes())
    noted = 0
    for name in plan.cohort:
        with Ledger.open(RunFolder(run).region(name).ledger, clock=clock) as ledger:
            notes = [entry.payload for entry in ledger.entries() if isinstance(entry.payload, Note)]
            (audit,) = (note for note in notes if note.topic == "audit")
            results = audit.content["results"]
            assert isinstance(results, list)
            noted += len(results)
    report = complete_report(run, created_at="2027-01-15T08:00:00Z")
    code = write_report(run, run, pdf=False, as_json=True)
    pack_run(run, tmp_path / "pack.zip", say=False)
    found = check_pack(tmp_path / "pack.zip", auditor_keys_of(run))

    assert noted == len(report.audits) == 2 * len(plan.cohort)
    assert {one.canaries for one in report.audits} == {24}
    assert code is Exit.DONE
    assert not [one for one in found.findings if one.check is Check.TESTS]


def test_coins_and_weights_are_in_no_pack(run: Path, tmp_path: Path) -> None:
    """What an audit keeps for itself stays in the region's folder."""
    import zipfile

    pack_run(run, tmp_path / "pack.zip", say=False)
    names = zipfile.ZipFile(tmp_path / "pack.zip").namelist()
    kept = [path.name for path in (run / "regions").rglob("*.weights")]

    assert kept
    assert not [name for name in names if "canaries" in name or name.endswith(".weights")]
