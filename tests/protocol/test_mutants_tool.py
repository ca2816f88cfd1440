from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.protocol.check_sites import mutant, sites

ROOT = Path(__file__).parents[2]

TINY = '''
class TinyError(Exception):
    """A check failed."""


def half(number):
    require_positive(number)
    if number % 2:
        raise TinyError("odd")
    return number // 2


def require_positive(number):
    if number <= 0:
        raise TinyError("not positive")


def first(items):
    if (found := list(items)) == []:
        raise TinyError("empty")
    else:
        return found[0]


def number_of(text):
    try:
        return int(text)
    except ValueError as error:
        raise TinyError("no number") from error


def size(value):
    match value:
        case str():
            return len(value)
        case _:
            raise TypeError("no text")


def again(error):
    if error is not None:
        raise error
'''

TESTS = """
import pytest

from tiny.numbers import TinyError, first, half, number_of


@pytest.mark.parametrize("number", [0, -2])
def test_half_needs_a_positive_number(number):
    with pytest.raises(TinyError, match="positive"):
        half(number)


def test_half_of_an_even_number():
    assert half(4) == 2


def test_the_first_of_nothing():
    with pytest.raises(TinyError):
        first([])


def test_a_number_is_digits():
    with pytest.raises(TinyError):
        number_of("x")
"""


def tiny_without(path: Path, position: int) -> dict[str, Any]:
    """Return the names of the tiny module with one of its checks off."""
    module = ModuleType("tiny")
    exec(mutant(path, position), module.__dict__)
    return module.__dict__


def test_the_checks_of_a_module_are_found() -> None:
    """Raises by name and calls of checks; an error that is only passed on is none."""
    lines = [TINY.splitlines()[site.line - 1].strip() for site in sites(ast.parse(TINY))]
    assert lines == [
        "require_positive(number)",
        "if number % 2:",
        "if number <= 0:",
        "if (found := list(items)) == []:",
        'raise TinyError("no number") from error',
        'raise TypeError("no text")',
    ]


def test_every_check_can_be_switched_off(tmp_path: Path) -> None:
    """Off, what was refused goes on; the names that a condition binds are still bound."""
    path = tmp_path / "tiny.py"
    path.write_text(TINY, encoding="utf-8")
    assert tiny_without(path, 0)["half"](-2) == -1
    assert tiny_without(path, 1)["half"](3) == 1
    assert tiny_without(path, 2)["half"](0) == 0
    assert tiny_without(path, 3)["first"]("ab") == "a"
    with pytest.raises(IndexError):
        tiny_without(path, 3)["first"]("")
    assert tiny_without(path, 4)["number_of"]("x") is None
    assert tiny_without(path, 5)["size"](1) is None
    with pytest.raises(Exception, match="odd"):
        tiny_without(path, 0)["half"](3)


def test_the_other_branch_can_be_switched_off(tmp_path: Path) -> None:
    """A ``raise`` after ``else`` is off when the first branch is always taken."""
    path = tmp_path / "tiny.py"
    path.write_text("if ready:\n    done = 1\nelse:\n    raise ValueError('late')\n", "utf-8")
    for ready in True, False:
        names: dict[str, Any] = {"ready": ready}
        exec(mutant(path, 0), names)
        assert names["done"] == 1


def run_tool(folder: Path, *, tests: str) -> subprocess.CompletedProcess[str]:
    """Run the tool over a tiny package with these tests."""
    for name, text in {"tiny/numbers.py": TINY, "checks/test_numbers.py": tests}.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    tool = [sys.executable, "-m", "tests.protocol.mutants", "--package", "tiny"]
    return subprocess.run(
        [*tool, "--tests", "checks", "--workers", "2"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": os.pathsep.join((str(folder), str(ROOT)))},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_a_check_that_no_test_misses_survives(tmp_path: Path) -> None:
    """It is shown with its place, in the first run and in one that remembers the killers."""
    for _ in range(2):
        done = run_tool(tmp_path, tests=TESTS)
        assert done.stdout.splitlines() == [
            "tiny/numbers.py:8: if number % 2:",
            'tiny/numbers.py:37: raise TypeError("no text")',
            "6 checks, 2 survivors",
        ], done.stderr
        assert done.returncode == 1


@pytest.mark.slow
def test_no_survivor_is_success(tmp_path: Path) -> None:
    """With a test for each check."""
    more = """

def test_odd():
    with pytest.raises(TinyError, match="odd"):
        half(3)


def test_size():
    from tiny.numbers import size
    with pytest.raises(TypeError):
        size(1)
"""
    done = run_tool(tmp_path, tests=TESTS + more)
    assert done.stdout.splitlines() == ["6 checks, 0 survivors"], done.stderr
    assert done.returncode == 0


@pytest.mark.slow
def test_a_test_that_fails_anyway_is_no_killer(tmp_path: Path) -> None:
    """The run ends before it starts, and says which test."""
    done = run_tool(tmp_path, tests=TESTS.replace("half(4) == 2", "half(4) == 3"))
    assert done.returncode == 2
    assert "test_half_of_an_even_number" in done.stderr
    assert "survivors" not in done.stdout
