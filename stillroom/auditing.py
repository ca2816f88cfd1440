"""``stillroom audit STUDY.toml``: attack the study's own trainer, and say what that shows.

It never confirms a claim: it finds evidence against it, or none with so much power, or could not
have found any.
"""

import json
import time
from datetime import UTC, datetime
from pathlib import Path

import torch
import typer

from simulations.auditing import StudyAudit, audit_study
from stillroom.exits import Exit
from stillroom.terminal import out


def run_audit(
    study: Path, *, canaries: int, runs: int, who: str, evidence: Path | None, as_json: bool
) -> Exit:
    """Audit, print every result, and keep each where a report will find it.

    Args:
        study: The study.
        canaries: How many in a run.
        runs: Independent runs.
        who: Who runs it.
        evidence: A folder for the results, such as a run's ``evidence``; None keeps none.
        as_json: Print one JSON object.

    Returns:
        DONE, or FAILED if a bound is above the claim.
    """
    torch.set_num_threads(1)  # small steps: a second thread waits more than it works
    date = datetime.fromtimestamp(int(time.time()), UTC).strftime("%Y-%m-%d")
    audit = audit_study(study, canaries=canaries, runs=runs, date=date, who=who)
    if evidence is not None:
        evidence.mkdir(parents=True, exist_ok=True)
        for number, result in enumerate(audit.found.results, start=1):
            (evidence / f"audit-{number:02d}.json").write_bytes(result.to_bytes())
    if as_json:
        found = [result.to_json() for result in audit.found.results]
        claim = audit.claim.to_json()
        typer.echo(json.dumps({"claim": claim, "results": found}, ensure_ascii=False))
    else:
        _tell(audit)
    return Exit.FAILED if audit.found.flagged else Exit.DONE


def _tell(audit: StudyAudit) -> None:
    out.print(f"attacked was the claim {audit.claim}", soft_wrap=True, markup=False)
    for result in audit.found.results:
        out.print(f"{result.method}: {result.sentence}", soft_wrap=True, markup=False)
    if audit.found.flagged:
        out.print(
            "a bound is above the claim: release nothing under this plan, run "
            "'stillroom region check', and audit again with new coins",
            soft_wrap=True,
        )
