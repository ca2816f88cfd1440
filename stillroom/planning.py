"""``stillroom plan``: the public half of a study, up to the plan and what it costs."""

import json
from pathlib import Path

import typer

from distillation.step_size import follows_noise, learning_rate
from distillation.study import Study
from privacy.charging import charge
from privacy.guarantee import describe
from privacy.plan import TRAIN, Plan
from simulations.errors import RunFolderError
from simulations.prepare import Bench, prepare
from simulations.progress import Quiet
from simulations.run_folder import Journal, RunFolder
from simulations.study_data import StudyData
from stillroom.terminal import TerminalProgress, out, print_table


def write_plan(study_file: Path, target: Path, *, as_json: bool) -> None:
    """Make the plan and its artifacts in the target's folder and print what it costs.

    Raises:
        RunFolderError: If the target is not called plan.json, or its folder is not free.
    """
    if target.name != "plan.json":
        raise RunFolderError(
            f"expected --out DIR/plan.json, got {target}: the artifacts go beside the plan, so it "
            "needs a folder of its own"
        )
    study = Study.load(study_file)
    show = Quiet() if as_json else TerminalProgress()
    run = RunFolder(target.parent)
    run.open(study_file, resume=False)
    data, bench = StudyData.read(study), Bench.load(study)
    plan = prepare(study, data, bench, run, Journal(run.root / "events.jsonl"), show).plan
    rate = f"{learning_rate(study):f}"
    if as_json:
        said = {"plan": plan.hash, "learning_rate": rate, "regions": _costs(plan)}
        typer.echo(json.dumps(said, ensure_ascii=False))
        return
    rows = [[str(value) for value in row.values()] for row in _costs(plan)]
    print_table(["region", "ε", "noise σ", "clip C", "rate q", "steps", "public size"], rows)
    promise = describe(plan.promise.guarantee, unit=plan.unit, neighbours=plan.neighbours)
    out.print(f"plan {plan.hash[:16]} promises {promise} to each region's records")
    why = ", as the noise allows" if follows_noise(study) else ""
    out.print(f"a region's private steps have the learning rate {rate}{why}")
    out.print(f"written to {target}; next: every steward reads it and approves it")


def _costs(plan: Plan) -> list[dict[str, str | int]]:
    rows: list[dict[str, str | int]] = []
    for region in plan.regions:
        train = region.component(TRAIN)
        rows.append(
            {
                "region": region.name,
                "epsilon": f"{charge(plan, region.name).epsilon:f}",
                "noise_multiplier": f"{train.noise_multiplier:f}",
                "clip_norm": f"{plan.clip_norm:f}",
                "sample_rate": str(train.sample_rate),
                "steps": train.max_steps,
                "public_size": region.public_size,
            }
        )
    return rows
