"""A list of code is believed as far as what the regions signed agrees with it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from privacy.code_listing import CodeListing
from tests.verify.made_region import CODE
from tests.verify.made_run import MadeRun
from tests.verify.repacking import contents, resigned
from verify.findings import Check, Outcome, Result
from verify.pack_check import check_pack

EVERYBODY = ("east", "north", "west")


def _checked(made: MadeRun, pack: Path, out: Path, **changes: bytes | None) -> Result:
    """Check a pack with other files, signed by everybody."""
    files = contents(pack)
    for name, data in changes.items():
        path = {"code": "config/code.txt", "report": "report.json"}[name]
        files.pop(path)
        if data is not None:
            files[path] = data
    out.write_bytes(resigned(files, made, regions=EVERYBODY))
    return check_pack(out, made.auditor_keys)


def _reported(pack: Path, *versions: tuple[str, str]) -> bytes:
    report = json.loads(contents(pack)["report.json"])
    report["versions"] = [{"name": name, "version": version} for name, version in versions]
    return json.dumps(report, separators=(",", ":"), sort_keys=True).encode()


def test_versions_that_are_those_of_the_list_hold(
    made: MadeRun, pack: Path, tmp_path: Path
) -> None:
    """What the list does not name, such as the interpreter, is not compared."""
    report = _reported(pack, ("torch", "2.13.0"), ("python", "3.11.7"))

    assert _checked(made, pack, tmp_path / "p.zip", report=report).findings == ()


def test_a_report_that_names_other_packages_is_found(
    made: MadeRun, pack: Path, tmp_path: Path
) -> None:
    """Everybody signed the report, and the code that was tested had another version."""
    report = _reported(pack, ("numpy", "2.4.6"), ("torch", "2.14.0"))
    (found,) = _checked(made, pack, tmp_path / "p.zip", report=report).findings

    assert (found.outcome, found.check, found.where) == (
        Outcome.VIOLATED,
        Check.PLAN,
        "report.json",
    )
    assert "it says torch 2.14.0, and the listed code ran with torch 2.13.0" in found.text


ATTACKS = {
    "list and report say a later library": (
        replace(CODE, libraries={**CODE.libraries, "torch": "2.14.0"}),
        "no region's self-test is of that code",
    ),
    "a source was changed": (
        replace(CODE, sources={**CODE.sources, "privacy/__init__.py": "0" * 64}),
        "names the code",
    ),
    "a source was left out": (
        replace(CODE, sources={k: v for k, v in CODE.sources.items() if "client" not in k}),
        "names the code",
    ),
    "the trainer was left out": (CodeListing({}, {}), "no region's self-test"),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_a_list_that_was_made_to_fit_the_report_is_found(
    made: MadeRun, pack: Path, tmp_path: Path, name: str
) -> None:
    """With every key of today: plans and ledgers have the hash of the code as it was."""
    listing, words = ATTACKS[name]
    report = _reported(pack, *listing.libraries.items())
    code = listing.to_bytes()
    result = _checked(made, pack, tmp_path / "p.zip", code=code, report=report)

    assert result.outcome is Outcome.VIOLATED
    assert {(one.check, one.where) for one in result.findings} == {(Check.PLAN, "config/code.txt")}
    assert any(words in one.text for one in result.findings)


def test_a_list_that_cannot_be_read_is_found(made: MadeRun, pack: Path, tmp_path: Path) -> None:
    """Whoever packs a list packs one that can be held against the hashes."""
    (found,) = _checked(made, pack, tmp_path / "p.zip", code=b"torch, or so").findings

    assert (found.outcome, found.where) == (Outcome.VIOLATED, "config/code.txt")


def test_without_a_list_it_is_said_whose_word_the_versions_are(
    made: MadeRun, pack: Path, tmp_path: Path
) -> None:
    """Packs of before had none: nothing speaks against them, and a note says what that means."""
    result = _checked(made, pack, tmp_path / "p.zip", code=None)

    assert (result.outcome, result.findings) == (Outcome.HOLDS, ())
    assert any("the operator's word" in note for note in result.notes)
    assert not any("operator's word" in note for note in check_pack(pack, made.auditor_keys).notes)
