"""A ledger whose end was cut off together with the report is told by any checkpoint of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from privacy.cosignatures import ledger_origin
from privacy.ledger import Ledger
from privacy.notes import Checkpoint, sign_note
from privacy.report.from_ledger import region_of
from privacy.tree import leaf_hash, root
from protocol.identity import Identity, RegionRecord, Registry, region_uid
from tests.privacy.builders import noon, ready_ledger, small_plan
from tests.privacy.report.builders import sample
from verify.checkpoint_check import checkpoint_differences, checkpoints_of
from verify.findings import Outcome
from verify.ledger_check import check_ledgers

NORTH = region_uid("north")
KEY = Identity.generate()
REGISTRY = Registry(
    epoch=0,
    quorum=1,
    regions=(
        RegionRecord(
            name="north",
            identity_key=Identity.generate().public_bytes(),
            ledger_key=KEY.public_bytes(),
            not_after=2**40,
        ),
    ),
    server_key=Identity.generate().public_bytes(),
    cosigner_key=Identity.generate().public_bytes(),
    server_not_after=2**40,
)
BODIES = tuple(f"{number}".encode() for number in range(9))
PLACES = (
    "regions/north/checkpoint.note",
    "regions/north/cosigned.note",
    f"server/witness/{NORTH.hex()}.note",
)


def put(folder: Path, place: str, bodies: Sequence[bytes], *, key: Identity = KEY) -> None:
    """Leave a checkpoint of these bodies in the run's folder."""
    origin = ledger_origin(NORTH)
    text = Checkpoint(origin, len(bodies), root(list(map(leaf_hash, bodies)))).to_text()
    path = folder / place
    path.parent.mkdir(parents=True, exist_ok=True)
    private = Ed25519PrivateKey.from_private_bytes(key.private_bytes())
    path.write_bytes(sign_note(text, name=origin, key=private))


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    ("bodies", "says"),
    [
        (BODIES, ""),
        (BODIES[:5], ""),
        ((*BODIES, b"cut off"), "cut off"),
        ((b"other", *BODIES[1:]), "rewritten"),
        ((*BODIES[:3], b"other"), "rewritten"),
    ],
)
def test_a_ledger_holds_what_its_checkpoints_say(
    tmp_path: Path, place: str, bodies: Sequence[bytes], says: str
) -> None:
    """Wherever the checkpoint was kept; its own past and present are fine."""
    put(tmp_path, place, bodies)
    found = list(checkpoint_differences(tmp_path, "north", BODIES, REGISTRY))
    assert len(found) == bool(says)
    assert all(says in text for text in found)


def test_a_checkpoint_of_another_key_is_a_finding(tmp_path: Path) -> None:
    """It binds nobody, and somebody put it there."""
    put(tmp_path, PLACES[0], BODIES, key=Identity.generate())
    (text,) = checkpoint_differences(tmp_path, "north", BODIES, REGISTRY)
    assert "no checkpoint of this region" in text


def test_a_stranger_is_not_bound(tmp_path: Path) -> None:
    (text,) = checkpoint_differences(tmp_path, "south", BODIES, REGISTRY)
    assert "no region south" in text


def test_a_run_without_checkpoints_has_none_to_hold(tmp_path: Path) -> None:
    assert list(checkpoints_of(tmp_path, "north")) == []
    assert list(checkpoint_differences(tmp_path, "north", BODIES, REGISTRY)) == []


def test_a_cut_ledger_and_a_report_of_it_are_found_out_by_a_checkpoint(tmp_path: Path) -> None:
    """Report and ledger agree on less than happened; a note that was kept does not."""
    plan, home = small_plan(), tmp_path / "regions" / "north"
    home.mkdir(parents=True)
    with ready_ledger(home / "ledger.db", plan) as ledger:
        report = sample(plan=plan.hash, regions=(region_of(ledger.state, plan),))
        ledger.note("incident", {"what": "something that the region would rather forget"})
        bodies = ledger.bodies()
    (tmp_path / "report.json").write_bytes(report.to_json())
    put(tmp_path, PLACES[0], bodies)
    assert [one.outcome for one in check_ledgers(tmp_path).findings] == [Outcome.INCOMPLETE]

    (tmp_path / "server").mkdir()
    (tmp_path / "server" / "registry.bin").write_bytes(REGISTRY.to_bytes())
    assert check_ledgers(tmp_path).findings == ()
    (home / "ledger.db").unlink()
    (home / "ledger.jsonl").write_bytes(b"\n".join(bodies[:-1]) + b"\n")
    (found,) = check_ledgers(tmp_path).findings
    assert (found.outcome, "its end was cut off" in found.text) == (Outcome.VIOLATED, True)
    with Ledger.create(home / "ledger.db", region="north", clock=noon):
        assert check_ledgers(tmp_path).outcome is Outcome.VIOLATED
