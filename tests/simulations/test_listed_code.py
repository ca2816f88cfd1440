"""The list of the code that is here has the hashes that plans and self-tests are made with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from client.conformance import code_sha256
from privacy.code_listing import REGION_CODE, CodeListing
from simulations.listed_code import listed_code
from simulations.prepare import region_code_sha256
from simulations.simulate import Options, simulate
from stillroom.packing import auditor_keys_of, pack_run
from tests.simulations import tiny_study
from verify.findings import Check, Outcome
from verify.pack_check import check_pack


def test_the_list_has_the_hashes_of_plans_and_self_tests() -> None:
    """Of the code that is here: made by others from the files, and from the list alone."""
    listing = CodeListing.from_bytes(listed_code().to_bytes())

    assert listing.region_hash == region_code_sha256()
    assert listing.trainer_hash == code_sha256()
    assert {name.partition("/")[0] for name in listing.sources} == set(REGION_CODE)


@pytest.mark.slow
def test_a_runs_pack_has_the_code_that_its_regions_tested(tmp_path: Path) -> None:
    """A real run holds; with another version in its report, signed by everybody, it does not."""
    run, pack = tmp_path / "run", tmp_path / "pack.zip"
    simulate(tiny_study.make(tmp_path / "study", rounds=2).file, run, Options())
    pack_run(run, pack, say=False)
    keys = auditor_keys_of(run)
    result = check_pack(pack, keys)

    assert (result.outcome, result.findings) == (Outcome.HOLDS, ())
    assert not any("operator's word" in note for note in result.notes)

    report = json.loads((run / "report.json").read_text())
    (torch,) = (one for one in report["versions"] if one["name"] == "torch")
    torch["version"] = "1.0"
    text = json.dumps(report, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
    (run / "report.json").write_text(text)
    pack_run(run, pack, say=False)
    (found,) = check_pack(pack, keys).findings
    assert (found.outcome, found.check) == (Outcome.VIOLATED, Check.PLAN)
