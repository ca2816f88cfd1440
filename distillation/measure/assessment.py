"""Everything that is said of a student on labelled public records, as one value.

It composes the other files of this package and decides nothing. The records are public: whoever
evaluates on private ones would release their figures without a budget, so that a region's own
evaluation is a release of the plan and not done here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from distillation.measure.answering import ModelAnswers
from distillation.measure.bootstrap import Interval, Resampling, intervals
from distillation.measure.calibration import Scaling, temperature_scaling
from distillation.measure.judged import Figure, Judged
from distillation.measure.slices import Slice, by_label, by_length, by_values, rare_classes


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What a student shows on one public test set.

    Attributes:
        records: How many it has.
        figures: Each figure with its interval.
        slices: The same by part of the test set.
        scaling: Its calibration, and what a fitted temperature makes of it; None for one record.
        teacher_figures: The teacher's own figures; None without a teacher.
    """

    records: int
    figures: Mapping[Figure, Interval]
    slices: tuple[Slice, ...]
    scaling: Scaling | None
    teacher_figures: Mapping[Figure, Interval] | None

    def to_dict(self) -> dict[str, object]:
        """Return everything by name."""
        teacher = self.teacher_figures
        return {
            "records": self.records,
            "figures": _by_name(self.figures),
            "slices": [one.to_dict() for one in self.slices],
            "calibration": None if self.scaling is None else self.scaling.to_dict(),
            "teacher": None if teacher is None else _by_name(teacher),
        }


def assess(
    judged: Judged,
    answers: ModelAnswers,
    *,
    columns: Mapping[str, Sequence[str]],
    resampling: Resampling,
) -> Evaluation:
    """Return every figure, slice and the calibration of a student.

    Args:
        judged: As `judge` gives it.
        answers: The student's answers; for the names of the classes and the lengths.
        columns: What else to slice by: values by column, one a record.
        resampling: How intervals are found.
    """
    slices = [*by_label(judged, answers.classes, resampling=resampling)]
    slices += by_length(judged, answers.lengths, resampling=resampling)
    slices += rare_classes(judged, resampling=resampling)
    for name, values in columns.items():
        slices += by_values(judged, values, by=name, resampling=resampling)
    teacher = None
    if judged.teacher is not None:
        own = Judged(probabilities=judged.teacher, labels=judged.labels)
        teacher = intervals(own, resampling)
    return Evaluation(
        records=len(judged),
        figures=intervals(judged, resampling),
        slices=tuple(slices),
        scaling=temperature_scaling(judged) if len(judged) > 1 else None,
        teacher_figures=teacher,
    )


def _by_name(figures: Mapping[Figure, Interval]) -> dict[str, dict[str, float]]:
    return {figure.value: one.to_dict() for figure, one in figures.items()}
