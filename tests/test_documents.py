"""What a document points at exists: tests, files, commands."""

import re
import tomllib
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parent.parent
_PAGES = [*_ROOT.glob("*.md"), *(_ROOT / "docs").rglob("*.md"), *(_ROOT / "deploy").glob("*.md")]
_TESTS = "\n".join(path.read_text() for path in (_ROOT / "tests").rglob("test_*.py"))


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: str(page.relative_to(_ROOT)))
def test_every_named_test_exists(page: Path) -> None:
    """A page that rests a claim on a test names one that is there."""
    for name in re.findall(r"`(test_\w+)`", page.read_text()):
        assert f"def {name}(" in _TESTS


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: str(page.relative_to(_ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    """Links inside the repository point at files that are there."""
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        if not target.startswith("https://"):
            assert (page.parent / target).exists(), target


def test_the_readmes_study_is_a_study(tmp_path: Path) -> None:
    """The ten lines that a newcomer copies are read without complaint."""
    from distillation.study import Study

    (block,) = re.findall(r"```toml\n(.*?)```", (_ROOT / "README.md").read_text(), re.DOTALL)
    (tmp_path / "study.toml").write_text(block)
    study = Study.load(tmp_path / "study.toml")

    assert len(block.strip().splitlines()) <= 10
    assert set(study.regions) == set(tomllib.loads(block)["regions"])
