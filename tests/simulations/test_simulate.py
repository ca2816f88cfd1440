"""A whole federation of five tiny regions: what it leaves, and what it survives."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from transformers import AutoModelForSequenceClassification

import distillation.students  # noqa: F401 - registers the student with transformers
from client.errors import ApprovalRefusedError
from client.training import LocalTraining
from privacy.errors import BudgetExceededError, LineageRefusedError
from privacy.ledger import Ledger
from privacy.ledger_entries import Release, Reserve
from privacy.report.model import Report
from protocol.config import Deadlines
from protocol.envelope import MessageKind
from simulations.errors import RunFolderError, SimulationError
from simulations.grid import LocalGrid
from simulations.progress import Quiet
from simulations.simulate import Options, simulate
from tests.simulations import tiny_study
from tests.simulations.tiny_study import REGIONS, TinyStudy
from verify.findings import Outcome
from verify.ledger_check import check_ledgers

pytestmark = pytest.mark.slow


@pytest.fixture
def study(tmp_path: Path) -> TinyStudy:
    return tiny_study.make(tmp_path / "study")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "run"


class _StopIn(Quiet):
    """Interrupts the run when a round has finished."""

    def __init__(self, number: int) -> None:
        self._number = number

    def line(self, text: str) -> None:
        if text.startswith(f"round  {self._number}/"):
            raise KeyboardInterrupt


def _ledger(out: Path, region: str) -> Ledger:
    return Ledger.open(out / "regions" / region / "ledger.db", clock=lambda: 2**40)


def _entries(out: Path, region: str, kind: type) -> list[object]:
    with _ledger(out, region) as ledger:
        return [e.payload for e in ledger.entries() if isinstance(e.payload, kind)]


def test_a_run_leaves_all_that_it_promises(study: TinyStudy, out: Path) -> None:
    """Report, summary, student and ledgers are there, agree, and the auditor's check holds."""
    result = simulate(study.file, out, Options())
    report = Report.from_json((out / "report.json").read_bytes())
    summary = json.loads((out / "summary.json").read_text())

    assert report == result.report
    assert summary["rounds"] == 3
    assert summary["student_accuracy"] == float(report.final.accuracy)
    assert {f"{arm}_accuracy" for arm in ("teacher", "without_teacher", "public_only")} <= set(
        summary
    )
    assert (out / "report.html").read_text().startswith("<!doctype html>")
    assert "add-or-remove-one" in (out / "student" / "README.md").read_text()
    assert str(study.folder) not in (out / "report.json").read_text()
    for region in report.regions:
        assert region.released_steps == region.reserved_steps == 6
        assert region.charged.epsilon <= region.budget.epsilon <= 3
    assert check_ledgers(out).outcome is Outcome.HOLDS
    assert (
        AutoModelForSequenceClassification.from_pretrained(out / "student").config.num_labels == 3
    )


@pytest.mark.slow
def test_neighbouring_data_give_replies_of_equal_size_and_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One record more or less changes no key and no byte count of anything that leaves."""
    shapes = []
    for removed in (0, 1):
        study = tiny_study.make(tmp_path / f"study{removed}")
        rows = study.records()
        study.write_records([rows[0], *rows[1 + removed :]])
        shapes.append(_shapes_of_replies(study, tmp_path / f"run{removed}", monkeypatch))

    assert shapes[0] == shapes[1]
    assert len(shapes[0]) == 3 * len(MessageKind) * len(REGIONS)


def _shapes_of_replies(
    study: TinyStudy, out: Path, monkeypatch: pytest.MonkeyPatch
) -> list[tuple[object, ...]]:
    """Run the study and return what an observer of the wire could measure of each reply."""
    seen: list[tuple[object, ...]] = []
    original = LocalGrid._deliver

    def spy(grid: LocalGrid, node: int, message: object) -> object:
        reply = original(grid, node, message)  # type: ignore[arg-type]
        if reply is not None:
            content = reply.content
            sizes = [
                (name, key, len(value)) for name, record in content.config_records.items()
                for key, value in record.items() if isinstance(value, bytes)
            ]  # fmt: skip
            arrays = [
                (name, key, len(array.data), array.dtype)
                for name, record in content.array_records.items()
                for key, array in record.items()
            ]
            seen.append((node, reply.metadata.message_type, sorted(content), sizes, arrays))
        return reply

    monkeypatch.setattr(LocalGrid, "_deliver", spy)
    simulate(study.file, out, Options())
    monkeypatch.setattr(LocalGrid, "_deliver", original)
    return sorted(seen, key=repr)


@pytest.mark.slow
def test_regions_that_stay_away_are_named(
    study: TinyStudy, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three of five make no sum: the run stops, says who is missing, and can be resumed later."""
    monkeypatch.setattr("simulations.federation.DEADLINES", _SHORT)
    with pytest.raises(SimulationError, match="c, d"):
        simulate(study.file, out, Options(fault=lambda node, kind, moment: node in (4, 5)))
    assert not (out / "report.json").exists()
    result = simulate(study.file, out, Options(resume=True))

    assert result.report.final.round == 3
    assert len(_entries(out, "c", Reserve)) == 3


@pytest.mark.slow
@pytest.mark.parametrize("number", [1, 2, 3])
def test_an_interrupted_run_resumes_without_drawing_twice(
    study: TinyStudy, out: Path, number: int
) -> None:
    """Stopped after any round: the rest is run, every round has one draw and one release."""
    with pytest.raises(KeyboardInterrupt):
        simulate(study.file, out, Options(show=_StopIn(number)))
    assert not (out / "summary.json").exists()
    report = simulate(study.file, out, Options(resume=True)).report

    assert [one.round for one in report.rounds] == [0, 1, 2, 3]
    assert len(_entries(out, "a", Reserve)) == len(_entries(out, "a", Release)) == 3
    assert check_ledgers(out).outcome is Outcome.HOLDS


@pytest.mark.slow
@pytest.mark.parametrize("step", ["train", "store", "release"])
def test_a_death_before_release_burns_one_reserve_of_the_slack(
    study: TinyStudy, out: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next start draws again, under a new reserve that the slack pays for."""
    original = LocalTraining.delta
    died: list[str] = []

    def dying(training: LocalTraining, round_: int, weights: object) -> object:
        if training.region == "a" and round_ == 1 and not died:
            object.__setattr__(training, "on_step", _die_at(step, died))
        return original(training, round_, weights)  # type: ignore[arg-type]

    monkeypatch.setattr(LocalTraining, "delta", dying)
    result = simulate(study.file, out, Options())
    reserves = [r for r in _entries(out, "a", Reserve) if isinstance(r, Reserve)]

    assert died
    assert [(r.round, r.draw) for r in reserves] == [(0, 1), (1, 1), (1, 2), (2, 1)]
    assert len(_entries(out, "a", Release)) == 3
    assert result.report.regions[0].reserved_steps == 8


def _die_at(step: str, died: list[str]) -> Callable[[str], None]:
    def on_step(name: str) -> None:
        if name == step and not died:
            died.append(name)
            raise OSError("the process died here")

    return on_step


def test_an_account_that_cannot_pay_stops_before_any_training(study: TinyStudy, out: Path) -> None:
    """The plan is refused, nothing is reserved anywhere, and the run has no report."""
    study.edit("[regions.c]", "[regions.c]\nbudget_epsilon = 1")
    with pytest.raises(BudgetExceededError, match="c-records"):
        simulate(study.file, out, Options())

    assert all(not _entries(out, region, Reserve) for region in REGIONS)
    assert not (out / "report.json").exists()


def test_a_changed_artifact_is_refused_at_approval(study: TinyStudy, out: Path) -> None:
    """A region whose recipe is not the plan's does not approve it."""
    with pytest.raises(KeyboardInterrupt):
        simulate(study.file, out, Options(show=_StopIn(1)))
    recipe = out / "artifacts" / "recipe.json"
    recipe.write_bytes(recipe.read_bytes().replace(b'"temperature":"2.0"', b'"temperature":"9.0"'))
    with pytest.raises(ApprovalRefusedError, match="recipe"):
        simulate(study.file, out, Options(resume=True))


@pytest.mark.slow
def test_a_run_may_be_moved_and_resumed(study: TinyStudy, out: Path) -> None:
    """Its parts find each other where the folder now is."""
    with pytest.raises(KeyboardInterrupt):
        simulate(study.file, out, Options(show=_StopIn(1)))
    moved = out.rename(out.with_name("moved"))

    assert simulate(study.file, moved, Options(resume=True)).report.final.round == 3


def test_a_teacher_that_saw_the_regions_is_refused(study: TinyStudy, out: Path) -> None:
    """Its lineage is named, before anything is trained or charged."""
    study.edit('lineage = "public"', 'lineage = "region-private"\npopulation = "our patients"')
    with pytest.raises(LineageRefusedError, match="one record change every label"):
        simulate(study.file, out, Options())


def test_an_existing_run_is_never_overwritten(study: TinyStudy, out: Path) -> None:
    """Without ``resume`` it is refused; with another study too."""
    with pytest.raises(KeyboardInterrupt):
        simulate(study.file, out, Options(show=_StopIn(1)))
    with pytest.raises(RunFolderError, match="--resume"):
        simulate(study.file, out, Options())
    study.edit('name = "tiny"', 'name = "other"')
    with pytest.raises(RunFolderError, match="another study"):
        simulate(study.file, out, Options(resume=True))


@pytest.mark.slow
def test_a_missed_gate_holds_the_student_back(study: TinyStudy, out: Path) -> None:
    """No student is written, and the report's first page says why."""
    study.edit("cost = false", "cost = false\ngates = { accuracy = 1.0 }")
    result = simulate(study.file, out, Options())

    assert result.missed_gates
    assert not (out / "student").exists()
    assert result.missed_gates[0] in result.report.marks


_SHORT = Deadlines(advertise_s=1, encaps_s=1, shares_s=1, masked_s=2, consent_s=1, unmask_s=1)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("layers = [0, 2]", 'layers = [0, 2]\ntrain = "last"'),
        ("sample_rate = 0.5", "sample_rate = 1.0\nbits = 16"),
        ("[warm_up]", "[baselines]\nrun = false\n[warm_up]"),
        ("[warm_up]", "[objective]\nsoft = 0.5\nhard = 0.2\nlabel = 0.3\n[warm_up]"),
        ("[warm_up]", "[optimizer]\nmomentum = 0.5\nserver_momentum = 0.3\n[warm_up]"),
        ('all_labels = "all"\n', ""),
    ],
    ids=["last layer", "all records, 16 bit", "no baselines", "blend", "momentum", "fewer arms"],
)
@pytest.mark.slow
def test_the_other_choices_of_a_study_run_too(
    study: TinyStudy, out: Path, old: str, new: str
) -> None:
    """Whatever the study may say, it runs to a report that the ledgers confirm."""
    study.edit(old, new)
    result = simulate(study.file, out, Options())

    assert check_ledgers(out).outcome is Outcome.HOLDS
    assert result.report.worst.charged.epsilon <= 3
