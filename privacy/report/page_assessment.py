"""The page's words for the assessment: which figures stand side by side, and how they are said."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from privacy.report.assessment import (
    Answered,
    Assessment,
    Estimate,
    FigureName,
    ModelCost,
    Scaling,
    SliceQuality,
)
from privacy.report.page_format import count, score, size

SHOWN_SLICES = 12
"""Parts that stand open on the page; the others are folded."""

_NONE = "–"
_SPACE = "\N{NO-BREAK SPACE}"
_TO = "\N{EN DASH}"
_TITLES = {
    FigureName.ACCURACY: ("Accuracy", "share of right answers"),
    FigureName.MACRO_F1: ("Macro-F1", "mean over the classes, rare ones like common ones"),
    FigureName.AGREEMENT: ("Agrees with the teacher", "chooses the same"),
    FigureName.TEACHER_KL: ("Distance from the teacher", "mean KL(teacher ‖ student), nats"),
    FigureName.PERPLEXITY: ("Perplexity", "lower is better"),
    FigureName.BRIER: ("Brier score", "0 to 2, lower is better"),
    FigureName.NLL: ("Negative log-likelihood", "nats, lower is better"),
}
_QUALITY = (
    FigureName.PERPLEXITY,
    FigureName.ACCURACY,
    FigureName.MACRO_F1,
    FigureName.AGREEMENT,
    FigureName.TEACHER_KL,
)
_SURENESS = (FigureName.BRIER, FigureName.NLL)


@dataclass(frozen=True, slots=True)
class Cell:
    """What a cell says, and what stands under it in small print."""

    text: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of both models; ``help`` says how it is read."""

    title: str
    help: str
    student: Cell
    teacher: Cell


@dataclass(frozen=True, slots=True)
class Group:
    """Rows of one kind."""

    title: str
    rows: tuple[Row, ...]


def groups_of(found: Assessment) -> tuple[Group, ...]:
    """Return the rows of the table that has student and teacher side by side."""
    groups = [
        Group("Quality", _figures(found, _QUALITY)),
        Group("Calibration", (*_calibration(found), *_figures(found, _SURENESS))),
        Group("Cost on the machine that ran this", _costs(found)),
    ]
    return tuple(group for group in groups if group.rows)


def coverage_percent(found: Assessment) -> str:
    """Return how many of the resamples a range holds."""
    return f"{100 * found.coverage:.0f}{_SPACE}%"


def cell_of(one: Estimate | None) -> Cell:
    """Return a figure with its range under it."""
    if one is None:
        return Cell(_NONE)
    if one.low is None or one.high is None:
        return Cell(score(one.value))
    return Cell(score(one.value), f"{score(one.low)}{_TO}{score(one.high)}")


def slice_kind(one: SliceQuality) -> str:
    """Return what the records of a part have in common, in words."""
    return {"label": "class", "class size": "classes together"}.get(one.by, one.by)


def _figures(found: Assessment, names: tuple[FigureName, ...]) -> tuple[Row, ...]:
    there = [one for name in names if (one := found.figure(name)) is not None]
    return tuple(
        Row(*_titled(one.figure, found.answered), cell_of(one.student), cell_of(one.teacher))
        for one in there
    )


def _titled(name: FigureName, answered: Answered) -> tuple[str, str]:
    title, words = _TITLES[name]
    if name is FigureName.ACCURACY and answered is Answered.TOKEN:
        return "Next token right", "the most likely token is the one that follows"
    return title, words


def _calibration(found: Assessment) -> tuple[Row, ...]:
    pair = found.student_scaling, found.teacher_scaling

    def row(title: str, words: str, of: Callable[[Scaling], str]) -> Row:
        cells = [Cell(_NONE) if one is None else Cell(of(one)) for one in pair]
        return Row(title, words, *cells)

    if pair == (None, None):
        return ()
    return (
        row(
            "Calibration error",
            "gap between confidence and accuracy, over groups of equally many records",
            lambda one: score(one.before.error),
        ),
        row(
            "The same at one temperature",
            "fitted on one half of these records, judged on the other",
            lambda one: score(one.after.error),
        ),
        row(
            "That temperature", "above 1: it was too sure", lambda one: temperature(one.temperature)
        ),
    )


def _costs(found: Assessment) -> tuple[Row, ...]:
    student, teacher = found.student_cost, found.teacher_cost
    one = student or teacher
    if one is None:
        return ()

    def row(title: str, words: str, of: Callable[[ModelCost], Cell]) -> Row:
        cells = [Cell(_NONE) if it is None else of(it) for it in (student, teacher)]
        return Row(title, words, *cells)

    threads = "one thread" if one.threads == 1 else f"{one.threads} threads"
    return (
        row(
            "One record",
            f"median of {one.texts} texts, and what 95{_SPACE}% stay under; {threads}",
            lambda it: Cell(_ms(it.latency_p50_ms), f"{_ms(it.latency_p95_ms)} at 95{_SPACE}%"),
        ),
        row(
            "Records a second",
            f"in batches of {one.batch}, {threads}",
            lambda it: Cell(count(round(it.records_per_s))),
        ),
        row("Parameters", "", lambda it: Cell(count(it.parameters))),
        row("Size on disk", "", lambda it: Cell(size(it.size_bytes))),
        row(
            "Peak memory",
            "of a process that does nothing else",
            lambda it: Cell(size(it.peak_memory_bytes), f"{size(it.libraries_bytes)} libraries"),
        ),
    )


def temperature(value: Decimal) -> str:
    """Return a temperature as it is read."""
    return f"{value:.2f}"


def _ms(value: Decimal) -> str:
    return f"{value:.3g}{_SPACE}ms"
