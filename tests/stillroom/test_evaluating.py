"""``stillroom evaluate`` says what it measured, for people and machines, or one sentence."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from distillation.errors import TrainingError
from distillation.measure.cost import measure_cost
from distillation.model_files import locate
from distillation.students import save_classifier
from distillation.teacher import load_tokenizer
from stillroom.exits import Exit
from stillroom.main import app
from tests.distillation import tiny
from tests.simulations import tiny_study

_RUNNER = CliRunner()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny teacher with its data, and a tiny student beside it."""
    study = tiny_study.make(tmp_path_factory.mktemp("evaluate"))
    tokenizer = load_tokenizer(locate(str(study.folder / "teacher")))
    save_classifier(tiny.student_model(), tokenizer, study.folder / "student")
    return study.folder


def _evaluate(folder: Path, *words: str, on: str = "test.csv") -> tuple[int, str, str]:
    fixed = ["evaluate", str(folder / "student"), "--on", str(folder / on), "--no-cost"]
    result = _RUNNER.invoke(app, [*fixed, *words])
    return result.exit_code, result.stdout, result.stderr


def test_machines_get_every_figure(folder: Path) -> None:
    """One JSON object: figures with ranges, slices, calibration, the teacher, the other student."""
    teacher = str(folder / "teacher")
    code, out, _ = _evaluate(
        folder, "--label", "kind", "--teacher", teacher, "--against", teacher, "--json"
    )
    found = json.loads(out)
    student = found["student"]

    assert code == Exit.DONE
    assert student["records"] == 15
    assert student["figures"].keys() == {
        "accuracy", "macro_f1", "agreement", "teacher_kl", "nll", "brier",
    }  # fmt: skip
    assert student["teacher"]["accuracy"]["low"] <= student["teacher"]["accuracy"]["high"]
    assert student["calibration"]["temperature"] > 0
    assert {one["by"] for one in student["slices"]} >= {"label", "length"}
    assert found["against"]["differences"]["accuracy"]["p_value"] <= 1
    assert found["costs"] == {}


def test_people_get_tables(folder: Path) -> None:
    """Figures, parts by label, length and a column, calibration; ranges are explained."""
    code, out, _ = _evaluate(folder, "--label", "all", "--slice", "region", on="records.csv")

    assert code == Exit.DONE
    for words in ("accuracy", "label: a", "tokens", "region: c (few)", "temperature", "resamples"):
        assert words in out
    assert "teacher" not in out


def test_the_same_call_says_the_same(folder: Path) -> None:
    """The resamples are seeded; another seed moves the ranges alone."""
    first, again, other = (
        json.loads(_evaluate(folder, "--label", "kind", "--json", "--seed", seed)[1])["student"]
        for seed in ("0", "0", "1")
    )

    assert first == again
    assert first["figures"]["nll"]["estimate"] == other["figures"]["nll"]["estimate"]
    assert first["figures"]["nll"]["low"] != other["figures"]["nll"]["low"]


@pytest.mark.parametrize(
    ("words", "on", "sentence"),
    [
        (("--label", "kind"), "nowhere.csv", "there is no file"),
        (("--label", "chapter"), "test.csv", "no column 'chapter'"),
        (("--label", "kind", "--slice", "ward"), "test.csv", "no column 'ward'"),
        (("--label", "kind", "--teacher", "nowhere"), "test.csv", "nowhere"),
        (("--label", "kind"), "records.csv", "expected a label in every row"),
        (("--label", "region"), "records.csv", "does not know"),
    ],
)
def test_a_wrong_call_ends_with_one_sentence(
    folder: Path, words: tuple[str, ...], on: str, sentence: str
) -> None:
    """No traceback, exit code 2, and no cell of the file in the message."""
    code, out, err = _evaluate(folder, *words, on=on)

    assert code == Exit.BAD_INPUT
    assert sentence in err.replace("\n", " ")
    assert err.startswith("stillroom: ")
    assert "accuracy" not in out


@pytest.mark.slow
def test_costs_are_those_of_a_process_of_its_own(folder: Path) -> None:
    """Times in order, more memory than the libraries alone, the folder's bytes."""
    cost = measure_cost(folder / "student", ["w1 w2", "w3"] * 20)
    size = sum(file.stat().st_size for file in (folder / "student").iterdir())

    assert 0 < cost.latency_p50_ms <= cost.latency_p95_ms
    assert cost.records_per_s > 0
    assert cost.peak_memory_bytes > cost.libraries_bytes > 1e7
    assert (cost.size_bytes, cost.threads, cost.texts) == (size, 1, 40)
    assert cost.parameters == sum(p.numel() for p in tiny.student_model().parameters())


@pytest.mark.slow
def test_a_folder_that_cannot_be_timed_says_why(tmp_path: Path) -> None:
    """The process's last line is in the error."""
    with pytest.raises(TrainingError, match=r"could not be timed: .*TeacherError"):
        measure_cost(tmp_path, ["w1"])


def test_the_command_explains_itself() -> None:
    """Help, with a runnable example."""
    result = _RUNNER.invoke(app, ["evaluate", "--help"])

    assert result.exit_code == Exit.DONE
    assert "Example: stillroom evaluate" in result.stdout
