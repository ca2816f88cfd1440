"""``stillroom evaluate``: what a student is worth on a public test set, with how sure that is."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import typer

from distillation.measure.answering import ModelAnswers, answer, judge
from distillation.measure.assessment import Evaluation, assess
from distillation.measure.bootstrap import Interval, Resampling
from distillation.measure.calibration import Scaling
from distillation.measure.cost import Cost, measure_cost
from distillation.measure.judged import Figure, Judged
from distillation.measure.paired import PairedResult, compare
from distillation.records import Columns, Records, read_records
from stillroom.terminal import TerminalProgress, out, print_table

_TITLES = {
    Figure.ACCURACY: "accuracy",
    Figure.MACRO_F1: "macro-F1",
    Figure.AGREEMENT: "agrees with the teacher",
    Figure.TEACHER_KL: "KL from the teacher",
    Figure.NLL: "negative log-likelihood",
    Figure.BRIER: "Brier score",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked of ``stillroom evaluate``.

    Attributes:
        student: Folder of the student.
        on: The public test file.
        teacher: Folder of the teacher to compare with, if any.
        against: Folder of another student to compare with, if any.
        text: Column of the texts.
        label: Column of the labels.
        slices: Further columns to slice by.
        with_cost: Whether time and memory are measured.
        resampling: How intervals are found.
    """

    student: Path
    on: Path
    teacher: Path | None
    against: Path | None
    text: str
    label: str
    slices: tuple[str, ...]
    with_cost: bool
    resampling: Resampling


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What ``stillroom evaluate`` found."""

    student: Evaluation
    paired: PairedResult | None
    costs: Mapping[str, Cost]

    def to_dict(self) -> dict[str, object]:
        """Return everything by name, for machines."""
        return {
            "student": self.student.to_dict(),
            "against": None if self.paired is None else self.paired.to_dict(),
            "costs": {name: cost.to_dict() for name, cost in self.costs.items()},
        }


def evaluate_student(question: Question, *, as_json: bool) -> None:
    """Measure and print.

    Raises:
        RecordsError: If the file cannot be used, or lacks a column or a label.
        TeacherError: If a folder holds no classifier, or another one's.
    """
    found = measure(question, shows=not as_json)
    if as_json:
        typer.echo(json.dumps(found.to_dict(), indent=2, ensure_ascii=False))
    else:
        print_answer(question, found)


def measure(question: Question, *, shows: bool) -> Answer:
    """Return everything that was asked for.

    Raises:
        RecordsError: As `evaluate_student`.
        TeacherError: As `evaluate_student`.
    """
    records, columns = _read(question)
    asked = {
        "student": question.student,
        "teacher": question.teacher,
        "other student": question.against,
    }
    folders = {name: folder for name, folder in asked.items() if folder is not None}
    answers = {name: _answer(name, folder, records, shows) for name, folder in folders.items()}
    judged = judge(answers["student"], records, answers.get("teacher"))
    return Answer(
        student=assess(judged, answers["student"], columns=columns, resampling=question.resampling),
        paired=_paired(judged, answers, records, question.resampling),
        costs={
            name: measure_cost(folder, records.texts)
            for name, folder in folders.items()
            if question.with_cost
        },
    )


def print_answer(question: Question, found: Answer) -> None:
    """Print the tables and what they mean."""
    student, coverage = found.student, question.resampling.coverage
    out.print(f"{student.records} public records of {question.on.name}", soft_wrap=True)
    _print_figures(student)
    _print_slices(student)
    if student.scaling is not None:
        _print_scaling(student.scaling)
    if found.paired is not None:
        _print_paired(found.paired)
    _print_costs(found.costs)
    out.print(
        f"ranges: {coverage:.0%} of {question.resampling.resamples} resamples of the test records, "
        f"seed {question.resampling.seed}; the chance of training and noise is not in them. "
        "Figures of private records would be a release: this is for public ones",
        soft_wrap=True,
    )


def _read(question: Question) -> tuple[Records, dict[str, tuple[str, ...]]]:
    records = read_records(question.on, Columns(text=question.text, label=question.label))
    columns = {
        name: read_records(question.on, Columns(text=question.text, region=name)).regions
        for name in question.slices
    }
    return records, columns


def _answer(name: str, folder: Path, records: Records, shows: bool) -> ModelAnswers:
    if not shows:
        return answer(folder, records)
    with TerminalProgress().stage(f"The {name} answers") as done:
        return answer(folder, records, done)


def _paired(
    judged: Judged, answers: Mapping[str, ModelAnswers], records: Records, resampling: Resampling
) -> PairedResult | None:
    if "other student" not in answers:
        return None
    other = judge(answers["other student"], records, answers.get("teacher"))
    return compare(judged, other, resampling)


def _print_figures(student: Evaluation) -> None:
    teacher = student.teacher_figures
    rows = []
    for figure, one in student.figures.items():
        row = [_TITLES[figure], _range(one)]
        if teacher is not None:
            row.append(_range(teacher[figure]) if figure in teacher else "")
        rows.append(row)
    print_table(["figure", "student"] + (["teacher"] if teacher is not None else []), rows)


def _print_slices(student: Evaluation) -> None:
    rows = []
    for one in student.slices:
        mark = " (few)" if one.is_small else ""
        name = f"{one.by}: {one.value}{mark}"
        score = Figure.CLASS_F1 if Figure.CLASS_F1 in one.figures else Figure.MACRO_F1
        cells = [_range(one.figures[figure]) for figure in (Figure.ACCURACY, score)]
        rows.append([name, str(one.records), *cells])
    out.print("")
    print_table(["part", "records", "accuracy", "mean F1"], rows)


def _print_scaling(scaling: Scaling) -> None:
    before, after = scaling.before, scaling.after
    out.print("")
    print_table(
        ["calibration", "as it is", f"at temperature {scaling.temperature:.2f}"],
        [
            ["expected calibration error", f"{before.error:.3f}", f"{after.error:.3f}"],
            ["Brier score", f"{before.brier:.3f}", f"{after.brier:.3f}"],
            ["negative log-likelihood", f"{before.nll:.3f}", f"{after.nll:.3f}"],
        ],
    )


def _print_paired(paired: PairedResult) -> None:
    out.print("")
    print_table(
        ["student minus other student", "difference", "p"],
        [
            [_TITLES[figure], _range(one.interval, sign="+"), f"{one.p_value:.3f}"]
            for figure, one in paired.differences.items()
        ],
    )
    out.print(
        f"{paired.only_first} records only this student has right, {paired.only_second} only the "
        f"other one: p = {paired.mcnemar_p:.3g} (McNemar, exact)",
        soft_wrap=True,
    )


def _print_costs(costs: Mapping[str, Cost]) -> None:
    if not costs:
        return
    rows: Sequence[tuple[str, list[str]]] = [
        ("parameters", [f"{cost.parameters:,}" for cost in costs.values()]),
        ("size on disk, MB", [f"{cost.size_bytes / 1e6:.1f}" for cost in costs.values()]),
        ("one record, median ms", [f"{cost.latency_p50_ms:.1f}" for cost in costs.values()]),
        ("one record, 95 % ms", [f"{cost.latency_p95_ms:.1f}" for cost in costs.values()]),
        ("records a second", [f"{cost.records_per_s:.0f}" for cost in costs.values()]),
        ("peak memory, MB", [f"{cost.peak_memory_bytes / 1e6:.0f}" for cost in costs.values()]),
        ("of it libraries, MB", [f"{cost.libraries_bytes / 1e6:.0f}" for cost in costs.values()]),
    ]
    out.print("")
    print_table(["cost, one thread", *costs], [[title, *cells] for title, cells in rows])


def _range(one: Interval, *, sign: str = "") -> str:
    return f"{one.estimate:{sign}.3f} \\[{one.low:{sign}.3f}, {one.high:{sign}.3f}]"
