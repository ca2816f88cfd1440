"""A language model learns in a whole federation of five tiny regions, by the same machinery."""

import json
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from distillation.study import Study
from privacy.plan import Plan
from privacy.report.parts import ArmName
from simulations.prepare import Bench, StudyData
from simulations.simulate import Options, simulate
from tests.simulations import tiny_language_study
from verify.findings import Outcome
from verify.ledger_check import check_ledgers

MIXTURES = (
    "without_teacher",
    "soft_only",
    "unprepared_teacher",
    "no_privacy",
    "without_teacher_no_privacy",
    "soft_only_no_privacy",
    "unprepared_teacher_no_privacy",
)


@pytest.mark.slow
def test_a_language_model_runs_through_the_whole_federation(tmp_path: Path) -> None:
    """Teacher prepared, student healed, adapters trained, summed and averaged; ledgers hold."""
    study = tiny_language_study.make(tmp_path / "study")
    out = tmp_path / "run"
    report = simulate(study.file, out, Options()).report
    summary = json.loads((out / "summary.json").read_text())
    plan = Plan.from_bytes((out / "plan.json").read_bytes())

    assert [one.round for one in report.rounds] == [0, 1, 2]
    assert plan.optimizer.name == "averaged-adam"
    assert plan.artifacts.teacher != Bench.load(Study.load(study.file)).teacher_files.weights_sha256
    assert check_ledgers(out).outcome is Outcome.HOLDS
    for name in ("distilled", "teacher", "public_only", *MIXTURES):
        assert 1 < summary[f"{name}_perplexity"] < 1e4
        assert 0 <= summary[f"{name}_agreement"] <= 1
    private = [arm for arm in report.arms if arm.name.replace("-", "_") in MIXTURES]
    assert {arm.epsilon is None for arm in private if "no-privacy" in arm.name} == {True}
    assert {arm.epsilon for arm in private if "no-privacy" not in arm.name} == {
        report.arm(ArmName.DISTILLED).epsilon
    }
    page = (out / "samples.md").read_text()
    assert page.count("- **teacher**") == page.count("- **student**") == page.count("## ") > 1
    assert 0 < summary["student_teacher_kl"] < 20
    assert summary["clipping"] in report.student.trained_part or "hooks" in summary["clipping"]
    assert "adapters of rank 2 on the last layer" in report.student.trained_part
    card = (out / "student" / "README.md").read_text()
    assert "text-generation" in card
    assert f"perplexity\n{summary['student_perplexity']} (teacher: " in card
    student = AutoModelForCausalLM.from_pretrained(out / "student")
    assert student.config.num_hidden_layers == 2
    assert len(AutoTokenizer.from_pretrained(out / "student").get_vocab()) == 60


def test_a_language_study_needs_no_label(tmp_path: Path) -> None:
    """Its texts are read, none has a label, and each is asked for its own next tokens."""
    study = Study.load(tiny_language_study.make(tmp_path).file)
    data = StudyData.read(study)

    assert set(data.private.labels) == set(data.test.labels) == {None}
    assert len(data.private) == 60
