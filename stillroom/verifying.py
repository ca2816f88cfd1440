"""``stillroom verify``: the auditor's own fold of every ledger, of a run's folder or of a pack."""

import json
from collections.abc import Sequence
from pathlib import Path

import typer

from stillroom.terminal import out
from verify.command import check_files
from verify.errors import BadKeysError
from verify.findings import Result
from verify.ledger_check import check_ledgers
from verify.sums_check import check_sums
from verify.telling import as_json as told_json
from verify.telling import lines

_BAD_INPUT = 2
_SUMS = " and with the published rounds"


def verify_path(
    path: Path,
    *,
    keys: Path | None = None,
    checkpoints: Sequence[Path] = (),
    since: Path | None = None,
    as_json: bool,
) -> int:
    """Check a run's folder, or a pack against the auditor's keys; return the exit code.

    Args:
        path: A folder, or a pack.
        keys: The auditor's keys; a pack needs them, a folder has none.
        checkpoints: Checkpoints that the auditor kept.
        since: An earlier pack of the same accounts.
        as_json: Print one JSON object.
    """
    given = keys is not None or checkpoints or since is not None
    if path.is_dir() or not (given or path.is_file()):
        return verify_folder(path, as_json=as_json)
    if keys is None:
        return _refuse(
            "expected --keys FILE: a pack is checked with keys that did not come with it; see "
            "docs/pack.md for what is in the file"
        )
    try:
        result = check_files(path, keys=keys, checkpoints=checkpoints, since=since)
    except BadKeysError as error:
        return _refuse(str(error))
    if as_json:
        typer.echo(json.dumps(told_json(result), indent=2, ensure_ascii=False))
    else:
        for line in lines(result):
            out.print(line, soft_wrap=True, markup=False)
    return result.outcome.value


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


def _refuse(sentence: str) -> int:
    typer.echo(f"stillroom: {sentence}", err=True)
    return _BAD_INPUT
