"""A run's folder belongs to one study, and its journal survives what cut it off."""

import json
from pathlib import Path

import pytest

from distillation.evaluation import Quality
from simulations.errors import RunFolderError
from simulations.run_folder import Journal, RunFolder

_QUALITY = Quality(0.5, 0.25, 0.75, 0.125, 1.0, 2.0)


@pytest.fixture
def study(tmp_path: Path) -> Path:
    path = tmp_path / "study.toml"
    path.write_text("[study]\n")
    return path


def test_a_new_folder_is_made_with_the_study_in_it(tmp_path: Path, study: Path) -> None:
    """The study as it was run is there, byte by byte; an empty folder is as good as none."""
    for name in ("deep/run", "empty"):
        run = RunFolder(tmp_path / name)
        if name == "empty":
            run.root.mkdir()
        run.open(study, resume=False)
        assert run.study.read_bytes() == study.read_bytes()
        run.open(study, resume=True)


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path, study: Path) -> None:
    """Neither a full folder nor a file becomes a run, and nothing in them is touched."""
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("years of work")
    (tmp_path / "file").write_text("here")
    for name, resume in (("full", False), ("full", True), ("file", False)):
        with pytest.raises(RunFolderError, match=name):
            RunFolder(tmp_path / name).open(study, resume=resume)

    assert [path.name for path in (tmp_path / "full").iterdir()] == ["thesis.tex"]
    assert (tmp_path / "file").read_text() == "here"


def test_a_journal_goes_on_where_it_stopped(tmp_path: Path) -> None:
    """Times add up over restarts, a failed stage counts, and rounds are read back."""
    path = tmp_path / "events.jsonl"
    first = Journal(path)
    with pytest.raises(ZeroDivisionError), first.stage("rounds"):
        _ = 1 / 0
    first.add("stage", stage="rounds", seconds=2.0)
    first.add("round", round=1, seconds=0.1, **_QUALITY.to_dict())
    again = Journal(path)

    assert again.seconds["rounds"] == pytest.approx(2.0, abs=0.1)
    assert again.qualities() == {1: _QUALITY}


def test_a_line_that_was_cut_off_spoils_no_other(tmp_path: Path) -> None:
    """Wherever a crash cut the journal, it is read, written and read again."""
    path = tmp_path / "events.jsonl"
    Journal(path).add("round", round=1, **_QUALITY.to_dict())
    whole = path.read_bytes()
    for cut in range(len(whole)):
        path.write_bytes(whole + whole[:cut])
        journal = Journal(path)
        journal.add("round", round=2, **_QUALITY.to_dict())
        assert journal.qualities() == Journal(path).qualities() == {1: _QUALITY, 2: _QUALITY}
    assert [json.loads(line)["round"] for line in path.read_text().splitlines()] == [1, 2]
