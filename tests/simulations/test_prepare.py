"""What does not fit is said before anything takes time; an interrupted start is made again."""

from collections.abc import Callable
from pathlib import Path

import pytest

from client.folder import RegionFolder
from client.policy import Policy
from distillation.errors import RecordsError, TeacherError
from distillation.study import Study
from privacy.errors import LineageRefusedError
from privacy.ledger import Ledger
from simulations.errors import StudyDataError
from simulations.prepare import Bench, prepare, region_code_sha256
from simulations.progress import Quiet
from simulations.regions import make_parties
from simulations.run_folder import Journal, RunFolder
from simulations.study_data import StudyData
from tests.client import region_builder
from tests.client.region_builder import World, clock
from tests.simulations import tiny_study
from tests.simulations.tiny_study import REGIONS, TinyStudy


def _rows(change: Callable[[list[list[str]]], None]) -> Callable[[TinyStudy], None]:
    def edit(study: TinyStudy) -> None:
        rows = study.records()
        change(rows)
        study.write_records(rows)

    return edit


def _test_rows(text: str) -> Callable[[TinyStudy], None]:
    def write(study: TinyStudy) -> None:
        (study.folder / "test.csv").write_text(text)

    return write


def _edit(old: str, new: str) -> Callable[[TinyStudy], None]:
    return lambda study: study.edit(old, new)


_FEDERATED = 'lineage = "federated-dp"\npopulation = "patients"'


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (_rows(lambda rows: rows.append(["w1", "", "a", "z"])), StudyDataError, "only in the data"),
        (_rows(lambda rows: rows.__delitem__(slice(49, 61))), StudyDataError, "only in the study"),
        (_rows(lambda rows: rows.extend([rows[1]] * 3)), RecordsError, r"a\.public_size"),
        (_rows(lambda rows: rows.__delitem__(slice(2, 12))), RecordsError, "fewer than half"),
        (_rows(lambda rows: rows[5].__setitem__(1, "z")), RecordsError, "does not know 1 label"),
        (_rows(lambda rows: rows[5].__setitem__(0, "")), RecordsError, "row 5"),
        (_test_rows("text,kind\nw1,a\nw2,\n"), StudyDataError, "every row of the test data"),
        (_test_rows("text,kind\nw1,z\n"), RecordsError, "does not know 1 label"),
        (_edit("layers = [0, 2]", "layers = [0, 3]"), TeacherError, r"0\.\.2"),
        (_rows(lambda rows: rows[5].__setitem__(0, "w1 " * 17)), RecordsError, "at most 16"),
        (_edit('model = "teacher"', 'model = "nobody"'), TeacherError, "no folder here"),
        (_edit('lineage = "public"', _FEDERATED), LineageRefusedError, "hashes of the plans"),
    ],
    ids=[
        *("a region more", "a region less", "too many", "too few", "unknown label", "no text"),
        *("test without label", "test with another", "no such layer", "long texts"),
        *("no teacher", "lineage"),
    ],
)
def test_what_does_not_fit_is_said_first(
    tmp_path: Path, change: Callable[[TinyStudy], None], error: type[Exception], words: str
) -> None:
    """Data, teacher and study against each other; no plan is written, no party made."""
    made = tiny_study.make(tmp_path / "study")
    change(made)
    run = RunFolder(tmp_path / "run")
    run.open(made.file, resume=False)
    with pytest.raises(error, match=words):
        _prepare(Study.load(made.file), run)

    assert not run.plan.exists()
    assert not run.server.exists()


def _prepare(study: Study, run: RunFolder) -> None:
    data, bench = StudyData.read(study), Bench.load(study)
    prepare(study, data, bench, run, Journal(run.root / "events.jsonl"), Quiet())


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return region_builder.make(tmp_path_factory.mktemp("world"))


def test_the_plan_is_taken_up_not_made_again(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a plan in the folder the artifacts are whole: no second warm-up, the same start."""
    run = region_builder.fresh(world, tmp_path / "run").run
    monkeypatch.setattr(
        "simulations.prepare.warmed_up", lambda *given: pytest.fail("warmed up again")
    )
    data = StudyData.read(world.study)
    again = prepare(world.study, data, world.bench, run, Journal(run.root / "e.jsonl"), Quiet())

    assert again.plan == world.plan
    assert (again.start == world.prepared.start).all()


def test_each_region_gets_its_own_records_and_nothing_else(world: World) -> None:
    """Every record is in one region's file, in order; keys, records and ledger are its own."""
    private = StudyData.read(world.study).private
    for name in REGIONS:
        folder = world.run.region(name)
        lines = (folder.root / "records.csv").read_text().splitlines()[1:]
        texts = [private.texts[row] for row in private.rows_by_region()[name]]
        assert [line.split(",")[0] for line in lines] == texts
        for secret in ("records.csv", "identity.key", "ledger.db"):
            assert (folder.root / secret).stat().st_mode & 0o077 == 0
        assert Policy.load(folder.policy).region == name
    for key in ("identity.key", "cosigner.key"):
        assert (world.run.server / key).stat().st_mode & 0o077 == 0


def test_an_interrupted_start_is_made_again(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Died between two regions: all of them get new keys, and the registry is the last file."""
    run = RunFolder(tmp_path / "run")
    run.artifacts.mkdir(parents=True)
    private, made = StudyData.read(world.study).private, list[str]()

    def open_account(folder: RegionFolder, policy: Policy, **rest: object) -> None:
        if len(made) == 2:
            raise KeyboardInterrupt
        made.append(policy.region)
        policy.save(folder.policy)

    with monkeypatch.context() as patch:
        patch.setattr("simulations.regions.open_account", open_account)
        with pytest.raises(KeyboardInterrupt):
            make_parties(world.study, world.plan, private, run, clock=clock)
    assert not (run.server / "registry.bin").exists()
    parties = make_parties(world.study, world.plan, private, run, clock=clock)
    same = make_parties(world.study, world.plan, private, run, clock=clock)

    assert same.registry == parties.registry
    for name in REGIONS:
        key = run.region(name).identity().public_bytes()
        assert any(record.identity_key == key for record in parties.registry.regions)
        with Ledger.open(run.region(name).ledger, clock=clock) as ledger:
            assert ledger.state.region == name
    assert parties.server.public_bytes() == parties.registry.server_key


def test_a_plan_of_other_training_constants_is_not_taken_up(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The regions would train by the plan's, and the comparisons by the study's."""
    copy = region_builder.fresh(world, tmp_path / "run")
    data, bench = StudyData.read(copy.study), Bench.load(copy.study)
    monkeypatch.setattr("distillation.step_size.LOGIT_NOISE", 0.3)
    with pytest.raises(StudyDataError, match="training constants"):
        prepare(copy.study, data, bench, copy.run, Journal(tmp_path / "events.jsonl"), Quiet())


def test_approvals_that_died_are_finished_without_a_second_charge(
    world: World, tmp_path: Path
) -> None:
    """Whatever was not yet written in a region, plan or signature, is there after a resume."""
    copy = region_builder.fresh(world, tmp_path / "run")
    copy.approve_all()
    for name, missing in (("b", ["approval"]), ("c", ["approval", "plan"])):
        for file in missing:
            getattr(copy.run.region(name), file).unlink()
    copy.approve_all()

    for name in REGIONS:
        folder = copy.run.region(name)
        assert folder.plan.read_bytes() == copy.plan.to_bytes()
        assert folder.approval.exists()
        with Ledger.open(folder.ledger, clock=clock) as ledger:
            assert list(ledger.state.plans) == [copy.plan.hash]


def test_the_identity_of_the_code_is_stable(world: World) -> None:
    """The same installation gives the same hash, and it is the plan's."""
    assert region_code_sha256() == world.plan.artifacts.code
