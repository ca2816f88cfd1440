"""The ``stillroom`` command. Heavy packages are imported by the command that needs them."""

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from stillroom.exits import Exit, one_sentence
from stillroom.region_commands import region

app = typer.Typer(
    help="Distil a large teacher into a small student across regions that may not share data.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(region, name="region")

Out = Annotated[Path, typer.Option(help="Folder for everything that the run leaves.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with the run in the folder.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object, and nothing else.")]

# Before torch, transformers and flwr are imported: no spinning threads, no calls home.
_ENVIRONMENT = {
    "OMP_WAIT_POLICY": "passive",
    "TRANSFORMERS_VERBOSITY": "error",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
}


def run() -> None:
    """Run the command line."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    app()


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(version("stillroom"))
        raise typer.Exit(Exit.DONE)


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Hold the options of the command itself."""


@app.command(epilog="Example: stillroom demo --out runs/demo")
def demo(out: Out = Path("runs/demo"), resume: Resume = False, as_json: Json = False) -> None:
    """Run the default study on this machine, offline, on real text."""
    with one_sentence():
        from stillroom.simulating import run_demo

        run_demo(out, resume=resume, as_json=as_json)


@app.command(epilog="Example: stillroom simulate study.toml --out runs/first")
def simulate(
    study: Annotated[Path, typer.Argument(help="The study, a TOML file.")],
    out: Out,
    resume: Resume = False,
    as_json: Json = False,
) -> None:
    """Run a whole federation on this machine: real masks, ledgers and noise."""
    with one_sentence():
        from stillroom.simulating import run_study

        run_study(study, out, resume=resume, as_json=as_json)


@app.command(epilog="Example: stillroom plan study.toml --out plans/first/plan.json")
def plan(
    study: Annotated[Path, typer.Argument(help="The study, a TOML file.")],
    out: Annotated[Path, typer.Option(help="Where the plan goes; artifacts beside it.")],
    as_json: Json = False,
) -> None:
    """Freeze every release that a region may make, and say what it costs each region."""
    with one_sentence():
        from stillroom.planning import write_plan

        write_plan(study, out, as_json=as_json)


@app.command(epilog="Example: stillroom verify runs/demo")
def verify(
    folder: Annotated[Path, typer.Argument(help="A run's folder.")], as_json: Json = False
) -> None:
    """Check that the regions' ledgers say what the report says."""
    with one_sentence():
        from stillroom.verifying import verify_folder

        raise typer.Exit(verify_folder(folder, as_json=as_json))


@region.command(epilog="Example: stillroom region budget runs/demo/regions/north")
def budget(
    folder: Annotated[Path, typer.Argument(help="The region's folder, or its ledger.")],
    as_json: Json = False,
) -> None:
    """Show what was granted, charged, reserved and executed, and what is left."""
    with one_sentence():
        from stillroom.budget import budget_rows, print_budget

        rows = budget_rows(folder)
        if as_json:
            typer.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        else:
            print_budget(rows)
