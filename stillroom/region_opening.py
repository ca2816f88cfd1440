"""How a steward's command opens a region: the folder, its policy, its ledger, the time."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import typer

from client.errors import RegionFolderError
from client.folder import RegionFolder
from privacy.ledger import Ledger
from privacy.plan import Plan
from stillroom.exits import Exit


def now() -> int:
    """Return Unix seconds."""
    return int(time.time())


def region_folder(path: Path) -> RegionFolder:
    """Return the region in a folder.

    Raises:
        RegionFolderError: If there is none.
    """
    folder = RegionFolder(path)
    if not folder.policy.is_file():
        raise RegionFolderError(
            f"there is no region in {path}, it has no policy.toml: name a region's folder, or "
            "make one with stillroom region init"
        )
    return folder


@contextmanager
def open_ledger(folder: RegionFolder) -> Iterator[Ledger]:
    """Open a region's ledger, and close it at the end.

    Raises:
        LedgerError: If there is none, or it is damaged.
    """
    with Ledger.open(folder.ledger, clock=lambda: now()) as ledger:
        yield ledger


def read_plan(path: Path) -> tuple[Plan, bytes]:
    """Return a plan and its bytes.

    Raises:
        RegionFolderError: If there is no such file.
        PrivacyError: If it holds no plan.
    """
    data = read_input(path, "plan")
    return Plan.from_bytes(data), data


def require_artifacts(folder: RegionFolder, plan_file: Path) -> None:
    """Check that what travels beside the plan was copied; its hashes are checked elsewhere.

    Raises:
        RegionFolderError: If a part is missing.
    """
    parts = ("teacher", "student", "recipe.json")
    missing = [name for name in parts if not (folder.artifacts / name).exists()]
    if missing:
        raise RegionFolderError(
            f"{folder.artifacts} has no {', '.join(missing)}: copy what lies beside the plan: "
            f"cp -r {plan_file.parent / 'artifacts'}/. {folder.artifacts}/"
        )


def read_input(path: Path, what: str) -> bytes:
    """Return a file that the steward named.

    Raises:
        RegionFolderError: If there is none.
    """
    try:
        return path.read_bytes()
    except (FileNotFoundError, IsADirectoryError):
        raise RegionFolderError(f"there is no {what} at {path}: correct the path") from None


def ask_to_type(expected: str, *, question: str, otherwise: str) -> None:
    """Go on only if the steward types this word.

    Args:
        expected: The word.
        question: What is shown before it.
        otherwise: What is said, with exit code 3 or 4, if another word or none comes.
    """
    try:
        typed = typer.prompt(question, err=True)
    except typer.Abort:
        typer.echo(err=True)
        leave(f"nobody answered: {otherwise}", Exit.INCOMPLETE)
    if typed.strip() != expected:
        leave(f"that is not {expected!r}: {otherwise}", Exit.REFUSED)


def leave(sentence: str, code: Exit) -> NoReturn:
    """End the command with one sentence and its exit code."""
    typer.echo(f"stillroom: {sentence}", err=True)
    raise typer.Exit(code)
