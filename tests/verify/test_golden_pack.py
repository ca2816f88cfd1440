"""Packs that were given to somebody stay readable, here and with nothing but the verifier."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.verify.make_golden_pack import KEYS, NOTE, PACK, VECTORS
from verify.command import check_files
from verify.findings import Outcome

ROOT = Path(__file__).parents[2]
NEEDED = ("cryptography", "dp-accounting", "numpy")


def test_the_golden_pack_holds() -> None:
    """Written by format 1's first release; its three ledgers, and a checkpoint from before."""
    result = check_files(
        VECTORS / PACK, keys=VECTORS / KEYS, checkpoints=[VECTORS / NOTE], since=VECTORS / PACK
    )

    assert (result.outcome, result.findings) == (Outcome.HOLDS, ())
    assert result.regions == ("east", "north", "west")


@pytest.mark.slow
def test_three_packages_are_enough_to_verify(tmp_path: Path) -> None:
    """In a fresh environment with cryptography, dp-accounting and numpy, and nothing else."""
    home = tmp_path / "venv"
    venv.create(home)
    python = home / "bin" / "python"
    for package in ("privacy", "protocol", "verify"):
        (tmp_path / package).symlink_to(ROOT / package)
    pins = ("-c", str(ROOT / "constraints.txt"))
    pip = (sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check")
    _run(tmp_path, *pip, "install", "--quiet", "--no-compile", "--prefer-binary", *pins, *NEEDED)
    found = _run(tmp_path, *pip, "list", "--format=freeze")
    words = ("-m", "verify", VECTORS / PACK, "--keys", VECTORS / KEYS)
    told = _run(tmp_path, python, *words, "--checkpoint", VECTORS / NOTE)

    assert "torch" not in found
    assert "flwr" not in found
    assert told.rstrip().endswith("holds: the ledgers of 3 regions say what the report says")


def _run(folder: Path, *words: str | Path) -> str:
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(
        [str(word) for word in words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.fail(f"{' '.join(map(str, words))}: {done.stdout}{done.stderr}")
    return done.stdout
