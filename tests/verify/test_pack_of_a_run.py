"""The pack of a run in which models were trained and vectors masked, not a made one."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from privacy.canonical import Json, dumps
from stillroom.packing import auditor_keys_of, pack_run
from tests.client import region_builder
from tests.client.region_builder import World
from tests.server.direct import honest, run
from verify.evidence import read_state, region_folder
from verify.findings import Check, Outcome
from verify.pack_check import check_pack
from verify.recomputed import figures


def _write_report(world: World) -> None:
    """Write the figures that every report has, read off the ledgers."""
    root, plan = world.run.root, world.plan
    regions: list[Json] = [
        dict(figures(read_state(region_folder(root, name)), plan, name)) for name in plan.cohort
    ]
    said = {"plan": plan.hash, "study": plan.study, "regions": regions}
    (root / "report.json").write_bytes(dumps(said))


@pytest.mark.slow
def test_a_real_run_holds_and_its_lies_do_not(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    """Five regions, three rounds, one region lost on the way, every key in its own folder."""
    world = region_builder.make(tmp_path_factory.mktemp("packed"))
    world.approve_all()
    run(world, honest, away=1)
    _write_report(world)
    pack, keys = tmp_path / "pack.zip", auditor_keys_of(world.run.root)
    pack_run(world.run.root, pack)
    result = check_pack(pack, keys)

    assert (result.outcome, result.findings) == (Outcome.HOLDS, ())
    assert result.regions == world.plan.cohort

    shutil.copy(
        world.run.root / "regions" / "b" / "ledger.db",
        world.run.root / "regions" / "a" / "ledger.db",
    )
    pack_run(world.run.root, pack)
    found = {one.check for one in check_pack(pack, keys).findings if one.region == "a"}
    assert {Check.LEDGERS, Check.CHECKPOINTS} <= found
