"""What quality is told by, and that a region's records are no test data."""

from pathlib import Path

import pytest

from distillation.errors import RecordsError, StudyError
from distillation.study import Study
from simulations.errors import StudyDataError
from simulations.study_data import StudyData
from simulations.test_data import slice_columns
from tests.simulations import tiny_study
from tests.simulations.tiny_study import TinyStudy

_ROWS = "text,kind,region,age\nw1 w2,a,x,old\nw3 w4,b,y,new\n"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> TinyStudy:
    return tiny_study.make(tmp_path_factory.mktemp("study"))


@pytest.fixture
def study(made: TinyStudy, tmp_path: Path) -> TinyStudy:
    """The study's files but for the teacher, which nothing here loads."""
    for name in ("study.toml", "records.csv", "public.csv", "test.csv"):
        (tmp_path / name).write_bytes((made.folder / name).read_bytes())
    return TinyStudy(tmp_path)


def _columns(study: TinyStudy) -> dict[str, tuple[str, ...]]:
    return dict(slice_columns(Study.load(study.file)))


def test_the_region_is_a_part_where_the_test_data_name_one(study: TinyStudy) -> None:
    """The column of that name is taken unasked; without it there is none."""
    assert _columns(study) == {}
    (study.folder / "test.csv").write_text(_ROWS)
    assert _columns(study) == {"region": ("x", "y")}


def test_a_study_names_its_own_parts(study: TinyStudy) -> None:
    """Then these are taken, and no other; an empty list means none."""
    (study.folder / "test.csv").write_text(_ROWS)
    study.edit("cost = false", 'cost = false\nslices = ["age"]')
    assert _columns(study) == {"age": ("old", "new")}
    study.edit('["age"]', "[]")
    assert _columns(study) == {}


def test_a_part_that_is_not_there_is_an_error_at_once(study: TinyStudy) -> None:
    """Before anything takes time, with the name of the column."""
    study.edit("cost = false", 'cost = false\nslices = ["ward"]')
    with pytest.raises(RecordsError, match="no column 'ward'"):
        StudyData.read(Study.load(study.file))


@pytest.mark.parametrize("name", ["records.csv", "./records.csv"])
def test_the_regions_own_file_is_no_test_data(study: TinyStudy, name: str) -> None:
    """However its path is written."""
    study.edit('source = "test.csv"', f'source = "{name}"')
    with pytest.raises(StudyError, match="releases that no budget pays for"):
        Study.load(study.file)


def test_records_of_the_regions_are_no_test_data(study: TinyStudy) -> None:
    """A copy of them in another file is refused, with how many and without their content."""
    rows = [["text", "kind"], *([row[0], row[2]] for row in study.records()[1:11])]
    (study.folder / "test.csv").write_text("".join(f"{a},{b}\n" for a, b in rows))
    with pytest.raises(StudyDataError, match=r"10 of 10 texts in test\.csv") as refused:
        StudyData.read(Study.load(study.file))
    assert rows[1][0] not in str(refused.value)


def test_a_few_short_texts_may_be_in_both(study: TinyStudy) -> None:
    """A public text that a region happens to have too is no reason to refuse."""
    shared, other = study.records()[1][0], "w1 w1 w1 w1 w1 w1 w1"
    (study.folder / "test.csv").write_text(f"text,kind\n{shared},a\n{other},b\n")
    assert len(StudyData.read(Study.load(study.file)).test) == 2


def test_a_language_model_is_not_told_by_parts(study: TinyStudy) -> None:
    """The key is refused there, not ignored."""
    study.edit("cost = false", 'cost = false\nslices = ["age"]')
    study.edit('name = "tiny"', 'name = "tiny"\ntask = "language-model"')
    for label in ('label = "kind"\nall_labels = "all"\n', 'label = "kind"\n'):
        study.edit(label, "")
    study.edit("layers = [0, 2]", 'layers = [0, 2]\ntrain = "lora"')
    with pytest.raises(StudyError, match=r"\[evaluation\] slices"):
        Study.load(study.file)
