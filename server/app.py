"""The ServerApp of a deployment: opens the coordinator's folder and runs the plan's rounds.

The folder is in the environment of the process, ``STILLROOM_SERVER_FOLDER``; it holds the plan,
the public student, the registry and the coordinator's key. It wires and decides nothing.
"""

import os
from pathlib import Path

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from distillation.aggregate import ModelState
from distillation.kit import kit_of
from distillation.recipe import Recipe
from privacy.plan import Plan
from protocol.config import Deadlines
from protocol.identity import Identity, Registry
from server.errors import ServerError
from server.flower_adapter import FlowerTransport
from server.rounds import RoundLoop, RunTerms

FOLDER = "STILLROOM_SERVER_FOLDER"
_DEADLINES = Deadlines(
    advertise_s=600,
    encaps_s=600,
    shares_s=600,
    masked_s=24 * 3600,
    consent_s=600,
    unmask_s=600,
)

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run all rounds that are left."""
    folder = os.environ.get(FOLDER)
    if folder is None:
        raise ServerError(f"expected the coordinator's folder in {FOLDER}, which is not set")
    for _ in open_loop(Path(folder), grid).run():
        pass


def open_loop(folder: Path, grid: Grid) -> RoundLoop:
    """Return the round loop of the plan in a coordinator's folder."""
    recipe = Recipe.from_bytes((folder / "artifacts" / "recipe.json").read_bytes())
    kit = kit_of(recipe.task)
    part = kit.part(kit.load_student(folder / "artifacts" / "student"), recipe)
    terms = RunTerms(
        plan=Plan.from_bytes((folder / "plan.json").read_bytes()),
        layout=part.layout,
        registry=Registry.from_bytes((folder / "server" / "registry.bin").read_bytes()),
        identity=Identity.from_private_bytes((folder / "server" / "identity.key").read_bytes()),
        deadlines=_DEADLINES,
    )
    start = ModelState.start(part.vector())
    return RoundLoop(terms, FlowerTransport(grid), folder, start=start)
