"""``stillroom verify``: the auditor's own fold of every ledger, held against the report."""

import json
from pathlib import Path

import typer

from stillroom.terminal import out
from verify.findings import Result
from verify.ledger_check import check_ledgers
from verify.sums_check import check_sums

_SUMS = " and with the published rounds"


def verify_folder(folder: Path, *, as_json: bool) -> int:
    """Print every finding and return the exit code: 0 holds, 1 violated, 4 incomplete."""
    result = check_ledgers(folder)
    published = (folder / "rounds").is_dir()
    if published:
        sums = check_sums(folder)
        result = Result(result.findings + sums.findings, result.regions)
    if as_json:
        findings = [
            {"outcome": one.outcome.name.lower(), "region": one.region, "text": one.text}
            for one in result.findings
        ]
        found = {"outcome": result.outcome.name.lower(), "findings": findings}
        typer.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return result.outcome.value
    for one in result.findings:
        out.print(f"{one.outcome.name.lower()} · {one.region or 'run'}: {one.text}", soft_wrap=True)
    out.print(
        f"{result.outcome.name.lower()}: the ledgers of {len(result.regions)} regions were "
        f"compared with the report{_SUMS if published else ''} in full; that noise was added, that "
        "the data are what was declared, that the sums are the sums, and that no ledger lost its "
        "end cannot be seen from here",
        soft_wrap=True,
    )
    return result.outcome.value
