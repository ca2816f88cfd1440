"""A whole report of the current schema: every part that follows from the ledgers is made anew."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from privacy.pack import write_pack
from privacy.report.parts import Teacher
from privacy.report.recomputed import LedgerCopy, completed
from privacy.report.schema import schema_bytes
from tests.privacy.report.builders import sample
from tests.verify.made_run import MadeRun, made_run
from tests.verify.repacking import contents, resigned
from verify.findings import Check, Outcome
from verify.pack_check import check_pack
from verify.schema_marks import marked_paths


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[MadeRun, Path]:
    """A made run with a whole report, and its pack."""
    folder = tmp_path_factory.mktemp("whole")
    run = made_run(folder / "run", seed="whole", rounds=1)
    copies = {
        one.name: LedgerCopy(one.bodies, one.ledger_key.public_bytes().hex()) for one in run.regions
    }
    report = replace(sample(), teacher=Teacher("a public model", run.plan.teacher))
    (run.root / "report.json").write_bytes(completed(report, run.plan, copies).to_json())
    pack = folder / "pack.zip"
    write_pack(run.root, pack, run.pack_keys)
    return run, pack


@pytest.mark.slow
def test_a_whole_report_holds_with_the_schema_that_came_with_it(
    whole: tuple[MadeRun, Path],
) -> None:
    """The pack has the schema, and nothing that it marks is passed over."""
    run, pack = whole
    assert contents(pack)["schema.json"] == schema_bytes()
    assert {"ledgers", "claims", "regions.charged"} & marked_paths(json.loads(schema_bytes()))

    result = check_pack(pack, run.auditor_keys)
    assert (result.outcome, result.findings) == (Outcome.HOLDS, ())


Lie = Callable[[dict[str, Any]], object]
LIES: dict[str, Lie] = {
    "a claim in other words": lambda r: r["claims"].__setitem__(0, "Nothing left."),
    "a root of the ledger": lambda r: r["ledgers"][0]["integrity"].update(root="0" * 64),
    "another key": lambda r: r["ledgers"][0]["integrity"].update(key="0" * 64),
    "a release less": lambda r: r["ledgers"][1].update(releases=[]),
    "no limits": lambda r: r["ledgers"][1]["limits"].clear(),
    "two regions for the price of one": lambda r: r["several"].clear(),
}


@pytest.mark.slow
@pytest.mark.parametrize("lie", LIES)
def test_a_lie_in_any_part_is_found(whole: tuple[MadeRun, Path], tmp_path: Path, lie: str) -> None:
    """Also where everybody signed it."""
    run, pack = whole
    files = contents(pack)
    report = json.loads(files["report.json"])
    LIES[lie](report)
    files["report.json"] = json.dumps(
        report, separators=(",", ":"), sort_keys=True, ensure_ascii=False
    ).encode()
    changed = tmp_path / "changed.zip"
    changed.write_bytes(resigned(files, run, regions=("east", "north", "west")))
    result = check_pack(changed, run.auditor_keys)

    assert result.outcome is Outcome.VIOLATED
    assert {one.check for one in result.findings} == {Check.FIGURES}


def test_an_audit_in_the_report_may_speak_against_it(
    made: MadeRun, pack: Path, tmp_path: Path
) -> None:
    """A bound above what was charged violates; one that cannot be read leaves it open."""
    found = []
    for bound in ("0.01", "19", "many"):
        files = contents(pack)
        report = {**json.loads(files["report.json"]), "audits": [{"lower_bound": bound}]}
        files["report.json"] = json.dumps(report, separators=(",", ":"), sort_keys=True).encode()
        changed = tmp_path / "changed.zip"
        changed.write_bytes(resigned(files, made, regions=("east", "north", "west")))
        found.append(check_pack(changed, made.auditor_keys).outcome)

    assert found == [Outcome.HOLDS, Outcome.VIOLATED, Outcome.INCOMPLETE]


def test_a_schema_that_never_ends_is_refused() -> None:
    """What a stranger's schema refers to costs a bounded number of steps."""
    loop = {"properties": {"a": {"$ref": "#/$defs/A"}, "b": {"$ref": "#/$defs/A"}}}
    with pytest.raises(ValueError, match="at most"):
        marked_paths({**loop, "$defs": {"A": loop}})
    with pytest.raises(ValueError, match="at most"):
        marked_paths({"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/A"}}})

    assert marked_paths([]) == frozenset()
