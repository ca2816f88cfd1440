"""Switches off every check of ``protocol`` in turn: ``python -m tests.protocol.mutants``.

With one check off (``check_sites`` says what counts as one), some test of ``tests/protocol`` must
fail; a check that no test misses is a survivor, and stands in the output as ``file:line: source``.
The last line is ``N checks, M survivors``; the exit code is 1 if there are survivors, and 2 if a
test fails with every check on.

The heavy libraries are imported once and every mutant runs in forks of that process, which compile
its one changed module in memory: nothing is written beside the sources. Tests marked slow are left
out, so that whoever switches a check off notices before CI does. Killers are remembered in the
test cache for the next run, which does not need them.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import importlib.util
import json
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType
from typing import NoReturn

import pytest
from hypothesis import HealthCheck, Phase, settings

from tests.protocol.check_sites import mutant, sites

# Checks that nothing can reach, because another check stands before them, by file and source line.
UNREACHABLE: dict[tuple[str, str], str] = {}

CACHE = Path(".pytest_cache/mutants.json")
LEARNED: dict[str, str] = {}  # in each worker: the file that noticed the latest check like it
LEAST_TIMEOUT_S = 20.0
# Nothing that is only for people to read, and only the plug-in that the tests need.
PYTEST_OPTIONS = [
    *("-x", "-q", "--tb=no", "--assert=plain"),
    *("--disable-plugin-autoload", "-p", "_hypothesis_pytestplugin"),
    *("-p", "no:cacheprovider", "-p", "no:unraisableexception", "-p", "no:threadexception"),
]
_PASSED = (int(pytest.ExitCode.OK), int(pytest.ExitCode.NO_TESTS_COLLECTED))
_FAILED = (int(pytest.ExitCode.TESTS_FAILED), int(pytest.ExitCode.INTERRUPTED))


@dataclass(frozen=True, slots=True)
class Check:
    """One check of one file.

    Attributes:
        path: The file, relative to the root.
        position: Which check of the file it is, in the order of `sites`.
        line: Where it stands.
        source: Its line there.
    """

    path: Path
    position: int
    line: int
    source: str

    @property
    def key(self) -> str:
        """What it is remembered by."""
        return f"{self.path}#{self.position}: {self.source}"

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.source}"


def find_checks(root: Path, package: Path) -> list[Check]:
    """Return every check of every module of the package."""
    found = []
    for path in sorted((root / package).rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        for position, site in enumerate(sites(ast.parse(text))):
            source = text.splitlines()[site.line - 1].strip()
            found.append(Check(path.relative_to(root), position, site.line, source))
    return found


class MutantLoader(SourceFileLoader):
    """Loads one module from code that is already there."""

    def __init__(self, name: str, path: Path, code: CodeType) -> None:
        super().__init__(name, str(path))
        self._code = code

    def get_code(self, fullname: str) -> CodeType:
        """Return the mutant, and never a cached file."""
        return self._code


class MutantFinder:
    """Finds the one module that is changed, before anybody else does."""

    def __init__(self, root: Path, check: Check) -> None:
        parts = check.path.with_suffix("").parts
        self._name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        path = root / check.path
        self._loader = MutantLoader(self._name, path, mutant(path, check.position))

    def find_spec(self, fullname: str, path: object, target: object = None) -> ModuleSpec | None:
        """Return the changed module's specification, and None for others."""
        if fullname != self._name:
            return None
        return importlib.util.spec_from_file_location(
            fullname, self._loader.path, loader=self._loader
        )


class FirstFailure:
    """A pytest plugin that remembers what failed first."""

    def __init__(self) -> None:
        self.node = ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep a failed test."""
        if report.failed and not self.node:
            self.node = report.nodeid

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Keep a file that cannot be imported."""
        if report.failed and not self.node:
            self.node = report.nodeid


def run_tests(root: Path, target: str, *, check: Check | None, timeout_s: float) -> str:
    """Run tests in a fork, with a check off, until one fails.

    Returns:
        What noticed: a test, or the target with "timeout" or a signal; "" if nothing did.

    Raises:
        RuntimeError: If pytest itself did not work.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        _run_in_child(root, target, check, writer)
    os.close(writer)
    os.set_blocking(reader, False)
    with os.fdopen(reader, "rb") as pipe:
        status = _wait(child, timeout_s)
        noticed = (pipe.read() or b"").decode()
    if status is None:
        return f"{target} (no end after {timeout_s:.0f} s)"
    if os.WIFSIGNALED(status):
        return f"{target} (signal {os.WTERMSIG(status)})"
    code = os.WEXITSTATUS(status)
    if code in _FAILED:
        return noticed or target
    renamed = "::" in target and code == pytest.ExitCode.USAGE_ERROR
    if code in _PASSED or renamed:
        return ""
    raise RuntimeError(f"expected pytest to run {target}, got its exit code {code} with {check}")


def _run_in_child(root: Path, target: str, check: Check | None, writer: int) -> NoReturn:
    code = int(pytest.ExitCode.INTERNAL_ERROR)
    try:
        os.setsid()
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in range(3):
            os.dup2(nowhere, stream)
        if check is not None:
            sys.meta_path.insert(0, MutantFinder(root, check))
        failure = FirstFailure()
        options = [*PYTEST_OPTIONS, f"--rootdir={root}"]
        code = int(pytest.main([target, *options], plugins=[failure]))
        os.write(writer, failure.node.encode())
    finally:
        os._exit(code)


def _wait(child: int, timeout_s: float) -> int | None:
    """Return the child's status, or None if it had to be ended."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status
        time.sleep(0.005)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


@dataclass(frozen=True, slots=True)
class Plan:
    """Which tests to run for a check, the likeliest killers first.

    Attributes:
        root: Where packages and tests are.
        seconds: How long each test file takes with every check on.
        texts: What is in each.
        remembered: The test that noticed each check, by the check's key, in an earlier run.
    """

    root: Path
    seconds: Mapping[str, float]
    texts: Mapping[str, str]
    remembered: Mapping[str, str]

    def targets(self, check: Check) -> list[str]:
        """Return a remembered test, then the module's own, then what noticed others like it.

        After these come the tests that name the module, and among equals the quicker one.
        """
        module = ".".join(check.path.with_suffix("").parts)
        own = f"test_{check.path.stem}.py"

        def rank(file: str) -> tuple[bool, bool, bool, float]:
            return (
                Path(file).name != own,
                file not in (LEARNED.get(check.source), LEARNED.get(str(check.path))),
                module not in self.texts[file],
                self.seconds[file],
            )

        known = self.remembered.get(check.key)
        return ([known] if known else []) + sorted(self.seconds, key=rank)

    def notice(self, check: Check) -> str:
        """Return the test that notices that the check is off, or "" if none does."""
        for target in self.targets(check):
            usual = self.seconds.get(target.split("::")[0], 0.0)
            timeout_s = LEAST_TIMEOUT_S + 5 * usual
            noticed = run_tests(self.root, target, check=check, timeout_s=timeout_s)
            if noticed:
                LEARNED[check.source] = LEARNED[str(check.path)] = noticed.split("::")[0]
                return noticed
        return ""


def time_tests(root: Path, file: str) -> float:
    """Return how many seconds a test file takes with every check on.

    Raises:
        RuntimeError: If one of its tests fails.
    """
    start = time.monotonic()
    failed = run_tests(root, file, check=None, timeout_s=600)
    if failed:
        raise RuntimeError(f"expected every test to pass with every check on, got {failed}")
    return time.monotonic() - start


def warm_up(root: Path, folders: Sequence[Path]) -> None:
    """Import what the sources and tests import from elsewhere, for every fork to have."""
    local = {path.stem for path in root.iterdir()}
    for path in sorted(path for folder in folders for path in (root / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Import(names=names):
                    wanted = [alias.name for alias in names]
                case ast.ImportFrom(module=str() as name, level=0):
                    wanted = [name]
                case _:
                    continue
            for name in wanted:
                if name.split(".")[0] not in local:
                    importlib.import_module(name)
    settings.register_profile(
        "mutants",
        max_examples=10,
        database=None,
        deadline=None,
        derandomize=True,
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=list(HealthCheck),
    )
    settings.load_profile("mutants")


def read_cache(path: Path) -> Mapping[str, str]:
    """Return the killers of earlier runs; none if there is no such file, or another."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(key): str(value) for key, value in dict(content).items()}


def survivors(checks: Sequence[Check], plan: Plan, pool: ProcessPoolExecutor) -> list[Check]:
    """Switch every check off in turn; return those that no test missed, and remember the rest."""
    noticed = dict(zip(checks, pool.map(plan.notice, checks), strict=True))
    killers = {check.key: test.split("[")[0] for check, test in noticed.items() if "::" in test}
    cache = plan.root / CACHE
    cache.parent.mkdir(exist_ok=True)
    cache.write_text(json.dumps({**plan.remembered, **killers}, indent=1), encoding="utf-8")
    return [check for check, test in noticed.items() if not test]


def report(checks: Sequence[Check], missed: Sequence[Check]) -> int:
    """Print what survived and the count; return the exit code."""
    excused = {check: UNREACHABLE.get((check.path.as_posix(), check.source)) for check in checks}
    for check, reason in excused.items():
        if reason is not None and check not in missed:
            raise RuntimeError(f"{check} is listed as unreachable, but a test notices it")
    left = [check for check in missed if excused[check] is None]
    for check in missed:
        print(f"{check}  # unreachable: {excused[check]}" if excused[check] else check)
    print(f"{len(checks)} checks, {len(left)} survivors")
    return 1 if left else 0


def main() -> int:
    """Run it from the root of the checkout."""
    parser = argparse.ArgumentParser(description="switch off every check in turn")
    parser.add_argument("--package", type=Path, default=Path("protocol"))
    parser.add_argument("--tests", type=Path, default=Path("tests/protocol"))
    parser.add_argument("--only", default="", help="a part of the file names to look at")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    try:
        return _run(Path.cwd(), options)
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 2


def _run(root: Path, options: argparse.Namespace) -> int:
    checks = [
        check for check in find_checks(root, options.package) if options.only in str(check.path)
    ]
    warm_up(root, (options.package, options.tests))
    paths = sorted((root / options.tests).rglob("test_*.py"))
    texts = {str(path.relative_to(root)): path.read_text(encoding="utf-8") for path in paths}
    fork = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(options.workers, fork) as pool:
        times = dict(zip(texts, pool.map(partial(time_tests, root), texts), strict=True))
        plan = Plan(root, times, texts, read_cache(root / CACHE))
        return report(checks, survivors(checks, plan, pool))


if __name__ == "__main__":
    sys.exit(main())
