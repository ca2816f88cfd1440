"""The Flower bundle holds the five packages of a node and nothing else, and has one identity."""

import hashlib
import io
import os
import shutil
import tomllib
import zipfile
from pathlib import Path

import pytest
from flwr.cli.build import build_fab_from_disk

# Flower's builder asks pathspec for a name that pathspec deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:GitWildMatchPattern:DeprecationWarning")

_ROOT = Path(__file__).resolve().parent.parent
_PACKAGES = {"client", "distillation", "privacy", "protocol", "server"}


@pytest.fixture(autouse=True)
def _offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep Flower from calling home, and from the home folder of whoever runs the tests."""
    monkeypatch.setenv("FLWR_TELEMETRY_ENABLED", "0")
    monkeypatch.setenv("FLWR_DISABLE_UPDATE_CHECK", "1")
    monkeypatch.setenv("FLWR_HOME", str(tmp_path / "flwr"))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a copy of the source tree with private files lying about."""
    return _copy(tmp_path / "stillroom")


def _copy(tree: Path) -> Path:
    tree.mkdir(parents=True)
    for name in (*_PACKAGES, "simulations", "studies"):
        shutil.copytree(_ROOT / name, tree / name)
    for name in ("pyproject.toml", "README.md", ".gitignore"):
        shutil.copy(_ROOT / name, tree)
    for private in ("records.json", "client/records.jsonl", "client/policy.toml", "secrets.yaml"):
        (tree / private).write_text('{"patient": "somebody"}')
    return tree


def _names(tree: Path) -> list[str]:
    return zipfile.ZipFile(io.BytesIO(build_fab_from_disk(tree))).namelist()


def test_the_bundle_holds_code_of_the_five_packages_only(tree: Path) -> None:
    """No data, no template, no simulator: Python files of five packages, and the metadata."""
    names = _names(tree)
    code = {name for name in names if "/" in name and not name.startswith(".info/")}

    assert {name.partition("/")[0] for name in code} == _PACKAGES
    assert all(name.endswith(".py") for name in code)
    assert {name for name in names if "/" not in name} == {"pyproject.toml"}


def test_the_bundle_holds_all_of_that_code_and_both_apps(tree: Path) -> None:
    """Every module of the five packages, among them those that the metadata names."""
    names = set(_names(tree))
    apps = tomllib.loads((tree / "pyproject.toml").read_text())["tool"]["flwr"]["app"]["components"]
    modules = {
        path.relative_to(tree).as_posix() for p in _PACKAGES for path in (tree / p).rglob("*.py")
    }

    assert modules <= names
    assert {app.partition(":")[0].replace(".", "/") + ".py" for app in apps.values()} <= names


def test_building_twice_gives_the_same_bytes(tree: Path, tmp_path: Path) -> None:
    """The bundle's hash is the identity of the code: neither folder nor moment changes it."""
    again = _copy(tmp_path / "later" / "stillroom")
    for path in again.rglob("*"):
        os.utime(path, (1_000_000_000, 1_000_000_000))
    first, second = (hashlib.sha256(build_fab_from_disk(t)).hexdigest() for t in (tree, again))

    assert first == second
