"""An auditor sees a freeze that stands, and a lift that the region did not sign."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from privacy.guarantee import Bound
from privacy.ledger_entries import Freeze, Lift, Note
from privacy.pack import write_pack
from protocol.identity import Identity
from tests.verify.made_region import LINEAGE, MadeRegion
from tests.verify.made_run import MadeRun, made_run
from verify.findings import Check, Outcome, Result
from verify.pack_check import check_pack

FREEZE = Freeze(LINEAGE, "an audit", {}, "A. Auditor")


def _lift(run: MadeRun, one: MadeRegion, signer: Identity) -> Lift:
    charge = Bound(run.plan.unit, run.plan.neighbours, Decimal("0.5"), Decimal("0.00001"))
    lift = Lift(LINEAGE, (charge,), "mended", "A. Steward", "")
    context = bytes.fromhex(one.state.head)
    signed = signer.sign("lift", context=context, uid=one.uid, body=lift.said)
    return replace(lift, signature=signed.hex())


def _checked(run: MadeRun, folder: Path) -> Result:
    run.write()
    write_pack(run.root, folder / "pack.zip", run.pack_keys)
    return check_pack(folder / "pack.zip", run.auditor_keys)


def test_a_frozen_account_is_told(tmp_path: Path) -> None:
    """It speaks neither for nor against the releases before it."""
    run = made_run(tmp_path / "run", rounds=1)
    run.region("north").add(FREEZE)
    found = _checked(run, tmp_path)

    assert f"north: the account {LINEAGE} is frozen: an audit" in found.notes
    assert found.outcome is Outcome.HOLDS


@pytest.mark.parametrize(("bound", "outcome"), [("2.5", Outcome.HOLDS), ("3.5", Outcome.VIOLATED)])
def test_a_regions_own_audit_is_held_against_its_claim(
    tmp_path: Path, bound: str, outcome: Outcome
) -> None:
    """In the ledger alone: no other file of the pack says so."""
    run = made_run(tmp_path / "run", rounds=1)
    audit = Note(
        "audit", {"plan": run.plan.hash, "results": [{"lower_bound": bound, "claim": "3"}]}
    )
    run.region("north").add(audit)
    found = _checked(run, tmp_path)

    assert found.outcome is outcome
    assert {one.check for one in found.findings} == ({Check.TESTS} if bound == "3.5" else set())


@pytest.mark.parametrize("forged", [False, True])
def test_a_lift_counts_with_the_regions_signature_only(tmp_path: Path, forged: bool) -> None:
    """Another region's key is a stranger's."""
    run = made_run(tmp_path / "run", rounds=1)
    north = run.region("north")
    north.add(FREEZE)
    signer = run.region("west").identity if forged else north.identity
    north.add(_lift(run, north, signer))
    found = _checked(run, tmp_path)
    about = [one for one in found.findings if "lifts a freeze" in one.text]

    assert [(one.check, one.region) for one in about] == [(Check.LEDGERS, "north")] * forged
    assert (found.outcome is Outcome.VIOLATED) == forged
