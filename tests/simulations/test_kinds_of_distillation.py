"""Kinds of distillation that a study selects, each through a whole federation of tiny regions."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from distillation.ensemble_teacher import EnsembleTeacher
from distillation.errors import StudyError
from distillation.experts import locate_teacher
from distillation.study import Study
from distillation.teacher import Answers, ClassifierTeacher
from distillation.tokens import Tokens
from privacy.errors import BudgetExceededError, LineageRefusedError
from privacy.ledger import Ledger
from privacy.lineage import TeacherLineage
from privacy.plan import Plan
from simulations.prepare import Bench
from simulations.simulate import Options, Result, simulate
from tests.client.region_builder import World
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
    made = tiny_study.make(tmp_path / "study", rounds=2)
    made.edit("[warm_up]", "[baselines]\nrun = false\n[warm_up]")
    return made


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
    page = (out / "report.html").read_text()
    assert "customers of the second" in page
    assert "teacher + second" in page
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


def _going_on(study: TinyStudy, out: Path) -> TinyStudy:
    """Return a study of the same data whose student goes on from the run in ``out``."""
    further = study.folder / "further.toml"
    text = study.file.read_text().replace("layers = [0, 2]", f'from = "{out.name}"')
    further.write_text(text)
    return TinyStudy(study.folder, further.name)


def _grant(study: TinyStudy, epsilon: str, delta: str) -> None:
    text, size = study.file.read_text(), "public_size = 14"
    granted = f"{size}\nbudget_epsilon = {epsilon}\nbudget_delta = {delta}"
    study.file.write_text(text.replace(size, granted))


@pytest.mark.slow
def test_a_student_goes_on_on_the_same_accounts(
    study: TinyStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second plan names the first, both are charged to one account, and the ledgers hold."""
    _grant(study, "7", "2e-3")
    first, second = study.folder / "first", study.folder / "second-run"
    _run(study, first)
    asked: list[int] = []
    answer = ClassifierTeacher.answer

    def counting(teacher: ClassifierTeacher, tokens: Tokens, *rest: object) -> Answers:
        asked.append(len(tokens))
        return answer(teacher, tokens)

    monkeypatch.setattr(ClassifierTeacher, "answer", counting)
    result = _run(_going_on(study, first), second)
    plans = [Plan.from_bytes((out / "plan.json").read_bytes()) for out in (first, second)]
    kept, start = (
        load_file(folder / "model.safetensors")
        for folder in (first / "student", second / "artifacts" / "student")
    )

    assert plans[1].teacher.plans == (plans[0].hash,)
    assert "starts from a release of the plans" in plans[1].teacher.not_covered
    assert kept.keys() == start.keys()
    words = (second / "report.html").read_text()
    assert "Before this study" in words
    assert "never saw private data" not in words
    assert 12 not in asked  # no region asks for the labels that it has
    for region in result.report.regions:
        with Ledger.open(
            second / "regions" / region.name / "ledger.db", clock=lambda: 2**40
        ) as ledger:
            assert ledger.state.plans.keys() == {plan.hash for plan in plans}
            (spent,) = ledger.state.accounts[f"{region.name}-records"].charged.values()
            assert 3 < spent.epsilon <= 7


@pytest.mark.slow
def test_an_account_that_is_used_up_pays_for_no_further_study(study: TinyStudy) -> None:
    """Without more granted at the start, the first plan took all; the second is refused."""
    first = study.folder / "first"
    _run(study, first)
    with pytest.raises(BudgetExceededError):
        simulate(_going_on(study, first).file, study.folder / "second-run", Options())
    shutil.rmtree(first / "regions")
    with pytest.raises(LineageRefusedError, match="no charge"):
        simulate(_going_on(study, first).file, study.folder / "third-run", Options())


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "plan.json"), (b"{}", "can be read"), (b"plan", "no released student")],
)
def test_a_run_that_released_nothing_is_no_start(
    study: TinyStudy, prepared: World, content: bytes | None, words: str
) -> None:
    """A folder without a plan, with another file, or without a student is named."""
    former = study.folder / "former"
    former.mkdir()
    if content is not None:
        whole = content == b"plan"
        (former / "plan.json").write_bytes(prepared.plan.to_bytes() if whole else content)
    with pytest.raises(StudyError, match=words):
        simulate(_going_on(study, former).file, study.folder / "run", Options())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("train", "words"),
    [
        ("norms", "the norms of the last layer and the classification head"),
        ("lora", "adapters of rank 2 on the last 2 layers and the classification head"),
    ],
)
def test_more_than_a_head_learns_through_the_whole_federation(
    study: TinyStudy, train: str, words: str
) -> None:
    """The released student is a plain one: head and encoder moved, no adapter is left in it."""
    more = "\nrank = 2\ntrained_layers = 2" if train == "lora" else ""
    study.edit("layers = [0, 2]", f'layers = [0, 2]\ntrain = "{train}"{more}')
    out = study.folder / "run"
    result = _run(study, out)
    start, end = (
        load_file(folder / "model.safetensors")
        for folder in (out / "artifacts" / "student", out / "student")
    )
    moved = {name for name in start if not torch.equal(start[name], end[name])}
    expected = {"weight", "bias"} if train == "norms" else {"weight"}

    assert result.report.student.trained_part.startswith(words)
    assert start.keys() == end.keys()
    assert {"head.weight", "head.bias"} <= moved
    encoder = {name for name in moved if name.startswith("encoder.encoder.layer.")}
    assert encoder == moved - {"head.weight", "head.bias"}
    assert {name.rpartition(".")[2] for name in encoder} == expected
    assert all(("LayerNorm" in name) == (train == "norms") for name in encoder)
