"""Kinds of distillation that a study selects, each through a whole federation of tiny regions."""

import json
from pathlib import Path

import pytest
import torch

from distillation.ensemble_teacher import EnsembleTeacher
from distillation.experts import locate_teacher
from distillation.study import Study
from distillation.teacher import ClassifierTeacher
from privacy.errors import LineageRefusedError
from privacy.lineage import TeacherLineage
from privacy.plan import Plan
from simulations.prepare import Bench
from simulations.simulate import Options, Result, simulate
from tests.distillation import tiny
from tests.simulations import tiny_study
from tests.simulations.tiny_study import TinyStudy
from verify.findings import Outcome
from verify.ledger_check import check_ledgers

_SECOND = """max_tokens = 16
[[teacher.more]]
model = "second"
lineage = "{lineage}"
population = "{population}"
weight = 0.5
[student]
"""


@pytest.fixture
def study(tmp_path: Path) -> TinyStudy:
    return tiny_study.make(tmp_path / "study", rounds=2)


def _with_second(study: TinyStudy, lineage: str, population: str = "") -> None:
    tiny_study.write_teacher(study.folder / "second", seed=1, order=(1, 2, 0))
    text = _SECOND.format(lineage=lineage, population=population)
    study.edit("max_tokens = 16\n[student]\n", text)


def _run(study: TinyStudy, out: Path) -> Result:
    result = simulate(study.file, out, Options())

    assert check_ledgers(out).outcome is Outcome.HOLDS
    return result


@pytest.mark.slow
def test_several_teachers_label_as_one_and_states_are_matched(
    study: TinyStudy, tmp_path: Path
) -> None:
    """Two teachers and a term on hidden states: planned, approved, trained, verified, resumable."""
    _with_second(study, "external-private", "customers of the second")
    states = '[objective]\nmore = [{term = "feature-cosine", weight = 2}]\n[privacy]'
    study.edit("[privacy]", states)
    study.edit("layers = [0, 2]", 'layers = [0, 2]\ntrain = "last"')
    out = tmp_path / "run"
    _run(study, out)
    plan = Plan.from_bytes((out / "plan.json").read_bytes())
    files = locate_teacher(out / "artifacts" / "teacher")
    again = simulate(study.file, out, Options(resume=True))

    assert len(files.experts) == 2
    assert plan.artifacts.teacher == files.weights_sha256
    assert plan.teacher.lineage is TeacherLineage.EXTERNAL_PRIVATE
    assert "customers of the second" in (out / "report.html").read_text()
    assert json.loads((out / "artifacts" / "recipe.json").read_text())["more"][0]["term"] == (
        "feature-cosine"
    )
    assert again.report.final.round == 2


def test_a_study_reads_its_teachers_as_one(study: TinyStudy) -> None:
    """The weights are the study's; the mixture is that of both teachers' own answers."""
    _with_second(study, "public")
    teacher, tokens = Bench.load(Study.load(study.file)).teacher, tiny.tokens(6, longest=8)
    first, second = (
        ClassifierTeacher(tiny.teacher_model(seed=seed)).answer(tokens).log_probs.exp()
        for seed in (0, 1)
    )

    assert isinstance(teacher, EnsembleTeacher)
    torch.testing.assert_close(teacher.answer(tokens).log_probs.exp(), (2 * first + second) / 3)


@pytest.mark.parametrize(
    ("lineage", "words"),
    [
        ("undeclared", "lineage is not declared"),
        ("region-private", "trained, prompted, indexed or calibrated"),
        ("region-dp", "hashes of the plans"),
    ],
)
def test_a_second_teacher_of_the_wrong_lineage_refuses_the_plan(
    study: TinyStudy, tmp_path: Path, lineage: str, words: str
) -> None:
    """Whatever the first one is: nothing is trained and nothing charged."""
    _with_second(study, lineage, "somebody")
    with pytest.raises(LineageRefusedError, match=words):
        simulate(study.file, tmp_path / "run", Options())
    assert not (tmp_path / "run" / "plan.json").exists()
