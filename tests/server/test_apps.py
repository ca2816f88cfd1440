"""The ServerApp and the ClientApp of a deployment, as they are, over the in-process grid."""

from pathlib import Path

import pytest
from flwr.app import Context, RecordDict

import client.app
import server.app
from client.app import FOLDER_KEY
from client.errors import RegionFolderError
from privacy.ledger import Ledger
from privacy.plan import TRAIN
from server.errors import ServerError
from simulations.grid import LocalGrid
from tests.client.region_builder import World, clock

pytestmark = pytest.mark.slow


def _context(**node_config: str) -> Context:
    return Context(1, 1, node_config=dict(node_config), state=RecordDict(), run_config={})


def test_the_two_apps_run_a_plan_to_its_end(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each node finds its region by its own configuration; the coordinator by its environment."""
    monkeypatch.setattr("client.app._now", clock)
    monkeypatch.setenv(server.app.FOLDER, str(world.run.root))
    folders = {
        node: {FOLDER_KEY: str(world.run.region(name).root)}
        for node, name in enumerate(world.plan.cohort, start=2)
    }
    apps = dict.fromkeys(folders, client.app.app)
    with LocalGrid(apps, node_configs=folders) as grid:
        server.app.main(grid, _context())
    for name in world.plan.cohort:
        with Ledger.open(world.run.region(name).ledger, clock=clock) as ledger:
            rounds = range(world.plan.rounds)
            assert all(ledger.state.released(world.plan.hash, r, TRAIN) for r in rounds)


def test_without_their_folders_they_say_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither takes a folder from the other side."""
    monkeypatch.delenv(server.app.FOLDER, raising=False)
    with pytest.raises(ServerError, match=server.app.FOLDER):
        server.app.main(LocalGrid({}), _context())
    with pytest.raises(RegionFolderError, match=FOLDER_KEY):
        client.app._folder(_context())


def test_an_error_stays_in_the_regions_own_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In its folder where there is one, else on the node's console."""
    client.app._report(_context(**{FOLDER_KEY: str(tmp_path)}), ValueError("row 17"))
    client.app._report(_context(), ValueError("row 18"))

    assert "row 17" in (tmp_path / "errors.log").read_text()
    assert "row 18" in capsys.readouterr().err
