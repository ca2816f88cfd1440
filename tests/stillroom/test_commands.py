"""What a person types works, fails in one sentence, and ends with the documented exit code."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from client import errors as client
from distillation import errors as distillation
from privacy import errors as privacy
from protocol import errors as protocol
from server import errors as server
from simulations import errors as simulations
from stillroom.exits import Exit, code_of
from stillroom.main import app

_ROOT = Path(__file__).resolve().parents[2]
_RUNNER = CliRunner()


def _invoke(*words: str) -> tuple[int, str, str]:
    result = _RUNNER.invoke(app, list(words))
    return result.exit_code, result.stdout, result.stderr


def test_help_loads_nothing_heavy() -> None:
    """The command's help needs neither torch nor transformers nor flwr."""
    code = (
        "import sys, stillroom.main; heavy = {'torch', 'transformers', 'flwr', 'opacus', 'polars'};"
        "print(sorted(heavy & sys.modules.keys()))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=_ROOT
    )

    assert found.stdout.strip() == "[]"


def test_help_is_quick() -> None:
    """``stillroom --help`` answers within half a second, start of Python included."""
    command = [sys.executable, "-c", "from stillroom.main import run; run()", "--help"]
    took = []
    for _ in range(3):
        began = time.monotonic()
        subprocess.run(command, capture_output=True, check=True, cwd=_ROOT)
        took.append(time.monotonic() - began)

    assert min(took) <= 0.5


@pytest.mark.parametrize(
    "command",
    [
        *([], ["demo"], ["simulate"], ["plan"], ["audit"], ["report"], ["evaluate"], ["verify"]),
        *(["region"], ["region", "budget"], ["region", "sent"]),
    ],
)
def test_every_command_explains_itself(command: list[str]) -> None:
    """Each has help, and each that does something has a runnable example."""
    code, out, _ = _invoke(*command, "--help")

    assert code == Exit.DONE
    assert "Usage" in out
    assert "Example" in out or command in ([], ["region"])


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("simulate", "nowhere.toml", "--out", "run"), Exit.BAD_INPUT, "there is no study"),
        (("plan", "nowhere.toml", "--out", "plan.json"), Exit.BAD_INPUT, "there is no study"),
        (("plan", "nowhere.toml", "--out", "other.json"), Exit.BAD_INPUT, "DIR/plan.json"),
        (("region", "budget", "nowhere"), Exit.FAILED, "nowhere"),
        (("verify", "nowhere"), 4, "report.json"),
        (("simulate",), Exit.BAD_INPUT, "Missing argument"),
        (("bogus",), Exit.BAD_INPUT, "No such command"),
    ],
)
def test_a_wrong_call_ends_with_one_sentence(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    code: int,
    sentence: str,
) -> None:
    """No traceback, the documented code, and nothing left behind."""
    monkeypatch.chdir(tmp_path)
    found, out, err = _invoke(*words)

    assert found == code
    assert sentence in out + err
    assert "Traceback" not in out + err
    assert list(tmp_path.iterdir()) == []


def test_the_version_is_that_of_the_package() -> None:
    """``--version`` prints what pyproject.toml says."""
    code, out, _ = _invoke("--version")

    assert code == Exit.DONE
    assert f'version = "{out.strip()}"' in (_ROOT / "pyproject.toml").read_text()


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (distillation.StudyError("x"), Exit.BAD_INPUT),
        (distillation.RecordsError("x"), Exit.BAD_INPUT),
        (simulations.RunFolderError("x"), Exit.BAD_INPUT),
        (client.ApprovalRefusedError("x"), Exit.REFUSED),
        (privacy.BudgetExceededError("x"), Exit.REFUSED),
        (privacy.LineageRefusedError("x"), Exit.REFUSED),
        (privacy.PlanRefusedError("x"), Exit.REFUSED),
        (privacy.LedgerCorruptError("x"), Exit.FAILED),
        (simulations.SimulationError("x"), Exit.INCOMPLETE),
        (server.RunFailedError("x"), Exit.INCOMPLETE),
        (protocol.ProtocolError("x"), Exit.FAILED),
        (KeyError("x"), None),
    ],
)
def test_errors_lead_to_the_documented_codes(error: Exception, code: Exit | None) -> None:
    """Bad input is 2, a refusal 3, an unfinished run 4; a bug of ours is none of them."""
    assert code_of(error) == code


def test_the_makefile_has_the_two_commands_of_the_readme() -> None:
    """What the README tells a newcomer to type is there to be typed."""
    readme, makefile = (_ROOT / "README.md").read_text(), (_ROOT / "Makefile").read_text()
    for target in ("demo", "test"):
        assert f"make {target}" in readme
        assert f"\n{target}:" in makefile
    assert "make test" in (_ROOT / ".ci" / "run").read_text()


def test_an_empty_budget_is_json_for_machines(tmp_path: Path) -> None:
    """``--json`` prints one JSON value and nothing else."""
    from privacy.ledger import Ledger

    Ledger.create(tmp_path / "ledger.db", region="north", clock=lambda: 1).close()
    code, out, _ = _invoke("region", "budget", str(tmp_path), "--json")

    assert code == Exit.DONE
    assert json.loads(out) == []
