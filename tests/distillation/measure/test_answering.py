"""Answers are held against the right labels and the right classes of the teacher."""

import numpy as np
import pytest

from distillation.errors import RecordsError, TeacherError
from distillation.measure.answering import ModelAnswers, judge
from distillation.measure.assessment import assess
from distillation.measure.bootstrap import Resampling
from distillation.measure.judged import Figure
from distillation.records import Records

_STUDENT = ModelAnswers(
    classes=("a", "b", "c"),
    probabilities=np.array([[0.7, 0.2, 0.1], [0.1, 0.2, 0.7]]),
    lengths=(3, 4),
)


def _records(*labels: str | None) -> Records:
    number = len(labels)
    return Records(
        ids=tuple(str(row) for row in range(number)),
        texts=("some text",) * number,
        labels=labels,
        units=tuple(str(row) for row in range(number)),
        regions=("",) * number,
    )


def test_a_teacher_with_another_order_of_classes_is_put_in_order() -> None:
    """The same distributions under shuffled names agree fully, at no divergence."""
    order = [2, 0, 1]
    teacher = ModelAnswers(
        classes=tuple(_STUDENT.classes[place] for place in order),
        probabilities=_STUDENT.probabilities[:, order],
        lengths=_STUDENT.lengths,
    )
    figures = judge(_STUDENT, _records("a", "c"), teacher).figures()

    assert figures[Figure.AGREEMENT] == 1
    assert figures[Figure.TEACHER_KL] == pytest.approx(0)
    assert figures[Figure.ACCURACY] == 1


def test_a_teacher_of_other_classes_is_refused() -> None:
    """Fewer classes, or other names."""
    for classes in (("a", "b"), ("a", "b", "d")):
        teacher = ModelAnswers(
            classes=classes, probabilities=np.full((2, len(classes)), 0.5), lengths=(3, 4)
        )
        with pytest.raises(TeacherError, match="is it this student's teacher"):
            judge(_STUDENT, _records("a", "c"), teacher)


def test_labels_are_needed_and_known() -> None:
    """A row without label and an unknown label are named by row, not by content."""
    with pytest.raises(RecordsError, match="row 2 has none"):
        judge(_STUDENT, _records("a", None), None)
    with pytest.raises(RecordsError, match="row 1") as caught:
        judge(_STUDENT, _records("secret", "a"), None)
    assert "secret" not in str(caught.value)


def test_an_assessment_holds_every_part() -> None:
    """Figures, slices by label, length and column; a teacher's figures only with a teacher."""
    judged = judge(_STUDENT, _records("a", "b"), _STUDENT)
    found = assess(
        judged, _STUDENT, columns={"ward": ["x", "y"]}, resampling=Resampling(resamples=100)
    )

    assert found.records == 2
    assert {one.by for one in found.slices} == {"label", "length", "ward"}
    assert found.teacher_figures is not None
    assert Figure.AGREEMENT not in found.teacher_figures
    assert found.scaling is not None
    assert found.to_dict().keys() == {"records", "figures", "slices", "calibration", "teacher"}
