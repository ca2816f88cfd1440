"""The ``stillroom`` command. Heavy packages are imported by the command that needs them."""

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from stillroom.exits import Exit, one_sentence
from stillroom.region_commands import region
from stillroom.region_incident_commands import add_incident_commands

app = typer.Typer(
    help="Distil a large teacher into a small student across regions that may not share data.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(region, name="region")
add_incident_commands(region)

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


@app.command(
    epilog="Example: stillroom evaluate runs/demo/student --on runs/demo-data/test.csv "
    "--text title --label chapter"
)
def evaluate(
    student: Annotated[Path, typer.Argument(help="Folder of the student.")],
    on: Annotated[Path, typer.Option("--on", help="Labelled public records: CSV, JSONL, Parquet.")],
    teacher: Annotated[Path | None, typer.Option(help="Folder of its teacher.")] = None,
    against: Annotated[Path | None, typer.Option(help="Folder of another student.")] = None,
    text: Annotated[str, typer.Option(help="Column of the texts.")] = "text",
    label: Annotated[str, typer.Option(help="Column of the labels.")] = "label",
    slices: Annotated[
        list[str] | None, typer.Option("--slice", help="A column to slice by; may be repeated.")
    ] = None,
    cost: Annotated[bool, typer.Option(help="Measure time and memory too.")] = True,
    seed: Annotated[int, typer.Option(min=0, help="Of the resamples.")] = 0,
    as_json: Json = False,
) -> None:
    """Say what a student is worth on public records, by part, and how sure that is."""
    with one_sentence():
        from distillation.measure.bootstrap import Resampling
        from stillroom.evaluating import Question, evaluate_student

        question = Question(
            student=student,
            on=on,
            teacher=teacher,
            against=against,
            text=text,
            label=label,
            slices=tuple(slices or ()),
            with_cost=cost,
            resampling=Resampling(seed=seed),
        )
        evaluate_student(question, as_json=as_json)


@app.command(
    epilog="Example: stillroom audit study.toml --who 'A. Name' --evidence runs/first/evidence"
)
def audit(
    study: Annotated[Path, typer.Argument(help="The study, a TOML file.")],
    who: Annotated[str, typer.Option(help="Who runs it; the result says so.")],
    canaries: Annotated[int, typer.Option(min=10, help="Made-up records in a run.")] = 1000,
    runs: Annotated[int, typer.Option(min=1, help="Independent runs.")] = 1,
    evidence: Annotated[
        Path | None, typer.Option(help="A folder for the results; a run's pack takes its own.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Attack the study's trainer with canaries before any region is asked; no record is read."""
    with one_sentence():
        from stillroom.auditing import run_audit

        raise typer.Exit(
            run_audit(
                study, canaries=canaries, runs=runs, who=who, evidence=evidence, as_json=as_json
            )
        )


@app.command(
    epilog="Example: stillroom attack runs/demo/student --on members.csv --against others.csv "
    "--text title --label chapter --reference runs/demo/artifacts/student"
)
def attack(
    student: Annotated[Path, typer.Argument(help="Folder of a released student.")],
    on: Annotated[Path, typer.Option("--on", help="Records that it was trained on.")],
    against: Annotated[Path, typer.Option(help="Records like them that it was not.")],
    reference: Annotated[
        Path | None, typer.Option(help="Folder of a model that saw neither of them.")
    ] = None,
    text: Annotated[str, typer.Option(help="Column of the texts.")] = "text",
    label: Annotated[
        str | None, typer.Option(help="Column of the labels; classifiers only.")
    ] = None,
    ending: Annotated[
        int, typer.Option(min=1, help="Tokens of a text that a language model is asked for.")
    ] = 8,
    epsilon: Annotated[
        float | None, typer.Option(min=0, max=700, help="The claim, to show what it allows.")
    ] = None,
    delta: Annotated[float, typer.Option(min=0, max=1, help="And its δ.")] = 0.0,
    as_json: Json = False,
) -> None:
    """Tell members from others by a student's answers alone; say what the test could have seen."""
    with one_sentence():
        from distillation.records import Columns
        from stillroom.attacking import run_attack

        raise typer.Exit(
            run_attack(
                student,
                on=on,
                against=against,
                reference=reference,
                columns=Columns(text=text, label=label),
                ending=ending,
                claim=None if epsilon is None else (epsilon, delta),
                as_json=as_json,
            )
        )


@app.command(epilog="Example: stillroom report runs/demo --out pack.zip")
def report(
    folder: Annotated[Path, typer.Argument(help="A run's folder.")],
    out: Annotated[
        Path | None, typer.Option(help="A folder, or a pack: NAME.zip. Without it, the run's own.")
    ] = None,
    init: Annotated[
        bool, typer.Option("--init", help="Write declarations.toml: what only a person can say.")
    ] = False,
    pdf: Annotated[bool, typer.Option("--pdf", help="A PDF too; needs the extra [pdf].")] = False,
    as_json: Json = False,
) -> None:
    """Complete a run's report from its ledgers and declarations; write it, or a pack of it."""
    with one_sentence():
        from stillroom.packing import pack_run
        from stillroom.reporting_commands import write_declarations, write_report

        if init:
            raise typer.Exit(write_declarations(folder))
        packed = out is not None and out.suffix == ".zip"
        target = folder if out is None or packed else out
        code = write_report(folder, target, pdf=pdf, as_json=as_json)
        if out is not None and packed:
            pack_run(folder, out, say=not as_json)
        raise typer.Exit(code)


@app.command(
    epilog="Example: stillroom verify runs/demo/pack.zip --keys runs/demo/auditor-keys.toml"
)
def verify(
    path: Annotated[Path, typer.Argument(help="A pack, or a run's folder.")],
    keys: Annotated[
        Path | None, typer.Option(help="The auditor's keys, which did not come with the pack.")
    ] = None,
    checkpoint: Annotated[
        list[Path] | None, typer.Option(help="A ledger's checkpoint that was kept; any number.")
    ] = None,
    since: Annotated[
        Path | None, typer.Option(help="An earlier pack of the same accounts.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Check a pack, trusting nobody's word in it; or a run's folder against its own ledgers."""
    with one_sentence():
        from stillroom.verifying import verify_path

        raise typer.Exit(
            verify_path(path, keys=keys, checkpoints=checkpoint or (), since=since, as_json=as_json)
        )


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
