"""Slices cover what they say, and their figures are those of their records."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distillation.errors import TrainingError
from distillation.measure.bootstrap import Resampling
from distillation.measure.judged import Figure, Judged
from distillation.measure.slices import by_label, by_length, by_values, rare_classes
from tests.distillation.measure import made_up

_FEW = Resampling(resamples=100)


def test_each_region_is_measured_on_its_own_records() -> None:
    """Accuracy by region is what counting gives, and small parts are marked."""
    judged = made_up.answers(100)
    regions = ["north"] * 80 + ["south"] * 20
    north, south = by_values(judged, regions, by="region", resampling=_FEW)

    assert (north.value, north.records, north.is_small) == ("north", 80, False)
    assert (south.value, south.records, south.is_small) == ("south", 20, True)
    assert north.figures[Figure.ACCURACY].estimate == judged.right[:80].mean()
    assert south.to_dict()["by"] == "region"


def test_the_slice_of_a_label_shows_its_recall_and_its_f1() -> None:
    """F1 counts those who were wrongly taken for the class, who are outside the slice."""
    judged = made_up.answers(200)
    names = ["a", "b", "c", "d"]
    for number, one in enumerate(by_label(judged, names, resampling=_FEW)):
        own = judged.labels == number
        hits = (own & (judged.chosen == number)).sum()
        f1 = 2 * hits / (own.sum() + (judged.chosen == number).sum())
        assert one.value == names[number]
        assert one.figures[Figure.ACCURACY].estimate == pytest.approx(hits / own.sum())
        assert one.figures[Figure.CLASS_F1].estimate == pytest.approx(f1)
        assert Figure.MACRO_F1 not in one.figures


@settings(max_examples=25)
@given(lengths=st.lists(st.integers(1, 30), min_size=1, max_size=60))
def test_lengths_are_cut_between_values(lengths: list[int]) -> None:
    """Up to four parts, all records in one each, and no length in two."""
    judged = made_up.answers(len(lengths))
    found = by_length(judged, lengths, resampling=_FEW)
    ends = [[int(n) for n in one.value.split()[0].split("–")] for one in found]

    assert 1 <= len(found) <= 4
    assert sum(one.records for one in found) == len(lengths)
    assert all(left[1] < right[0] for left, right in itertools.pairwise(ends))


def test_rare_classes_are_those_below_half_an_equal_part() -> None:
    """Nine records of 100 with three classes are rare; of equal classes none is."""
    labels = np.array([0] * 60 + [1] * 31 + [2] * 9)
    shares = np.full((100, 3), 0.2)
    shares[np.arange(100), labels] = 0.6
    rare, other = rare_classes(Judged(probabilities=shares, labels=labels), resampling=_FEW)

    assert (rare.value, rare.records, other.records) == ("rare", 9, 91)
    assert rare.figures[Figure.CLASS_F1].estimate == 1
    equal = Judged(probabilities=shares[:6], labels=np.array([0, 1, 2] * 2))
    assert rare_classes(equal, resampling=_FEW) == ()


def test_a_column_of_another_length_is_refused() -> None:
    """A value for each record, or none is measured."""
    with pytest.raises(TrainingError, match="expected 5 values of region"):
        by_values(made_up.answers(5), ["north"], by="region", resampling=_FEW)
    with pytest.raises(TrainingError, match="expected 5 lengths"):
        by_length(made_up.answers(5), [3], resampling=_FEW)
