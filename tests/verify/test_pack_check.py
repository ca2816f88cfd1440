"""An honest pack holds; what is missing is asked for; the words say what and where."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from privacy.pack import PackKeys, countersign, write_pack
from privacy.pack.errors import PackSourceError
from privacy.pack.gathering import Sums
from privacy.pack.manifest import Signer, region_signer
from tests.verify.made_run import MadeRun
from tests.verify.repacking import contents, resigned
from verify.findings import Check, Outcome
from verify.meanings import UNSEEN
from verify.pack_check import check_pack
from verify.telling import as_json, lines

EVERYBODY = ("east", "north", "west")


def test_an_honest_pack_holds(made: MadeRun, pack: Path) -> None:
    """No finding; notes say how far each ledger is cosigned, and what executed steps come to."""
    result = check_pack(pack, made.auditor_keys)

    assert (result.outcome, result.findings) == (Outcome.HOLDS, ())
    assert result.regions == EVERYBODY
    assert sum("were cosigned by" in note for note in result.notes) == len(EVERYBODY)
    assert sum("for information" in note for note in result.notes) == len(EVERYBODY)


def test_the_same_run_gives_the_same_bytes(made: MadeRun, pack: Path, tmp_path: Path) -> None:
    """Nothing in a pack says when or where it was written."""
    again = tmp_path / "again.zip"
    write_pack(made.root, again, made.pack_keys)

    assert again.read_bytes() == pack.read_bytes()
    assert str(made.root).encode() not in b"".join(contents(again).values())


def test_what_cannot_be_seen_is_always_said(made: MadeRun, pack: Path) -> None:
    """For people and for scripts, also where everything holds."""
    result = check_pack(pack, made.auditor_keys)
    told = "\n".join(lines(result))

    assert all(text in told for text in UNSEEN)
    assert as_json(result)["unseen"] == list(UNSEEN)
    assert json.loads(json.dumps(as_json(result)))["outcome"] == "holds"


def test_sums_are_packed_where_that_is_asked_for(made: MadeRun, tmp_path: Path) -> None:
    """Their words are then held against the hash that the coordinator signed."""
    path = tmp_path / "with-sums.zip"
    write_pack(made.root, path, made.pack_keys, sums=Sums.WORDS)
    assert check_pack(path, made.auditor_keys).outcome is Outcome.HOLDS

    files = contents(path)
    files["rounds/00001.sum"] = bytes(len(files["rounds/00001.sum"]))
    path.write_bytes(resigned(files, made, regions=EVERYBODY))
    (found,) = check_pack(path, made.auditor_keys).findings
    assert (found.outcome, found.check) == (Outcome.VIOLATED, Check.VECTORS)
    assert "not the sum that was signed" in found.text


def test_a_region_that_has_not_signed_leaves_the_check_incomplete(
    made: MadeRun, tmp_path: Path
) -> None:
    """The operator writes it without a region's key; the region adds its line afterwards."""
    keys = made.pack_keys
    north = made.region("north")
    home = made.root / "regions" / "north"
    without = tuple(replace(o, key=None) if o.name == "north" else o for o in keys.regions)
    (home / "checkpoint.note").write_bytes(north.checkpoint())
    path, whole = tmp_path / "operators.zip", tmp_path / "whole.zip"
    packed = write_pack(made.root, path, PackKeys(keys.operator, without))
    (home / "checkpoint.note").unlink()
    (found,) = check_pack(path, made.auditor_keys).findings

    assert packed.unsigned == ("north",)
    assert (found.outcome, found.region) == (Outcome.INCOMPLETE, "north")

    countersign(path, whole, [Signer(region_signer(north.uid), north.key)])
    assert check_pack(whole, made.auditor_keys).outcome is Outcome.HOLDS


def test_a_pack_needs_the_region_or_its_checkpoint(made: MadeRun, tmp_path: Path) -> None:
    """Without the ledger's key and without a signed checkpoint there is nothing to pack."""
    keys = made.pack_keys
    without = tuple(replace(one, key=None) for one in keys.regions)
    with pytest.raises(PackSourceError, match=r"checkpoint\.note"):
        write_pack(made.root, tmp_path / "no.zip", PackKeys(keys.operator, without))
    with pytest.raises(PackSourceError, match=r"report\.json"):
        write_pack(tmp_path, tmp_path / "no.zip", keys)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "path",
    [
        *("ledger/north.jsonl", "ledger/north.checkpoint", "approvals/north.signature"),
        *("server/transcript.jsonl", "rounds/00000.transcript", "report.json", "plan.json"),
    ],
)
def test_what_is_missing_is_asked_for(made: MadeRun, pack: Path, tmp_path: Path, path: str) -> None:
    """Even where everybody signed that there is no such file, the check does not hold."""
    files = contents(pack)
    del files[path]
    thin = tmp_path / "thin.zip"
    thin.write_bytes(resigned(files, made, regions=EVERYBODY))
    result = check_pack(thin, made.auditor_keys)

    assert result.outcome is not Outcome.HOLDS
    assert any(path.split("/")[0] in one.where + one.text for one in result.findings)


def test_a_field_that_nobody_recomputes_is_not_passed_over(
    made: MadeRun, pack: Path, tmp_path: Path
) -> None:
    """What the schema marks and this release does not know leaves the check incomplete."""
    files = contents(pack)
    marked = {"x-recomputed": True}
    region = {"items": {"properties": {"charged": marked, "moon": marked, "absent": marked}}}
    files["schema.json"] = json.dumps({"properties": {"regions": region}}).encode()
    report = json.loads(files["report.json"])
    report["regions"][0]["moon"] = "full"
    files["report.json"] = json.dumps(report, separators=(",", ":"), sort_keys=True).encode()
    path = tmp_path / "marked.zip"
    path.write_bytes(resigned(files, made, regions=EVERYBODY))
    (found,) = check_pack(path, made.auditor_keys).findings

    assert (found.outcome, found.check) == (Outcome.INCOMPLETE, Check.FIGURES)
    assert "regions.moon" in found.text
    assert "charged" not in found.text
    assert "absent" not in found.text


def test_no_pack_at_all_is_incomplete(made: MadeRun, tmp_path: Path) -> None:
    """A file that is not there says nothing against the run."""
    result = check_pack(tmp_path / "none.zip", made.auditor_keys)

    assert (result.outcome, result.regions) == (Outcome.INCOMPLETE, ())
