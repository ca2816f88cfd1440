"""``stillroom region audit``, ``freeze`` and ``lift``, parsed and printed."""

import json
from pathlib import Path
from typing import Annotated

import typer

from stillroom.exits import Exit, one_sentence
from stillroom.region_commands import Folder, Json, Yes

_AUDIT = 'Example: stillroom region audit region --who "A. Name" --out evidence'
_FREEZE = (
    'Example: stillroom region freeze region --by "A. Name" --reason "the audit of 3 May" '
    "--audit runs/first/evidence/audit-01.json"
)
_LIFT = (
    'Example: stillroom region lift region --by "A. Name" --reason "the noise was halved; '
    'release 0.3 has it right" --epsilon 1.2 --delta 1e-6'
)


def add_incident_commands(region: typer.Typer) -> None:
    """Add the commands to the steward's."""
    region.command(epilog=_AUDIT)(audit)
    region.command(epilog=_FREEZE)(freeze)
    region.command(epilog=_LIFT)(lift)


def audit(
    folder: Folder,
    who: Annotated[str, typer.Option(help="Who runs it; the result says so.")],
    out: Annotated[
        Path | None, typer.Option(help="A folder for the results; a run's pack takes its own.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Attack the region's own finished training by its secret coins, as the plan declares."""
    with one_sentence():
        from stillroom.region_auditing import audit as audit_own
        from stillroom.region_opening import region_folder

        done = audit_own(region_folder(folder), who=who, out=out)
        if as_json:
            found = [result.to_json() for result in done.results]
            typer.echo(json.dumps({"results": found}, indent=2, ensure_ascii=False))
        else:
            for result in done.results:
                typer.echo(f"{result.method}: {result.sentence}")
            if done.exit_code is not Exit.DONE:
                typer.echo("a bound is above the claim: the account is frozen (region budget)")
        raise typer.Exit(done.exit_code)


def freeze(
    folder: Folder,
    reason: Annotated[str, typer.Option(help="For the ledger, which is shown to auditors.")],
    by: Annotated[str, typer.Option(help="Who stops the account, as the ledger will name them.")],
    audit: Annotated[
        list[Path] | None, typer.Option(help="An audit above its claim; may be given again.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Stop the region's account for an incident: nothing is approved, trained or sent under it."""
    with one_sentence():
        from stillroom.region_incidents import freeze as freeze_account
        from stillroom.region_opening import region_folder

        done = freeze_account(region_folder(folder), reason=reason, by=by, audits=audit or [])
        if as_json:
            shown = {"account": done.lineage, "frozen": done.reason, "steps": list(done.steps)}
            typer.echo(json.dumps(shown, indent=2, ensure_ascii=False))
            return
        typer.echo(f"the account {done.lineage} is frozen; what has to be done now:")
        for number, step in enumerate(done.steps, start=1):
            typer.echo(f"  {number}. {step}")
        typer.echo(f"to go on after that: stillroom region lift {folder}")


def lift(
    folder: Folder,
    reason: Annotated[str, typer.Option(help="The cause, and why it cannot come again.")],
    by: Annotated[str, typer.Option(help="Who answers for that, as the ledger will name them.")],
    epsilon: Annotated[str, typer.Option(help="Charged for the finding, against each limit.")],
    delta: Annotated[str, typer.Option(help="And its δ.")],
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Let a frozen account be used again: charged for what was found, and signed by the region."""
    with one_sentence():
        from client.policy import Policy
        from stillroom.region_incidents import lift as lift_account
        from stillroom.region_making import number
        from stillroom.region_opening import ask_to_type, leave, region_folder

        home = region_folder(folder)
        if as_json and not yes:
            leave("--json asks nothing: add --yes, once the cause is found", Exit.BAD_INPUT)
        if not yes:
            ask_to_type(
                Policy.load(home.policy).region,
                question=f"ε = {epsilon}, δ = {delta} are charged and never given back. Type the "
                "region's name to lift the freeze",
                otherwise="the account stays frozen",
            )
        charge = (number(epsilon, "--epsilon"), number(delta, "--delta"))
        name = lift_account(home, epsilon=charge[0], delta=charge[1], reason=reason, by=by)
        if as_json:
            typer.echo(json.dumps({"account": name, "frozen": None}, ensure_ascii=False))
        else:
            typer.echo(
                f"the account {name} may be used again; next: stillroom region check {folder}"
            )
