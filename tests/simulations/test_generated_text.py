"""A study whose warm-up learns from generated text: what it leaves behind, and what it refuses."""

import html
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from client.errors import ClientError
from distillation.data import artifact
from distillation.data.provenance import Generator
from distillation.data.warm_start import RECORD, WarmStart, generator_seed
from distillation.errors import ArtifactError, DistillationError
from distillation.study import Study
from privacy.errors import LineageRefusedError
from privacy.report.model import Report
from simulations.generated_text import TEXTS
from simulations.prepare import Bench, Prepared, prepare
from simulations.progress import Quiet
from simulations.regions import approve_everywhere, make_parties
from simulations.run_folder import Journal, RunFolder
from simulations.simulate import Options, simulate
from simulations.study_data import StudyData
from tests.client.region_builder import clock
from tests.simulations import tiny_study
from tests.simulations.tiny_study import SPOKEN, TinyStudy

_TRIED = 30
_PRIVATE = 'lineage = "external-private"\npopulation = "the customers of the vendor"'


def _study(folder: Path, *, seed: int = 0) -> TinyStudy:
    made = tiny_study.make(folder, words=SPOKEN)
    made.edit('lineage = "public"', _PRIVATE)
    made.edit("epochs = 1", f"epochs = 1\ngenerated = {_TRIED}\nseed = {seed}")
    public = 'source = "public.csv"'
    made.edit(public, f'{public}\norigin = "made up"\nreason = "it is in the source code"')
    return made


def _prepared(made: TinyStudy, out: Path) -> tuple[Prepared, RunFolder]:
    study, run = Study.load(made.file), RunFolder(out)
    run.open(made.file, resume=out.exists())
    data, bench = StudyData.read(study), Bench.load(study)
    return prepare(study, data, bench, run, Journal(out / "events.jsonl"), Quiet()), run


@pytest.mark.slow
def test_the_plan_names_the_texts_their_filters_and_the_lineage_that_answered(
    tmp_path: Path,
) -> None:
    """From the plan's hash to the record, from the record to every text and its origin."""
    prepared, run = _prepared(_study(tmp_path / "study"), tmp_path / "run")
    record = WarmStart.from_bytes((run.artifacts / RECORD).read_bytes())
    texts = artifact.read(run.artifacts / TEXTS, expected_sha256=record.public_texts)
    made = [one for one in texts if one.provenance.generator is Generator.WORD_MIX]

    assert record == prepared.warm_start
    assert record.hash == prepared.plan.artifacts.public_data
    assert record.student == prepared.plan.artifacts.student
    assert record.declaration == prepared.plan.teacher
    assert (record.curated, record.tried, record.kept) == (10, _TRIED, len(made))
    assert len(texts) == record.curated + record.kept
    assert {one.provenance.seed for one in made} == {generator_seed(0)}
    assert {one.provenance.sources for one in texts} == {(record.public_file,)}
    assert texts[0].declaration.reason == "it is in the source code"


@pytest.mark.slow
def test_the_seed_alone_decides_what_is_generated(tmp_path: Path) -> None:
    """The same study gives the same start, bit for bit; another seed gives other texts."""
    first, again, other = (
        _prepared(_study(tmp_path / f"study{place}", seed=seed), tmp_path / f"run{place}")[0]
        for place, seed in enumerate((0, 0, 1))
    )

    assert first.warm_start == again.warm_start
    assert (first.start == again.start).all()
    assert first.warm_start
    assert other.warm_start
    assert first.warm_start.public_texts != other.warm_start.public_texts


@pytest.mark.slow
def test_the_report_says_what_was_generated_and_whom_that_leaves_out(tmp_path: Path) -> None:
    """A compliance officer reads the counts, the lineage, and that no budget pays for it."""
    out = tmp_path / "run"
    simulate(_study(tmp_path / "study").file, out, Options())
    report = Report.from_json((out / "report.json").read_bytes())
    summary = json.loads((out / "summary.json").read_text())
    record = WarmStart.from_bytes((out / "artifacts" / RECORD).read_bytes())

    assert f"{record.kept:,} generated ones" in report.data.notes[0]
    assert "lineage external-private" in report.data.notes[0]
    assert record.not_covered in report.not_covered
    assert "the customers of the vendor" in record.not_covered
    assert record.said in html.unescape((out / "report.html").read_text())
    assert summary["generated_texts"] == record.kept
    assert summary["warm_start_sha256"] == record.hash


@pytest.mark.slow
@pytest.mark.parametrize(
    "lineage", ["region-private", "cross-fit", "undeclared"], ids=lambda name: str(name)
)
def test_a_teacher_that_no_plan_accepts_answers_nothing(tmp_path: Path, lineage: str) -> None:
    """Its answers to generated text would carry the regions' records out without noise."""
    made = _study(tmp_path / "study")
    made.edit("external-private", lineage)
    with pytest.raises(LineageRefusedError):
        _prepared(made, tmp_path / "run")

    assert not list((tmp_path / "run" / "artifacts").iterdir())


def _drop(folder: Path) -> None:
    (folder / RECORD).unlink()


def _fewer(folder: Path) -> None:
    found = json.loads((folder / RECORD).read_text())
    found |= {"tried": found["tried"] - 1, "kept": found["kept"] - 1}
    (folder / RECORD).write_text(json.dumps(found, sort_keys=True, separators=(",", ":")))


def _other_text(folder: Path) -> None:
    content = (folder / TEXTS).read_bytes()
    (folder / TEXTS).write_bytes(content.replace(b"made up", b"stolen!"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "words"),
    [(_drop, "found none"), (_fewer, "not the plan's"), (_other_text, "not the file")],
    ids=["record gone", "record changed", "texts changed"],
)
def test_what_was_changed_since_the_plan_is_refused(
    tmp_path: Path, change: Callable[[Path], None], words: str
) -> None:
    """A run that is taken up checks the record against the plan, and the texts against it."""
    made = _study(tmp_path / "study")
    _, run = _prepared(made, tmp_path / "run")
    change(run.artifacts)
    with pytest.raises(ArtifactError, match=words):
        _prepared(made, tmp_path / "run")


@pytest.mark.slow
def test_a_region_refuses_a_record_that_is_not_the_plans(tmp_path: Path) -> None:
    """What the steward is shown about generated text is what the plan names, or nothing."""
    made = _study(tmp_path / "study")
    prepared, run = _prepared(made, tmp_path / "run")
    study = Study.load(made.file)
    make_parties(study, prepared.plan, StudyData.read(study).private, run, clock=clock)
    _fewer(run.artifacts)
    with pytest.raises((ClientError, DistillationError), match="record of the warm start"):
        approve_everywhere(
            run,
            study.regions,
            prepared.plan,
            load_teacher=lambda files: prepared.bench.teacher,
            clock=clock,
        )
