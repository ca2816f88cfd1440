"""A small finished run and its pack, made once; whoever changes something takes a copy."""

from __future__ import annotations

from pathlib import Path

import pytest

from privacy.pack import write_pack
from tests.verify.made_run import MadeRun, made_run


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> MadeRun:
    """Three regions after two of four rounds."""
    return made_run(tmp_path_factory.mktemp("made"))


@pytest.fixture(scope="session")
def pack(made: MadeRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its pack, signed by everybody."""
    path = tmp_path_factory.mktemp("pack") / "pack.zip"
    write_pack(made.root, path, made.pack_keys)
    return path
