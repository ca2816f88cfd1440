"""The Flower bundle holds the five packages of a node and nothing else, and has one identity."""

import hashlib
import io
import shutil
import zipfile
from pathlib import Path

import pytest
from flwr.cli.build import build_fab_from_disk

# Flower's builder asks pathspec for a name that pathspec deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:GitWildMatchPattern:DeprecationWarning")

_ROOT = Path(__file__).resolve().parent.parent
_PACKAGES = {"client", "distillation", "privacy", "protocol", "server"}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a copy of the source tree with private files lying about."""
    tree = tmp_path / "stillroom"
    tree.mkdir()
    for name in (*_PACKAGES, "simulations", "studies"):
        shutil.copytree(_ROOT / name, tree / name)
    shutil.copy(_ROOT / "pyproject.toml", tree)
    (tree / "records.json").write_text('{"patient": "somebody"}')
    (tree / "client" / "records.jsonl").write_text('{"patient": "somebody"}')
    return tree


def test_the_bundle_holds_code_of_the_five_packages_only(tree: Path) -> None:
    """No data, no template, no simulator: Python files of five packages, and the metadata."""
    names = zipfile.ZipFile(io.BytesIO(build_fab_from_disk(tree))).namelist()
    code = {name for name in names if "/" in name and not name.startswith(".info/")}

    assert {name.partition("/")[0] for name in code} == _PACKAGES
    assert all(name.endswith(".py") for name in code)
    assert {name for name in names if "/" not in name} == {"pyproject.toml"}


def test_building_twice_gives_the_same_bytes(tree: Path) -> None:
    """The bundle's hash is the identity of the code, so it must not depend on the moment."""
    first, second = (hashlib.sha256(build_fab_from_disk(tree)).hexdigest() for _ in range(2))

    assert first == second
