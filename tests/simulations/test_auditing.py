"""A study's trainer under attack: a right one, and one that forgot its noise."""

import json
from pathlib import Path

import numpy as np
import pytest

import distillation.dp.optimizer
from privacy.noise import SecureStream
from simulations.auditing import audit_study
from stillroom.auditing import run_audit
from stillroom.exits import Exit
from tests.simulations import tiny_study

pytestmark = pytest.mark.slow


def test_a_right_trainer_is_not_accused(tmp_path: Path) -> None:
    """The claim is what the plan charges; the bounds are below it, and the caps are said."""
    made = tiny_study.make(tmp_path / "study")
    audit = audit_study(made.file, canaries=200, runs=1, date="2026-11-24", who="a test")

    assert not audit.found.flagged
    assert {str(result.method) for result in audit.found.results} == {
        "steinke-2023",
        "mahloujifar-2024-gaussian",
    }
    for result in audit.found.results:
        assert result.claim == audit.claim.epsilon
        assert result.lower_bound < result.cap
        assert result.sentence.startswith(("found no evidence", "uninformative"))


def test_a_trainer_without_noise_is_found_and_its_results_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command fails, and leaves a document for each method where a pack takes it from."""

    def silent(stream: SecureStream, count: int, scale: float) -> np.ndarray:
        return np.full(count, 1e-12)

    monkeypatch.setattr(distillation.dp.optimizer, "gaussian", silent)
    made = tiny_study.make(tmp_path / "study")
    code = run_audit(
        made.file,
        canaries=1000,
        runs=1,
        who="a test",
        evidence=tmp_path / "evidence",
        as_json=True,
    )

    assert code is Exit.FAILED
    verdicts = [one["verdict"] for one in json.loads(capsys.readouterr().out)["results"]]
    assert "evidence against the claim" in verdicts
    kept = sorted(path.name for path in (tmp_path / "evidence").iterdir())
    assert kept == ["audit-01.json", "audit-02.json"]
