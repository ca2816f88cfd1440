"""``stillroom region …``: the steward's commands; each parses, calls and prints."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from privacy.guarantee import Neighbours, Unit
from privacy.lineage import TeacherLineage
from stillroom.exits import Exit, one_sentence

if TYPE_CHECKING:
    from client.policy import Policy
    from privacy.plan import Plan
    from protocol.identity import Registry
    from stillroom.region_costs import Cost

region = typer.Typer(help="What a region's data steward does.", no_args_is_help=True)

Folder = Annotated[Path, typer.Argument(help="The region's folder.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object, and nothing else.")]
Yes = Annotated[bool, typer.Option("--yes", help="Ask nothing.")]


def _print_json(values: object) -> None:
    typer.echo(json.dumps(values, indent=2, ensure_ascii=False))


@region.command(
    epilog="Example: stillroom region init region --name north --records records.csv --text title "
    "--lineage admissions --public-size 1800 --epsilon 4 --delta 1e-5"
)
def init(
    folder: Folder,
    name: Annotated[str, typer.Option(help="The region's name, as in plans.")],
    records: Annotated[Path, typer.Option(help="The records: csv, jsonl or parquet.")],
    text: Annotated[str, typer.Option(help="Column of the text.")],
    lineage: Annotated[str, typer.Option(help="Name of the data, the same for all versions.")],
    epsilon: Annotated[str, typer.Option(help="What may ever be spent on the data: ε.")],
    delta: Annotated[str, typer.Option(help="And δ; below one over the public size.")],
    public_size: Annotated[int, typer.Option(min=1, help="A public bound on the units.")],
    label: Annotated[str | None, typer.Option(help="Column of the label.")] = None,
    unit: Annotated[str | None, typer.Option(help="Column of the privacy unit.")] = None,
    protects: Annotated[Unit, typer.Option(help="What the budget protects.")] = Unit.RECORD,
    neighbours: Annotated[
        Neighbours, typer.Option(help="Which two data sets are hard to tell apart.")
    ] = Neighbours.ADD_OR_REMOVE_ONE,
    teacher: Annotated[
        list[TeacherLineage] | None,
        typer.Option(help="A teacher's lineage to allow; may be given again. Default: public."),
    ] = None,
    min_cohort: Annotated[int, typer.Option(help="Fewest regions in a plan.")] = 5,
    min_survivors: Annotated[int, typer.Option(help="Fewest regions in a sum.")] = 3,
    max_weight: Annotated[str, typer.Option(help="Largest share of one region.")] = "1/2",
    assumed_colluders: Annotated[
        int, typer.Option(help="Regions that may work with the coordinator.")
    ] = 0,
    label_days: Annotated[int, typer.Option(help="How long a soft label is kept.")] = 30,
    as_json: Json = False,
) -> None:
    """Make a region: keys, policy, and a ledger with its budget."""
    with one_sentence():
        from distillation.records import Columns
        from stillroom.region_making import Wishes, make_region

        wishes = Wishes(
            name=name,
            records=records,
            columns=Columns(text=text, label=label, unit=unit),
            lineage=lineage,
            protects=protects,
            neighbours=neighbours,
            epsilon=epsilon,
            delta=delta,
            public_size=public_size,
            teachers=tuple(teacher or [TeacherLineage.PUBLIC]),
            min_cohort=min_cohort,
            min_survivors=min_survivors,
            max_weight=max_weight,
            assumed_colluders=assumed_colluders,
            label_days=label_days,
        )
        made, keys = make_region(folder, wishes)
        shown = {
            "region": name,
            "identity_key": keys.identity_key.hex(),
            "ledger_key": keys.ledger_key.hex(),
            "policy": str(made.policy),
        }
        if as_json:
            _print_json(shown)
            return
        typer.echo(f"made the region {name} in {folder}; public keys for the registry:")
        typer.echo(f"  identity key  {shown['identity_key']}")
        typer.echo(f"  ledger key    {shown['ledger_key']}")
        typer.echo(
            f"next: back up {folder}, read {made.policy}, send name and public keys to whoever "
            f"collects the registry, and pin it: stillroom region pin {folder} REGISTRY"
        )


@region.command(epilog="Example: stillroom region pin region registry.bin")
def pin(
    folder: Folder,
    registry: Annotated[Path | None, typer.Argument(help="The registry.")] = None,
    change: Annotated[
        list[Path] | None,
        typer.Option(help="A signed change of the pinned registry; give several in order."),
    ] = None,
    expected: Annotated[
        str | None, typer.Option("--hash", help="The hash that somebody read out; asks nothing.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Pin the registry of everybody's public keys, after its hash was compared."""
    with one_sentence():
        from client.policy import Policy
        from stillroom import region_pinning
        from stillroom.region_opening import region_folder

        home = region_folder(folder)
        policy = Policy.load(home.policy)
        found = region_pinning.proposed_registry(home, policy, registry, change or [])
        if expected is not None:
            region_pinning.require_hash(found, expected)
        else:
            _ask_for_hash(found, as_json=as_json)
        region_pinning.pin(home, policy, found)
        if as_json:
            _print_json({"registry_sha256": found.hash.hex(), "epoch": found.epoch})
            return
        typer.echo(
            f"pinned epoch {found.epoch} with {len(found.regions)} regions; next: stillroom "
            f"region check {folder}; a client that runs takes it up when it is started again"
        )


def _ask_for_hash(registry: "Registry", *, as_json: bool) -> None:
    from stillroom.region_opening import ask_to_type, leave
    from stillroom.region_pinning import groups_of_four

    if as_json:
        leave("--json asks nothing: give the hash that you compared as --hash", Exit.BAD_INPUT)
    names = ", ".join(sorted(one.name for one in registry.regions))
    typer.echo(f"epoch {registry.epoch} of {len(registry.regions)} regions: {names}; its hash:")
    typer.echo(f"  {groups_of_four(registry.hash)}")
    ask_to_type(
        "same",
        question="Read it to the other stewards, by phone; type 'same' if they have the same",
        otherwise="nothing is pinned",
    )


@region.command(epilog="Example: stillroom region check region --plan plan.json")
def check(
    folder: Folder,
    plan: Annotated[Path | None, typer.Option(help="A plan, to be held against it.")] = None,
    as_json: Json = False,
) -> None:
    """Check everything that can be checked without spending, and say what a plan would cost."""
    with one_sentence():
        from stillroom.region_checking import check_region
        from stillroom.region_opening import region_folder

        checked = check_region(region_folder(folder), plan)
        if as_json:
            _print_json(
                {
                    "holds": checked.exit_code is Exit.DONE,
                    "findings": [
                        {"what": one.what, "outcome": one.outcome.name.lower(), "text": one.text}
                        for one in checked.findings
                    ],
                    "costs": [one.to_json() for one in checked.costs],
                }
            )
        else:
            for one in checked.findings:
                typer.echo(f"{one.outcome.name.lower()} · {one.what}: {one.text}")
            if plan is None:
                typer.echo("not looked at without --plan: artifacts, teacher, cost")
        raise typer.Exit(checked.exit_code)


@region.command(epilog='Example: stillroom region approve region --plan plan.json --by "A. Name"')
def approve(
    folder: Folder,
    plan: Annotated[Path, typer.Option(help="The plan.")],
    by: Annotated[str, typer.Option(help="Who approves, as the report will name them.")],
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Charge a plan to the region's account and sign it."""
    with one_sentence():
        from stillroom.region_approving import approve_plan
        from stillroom.region_opening import leave, region_folder

        if as_json and not yes:
            leave("--json asks nothing: add --yes, once you have read the plan", Exit.BAD_INPUT)

        def confirm(policy: "Policy", plan: "Plan", price: "Sequence[Cost]") -> None:
            if not as_json:
                _show_plan(policy, plan, price)
            if not yes:
                _ask_for_name(policy)

        done = approve_plan(region_folder(folder), plan, by=by, confirm=confirm)
        if as_json:
            price = [one.to_json() for one in done.costs]
            _print_json({"plan": done.plan.hash, "approved_before": done.before, "costs": price})
        elif done.before:
            typer.echo(f"plan {done.plan.hash[:16]} is approved already; nothing was charged")
        else:
            typer.echo(
                f"approved plan {done.plan.hash[:16]}; next: start the region's client, or start "
                "it again if it runs"
            )


def _show_plan(policy: "Policy", plan: "Plan", price: "Sequence[Cost]") -> None:
    typer.echo(
        f"plan {plan.hash[:16]}, study {plan.study}: {len(plan.regions)} regions, {plan.rounds} "
        f"rounds, teacher {plan.teacher.lineage}, account {policy.lineage}"
    )
    typer.echo(plan.teacher.not_covered)
    for one in price:
        for sentence in one.sentences():
            typer.echo(f"  {sentence}")


def _ask_for_name(policy: "Policy") -> None:
    from stillroom.region_opening import ask_to_type

    ask_to_type(
        policy.region,
        question="A charge is never given back. Type the region's name to approve",
        otherwise="nothing was charged",
    )


@region.command(epilog='Example: stillroom region halt region --reason "a patient objected"')
def halt(
    folder: Folder,
    reason: Annotated[str, typer.Option(help="For the region's own people; it never leaves.")],
    as_json: Json = False,
) -> None:
    """Stop the region at once: nothing more is trained or sent, also by a running client."""
    with one_sentence():
        from client.folder import RegionFolder
        from stillroom.region_halting import halt_region

        done = halt_region(RegionFolder(folder), reason=reason)
        shown = {"since": done.halt.since, "before": done.before, "updates_sent": done.sends}
        if as_json:
            _print_json(shown)
            return
        typer.echo(
            f"{'halted already' if done.before else 'halted'}: nothing is trained or sent; "
            f"masked updates that had left, over all plans: {done.sends}"
        )
        typer.echo(f"to go on: stillroom region resume {folder}")


@region.command(epilog="Example: stillroom region resume region")
def resume(folder: Folder, as_json: Json = False) -> None:
    """Let a halted region go on."""
    with one_sentence():
        from stillroom.region_halting import resume_region
        from stillroom.region_opening import region_folder

        was_halted = resume_region(region_folder(folder))
        if as_json:
            _print_json({"was_halted": was_halted})
        else:
            typer.echo("resumed" if was_halted else "the region was not halted")


@region.command(epilog="Example: stillroom region sent region")
def sent(folder: Folder, as_json: Json = False) -> None:
    """Show what left the region for the coordinator, and whether its ledger agrees."""
    with one_sentence():
        from stillroom.region_leaving import what_left
        from stillroom.region_opening import region_folder

        left = what_left(region_folder(folder))
        if as_json:
            _print_json(left.to_json())
        else:
            for sentence in left.sentences():
                typer.echo(sentence)
        raise typer.Exit(left.exit_code)
