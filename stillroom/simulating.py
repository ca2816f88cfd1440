"""``stillroom demo`` and ``stillroom simulate``: run, then say what came out and where it is."""

import json
from pathlib import Path

import typer

from privacy.report.model import Report
from simulations.demo import prepare_demo
from simulations.progress import Progress, Quiet
from simulations.simulate import Options, simulate
from stillroom.exits import Exit
from stillroom.packing import pack_with_keys
from stillroom.reporting_commands import complete_report, files_of, write_files
from stillroom.terminal import TerminalProgress, out, print_table


def run_demo(target: Path, *, resume: bool, as_json: bool) -> None:
    """Write the demo's data beside the run, then run its study."""
    show: Progress = Quiet() if as_json else TerminalProgress()
    study = prepare_demo(target.with_name(f"{target.name}-data"), show)
    _run(study, target, show, resume=resume, as_json=as_json)


def run_study(study: Path, target: Path, *, resume: bool, as_json: bool) -> None:
    """Run a study."""
    show: Progress = Quiet() if as_json else TerminalProgress()
    _run(study, target, show, resume=resume, as_json=as_json)


def _run(study: Path, target: Path, show: Progress, *, resume: bool, as_json: bool) -> None:
    result = simulate(study, target, Options(resume=resume, show=show))
    with show.stage("The report with every figure, and the compliance pack"):
        report = complete_report(target, created_at=result.report.created_at, all_relations=False)
        write_files(files_of(report), target)
    if as_json:
        typer.echo(json.dumps(result.report.summary(), ensure_ascii=False))
    else:
        _print_report(result.report, target)
    pack_with_keys(target, say=not as_json)
    for sentence in result.missed_gates:
        typer.echo(f"stillroom: {sentence}", err=True)
    if result.missed_gates:
        raise typer.Exit(Exit.REFUSED)


def _print_report(report: Report, target: Path) -> None:
    arms = sorted(report.arms, key=lambda arm: arm.accuracy, reverse=True)
    out.print()
    print_table(
        ["", "accuracy", "± sd", "macro-F1", "seeds", "ε"],
        [
            [
                f"{arm.title} (released)" if arm.is_private_release else arm.title,
                f"{arm.accuracy:.3f}",
                f"{arm.accuracy_sd:.3f}",
                f"{arm.macro_f1:.3f}",
                str(arm.seeds),
                "–" if arm.epsilon is None else f"{arm.epsilon}",
            ]
            for arm in arms
        ],
    )
    charged = report.worst.charged
    out.print()
    out.print(report.verdict.headline)
    out.print(
        f"Each region's {charged.unit}s: ε = {charged.epsilon} at δ = {charged.delta:.0e}, "
        f"{charged.neighbours}; at most {report.bytes_out_per_region_round / 1000:.1f} kB left a "
        "region in a round, all of it masked and noised."
    )
    out.print(f"{report.seconds} s. Read {target / 'report.html'}")
