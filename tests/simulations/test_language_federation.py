"""A language model learns in a whole federation of five tiny regions, by the same machinery."""

import json
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from distillation.data.artifact import read
from distillation.errors import RecordsError
from distillation.language.text import cell_of, counts_of
from distillation.objectives.instruction import Turn
from distillation.study import Study
from privacy.plan import Plan
from simulations.prepare import Bench, prepare
from simulations.progress import Quiet
from simulations.run_folder import Journal, RunFolder
from simulations.simulate import Options, simulate
from simulations.study_data import StudyData
from tests.simulations import tiny_language_study
from tests.simulations.tiny_study import TinyStudy
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
    costs = {arm.name.replace("-", "_"): arm.epsilon for arm in report.arms}
    for name in MIXTURES:
        assert costs[name] == (None if "no_privacy" in name else costs["distilled"])
    page = (out / "samples.md").read_text()
    assert page.count("- **teacher**") == page.count("- **student**") == page.count("## ") > 1
    assert 0 < summary["student_teacher_kl"] < 20
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


def test_a_study_of_chats_counts_the_answers_only(tmp_path: Path) -> None:
    """With its template selected, and refused for a record that is no chat, by its row."""
    study = tiny_language_study.make(tmp_path)
    template = study.folder / "teacher" / "chat_template.jinja"
    template.write_text(
        "{% for m in messages %}{{ m['role'] }} {{ m['content'] }} [END] {% endfor %}"
        "{% if add_generation_prompt %}assistant {% endif %}"
    )
    study.edit("max_tokens = 16", 'template = "chat"\nmax_tokens = 32')
    bench = Bench.load(Study.load(study.file))
    turns = [Turn("user", "w1"), Turn("assistant", "w2 w3")] * 2
    texts = (cell_of(turns), cell_of(turns[:2]))
    tokens = bench.kit.tokens(texts, bench.tokenizer, bench.recipe)
    counted = [
        [i for i, counts in zip(ids, row, strict=True) if counts]
        for ids, row in zip(tokens.ids, counts_of(tokens), strict=True)
    ]
    answer = bench.tokenizer("w2 w3 [END]")["input_ids"]

    assert counted == [answer * 2, answer]
    with pytest.raises(RecordsError, match="row 1 is no chat"):
        bench.tokens(StudyData.read(bench.study).private)


_ANSWERS = """[[warm_up.answers]]
model = "other"
lineage = "external-private"
population = "customers of the other vendor"
prompts = "prompts.csv"
public_because = "made for this test"
max_new_tokens = 4
"""


def _planned(study: TinyStudy, run: RunFolder) -> Plan:
    """Return the plan of a study, with its artifacts in the run's folder."""
    run.open(study.file, resume=False)
    read_study = Study.load(study.file)
    data, bench = StudyData.read(read_study), Bench.load(read_study)
    return prepare(read_study, data, bench, run, Journal(run.root / "events.jsonl"), Quiet()).plan


@pytest.mark.slow
def test_a_teacher_of_another_vocabulary_teaches_by_text(tmp_path: Path) -> None:
    """Its answers are an artifact, heal the student, and its lineage is the plan's."""
    study = tiny_language_study.make(tmp_path / "study", rounds=1)
    study.edit("prepare_epochs = 1", "prepare_epochs = 0")
    study.edit("[warm_up]\n", "[baselines]\nrun = false\n[warm_up]\n")
    plain = _planned(study, RunFolder(tmp_path / "plain"))
    tiny_language_study.write_teacher(study.folder / "other", words=31, seed=1)
    (study.folder / "prompts.csv").write_text("text\nw1 w2\nw5\nw9 w4 w6\n")
    study.edit("batch_size = 4\n", f"batch_size = 4\n{_ANSWERS}")
    out = tmp_path / "run"
    simulate(study.file, out, Options())
    texts = read(out / "artifacts" / "answers.jsonl")
    plan = Plan.from_bytes((out / "plan.json").read_bytes())

    assert 1 <= len(texts) <= 3
    assert plain.artifacts.student != plan.artifacts.student
    assert plain.artifacts.tokenizer == plan.artifacts.tokenizer
    assert plan.teacher.population == "customers of the other vendor"
    assert check_ledgers(out).outcome is Outcome.HOLDS
