from __future__ import annotations

import math
import re
from decimal import Decimal
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from privacy.report.chart_parts import WIDTH
from privacy.report.chart_scale import Scale, nice_ticks, spread, tick_texts
from privacy.report.charts import Bar, Dot, Level, Line, bar_chart, dot_plot, line_chart

NUMBER = r"-?[0-9.]+"
shares = st.floats(0, 1)
texts = st.text(st.characters(exclude_categories=["C"]), max_size=12)


def parsed(chart: Markup) -> ElementTree.Element:
    """The chart as XML, with every mark inside the drawing."""
    root = ElementTree.fromstring(chart)
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    for element in root.iter():
        for key, most in (("x", width), ("x1", width), ("x2", width), ("cx", width)):
            assert -1e-6 <= float(element.get(key, 0)) <= most
        for key in ("y", "y1", "y2", "cy"):
            assert -1e-6 <= float(element.get(key, 0)) <= height
        for x, y in re.findall(f"({NUMBER}),({NUMBER})", element.get("points", "")):
            assert 0 <= float(x) <= width
            assert 0 <= float(y) <= height
        assert float(element.get("x", 0)) + float(element.get("width", 0)) <= width + 0.1
    return root


@given(st.lists(shares, min_size=1, max_size=30), st.lists(shares, max_size=4), texts)
def test_a_line_chart_is_xml_with_all_marks_inside(
    values: list[float], levels: list[float], label: str
) -> None:
    """Whatever the figures and names, nothing is drawn outside and nothing breaks the markup."""
    chart = line_chart(
        [Line(label, "student", tuple((float(i), value) for i, value in enumerate(values)))],
        [Level(label, "teacher", value) for value in levels],
        alt=label,
        low=0.0,
    )
    root = parsed(chart)
    assert root.attrib["aria-label"] == label
    assert sum(element.tag.endswith("circle") for element in root.iter()) == len(values)


@given(st.lists(st.floats(0, 1e12), min_size=1, max_size=20), st.floats(0, 1e12), texts)
def test_a_bar_chart_is_xml_with_all_marks_inside(
    values: list[float], limit: float, label: str
) -> None:
    """A charge above its budget, a zero and a huge number are drawn inside too."""
    root = parsed(bar_chart([Bar(label, label, value, limit) for value in values], alt=label))
    assert root.attrib["aria-label"] == label


@given(st.lists(st.tuples(shares, st.floats(0, 0.5)), min_size=1, max_size=8), texts)
def test_a_dot_plot_is_xml_with_all_marks_inside(
    values: list[tuple[float, float]], label: str
) -> None:
    """The whiskers too."""
    dots = [Dot(label, label, "student", mean, sd) for mean, sd in values]
    root = parsed(dot_plot(dots, alt=label))
    assert sum(element.tag.endswith("circle") for element in root.iter()) == len(values)


def test_bars_are_as_long_as_their_values() -> None:
    """Bars begin at zero, so that twice the value is twice the bar."""
    root = parsed(bar_chart([Bar("a", "", 1.0, 4.0), Bar("b", "", 2.0, 4.0)], alt=""))
    bars = [float(e.attrib["width"]) for e in root.iter() if e.get("class") == "bar"]
    limits = [float(e.attrib["width"]) for e in root.iter() if e.get("class") == "limit"]
    assert bars[1] == pytest.approx(2 * bars[0], abs=0.2)
    assert limits == [pytest.approx(4 * bars[0], abs=0.3)] * 2


def test_a_better_value_is_higher() -> None:
    """The vertical axis points up."""
    root = parsed(line_chart([Line("s", "student", ((0, 0.2), (1, 0.8)))], [], alt=""))
    first, second = (float(e.attrib["cy"]) for e in root.iter() if e.tag.endswith("circle"))
    assert second < first


def test_labels_stand_inside_the_drawing() -> None:
    """Names at the right end are anchored where the longest still has room."""
    chart = line_chart(
        [Line("Student", "student", ((0, 0.5),))], [Level("Public only", "public", 0.5)], alt=""
    )
    ends = [e for e in parsed(chart).iter() if "end" in e.get("class", "").split()]
    widths = [len(e.text or "") * 7.2 for e in ends]
    starts = [float(e.attrib["x"]) for e in ends]
    assert all(x + width <= WIDTH for x, width in zip(starts, widths, strict=True))


@given(st.floats(-1e6, 1e6), st.floats(0, 1e6), st.integers(4, 8))
def test_ticks_are_round_equal_steps_around_the_data(low: float, width: float, most: int) -> None:
    """Steps of 1, 2 or 5 times a power of ten; the data lie between the first and the last."""
    high = low + width
    ticks = nice_ticks(low, high, most=most)
    slack = 1e-6 * max(abs(low), abs(high), 1.0)
    assert 2 <= len(ticks) <= most
    assert ticks[0] <= low + slack
    assert ticks[-1] >= high - slack
    step = Decimal(str(ticks[1])) - Decimal(str(ticks[0]))
    mantissa = float(step) / 10 ** math.floor(math.log10(float(step)) + 1e-6)
    assert min(abs(mantissa - nice) for nice in (1, 2, 5)) < 1e-3


def test_ticks_of_a_usual_accuracy_are_the_expected_ones() -> None:
    """Known values, exact in print."""
    assert nice_ticks(0.488, 0.733) == (0.4, 0.5, 0.6, 0.7, 0.8)
    assert nice_ticks(0, 10) == (0, 2, 4, 6, 8, 10)
    assert nice_ticks(0.5, 0.5)[0] <= 0.5 < nice_ticks(0.5, 0.5)[-1]


def test_ticks_are_written_with_the_same_number_of_decimals() -> None:
    """0.010 beside 0.015, and no decimals where none are needed."""
    assert tick_texts((0.0, 0.005, 0.01)) == ["0.000", "0.005", "0.010"]
    assert tick_texts((0.0, 5.0, 10.0)) == ["0", "5", "10"]


def test_a_small_difference_does_not_look_like_a_cliff() -> None:
    """An axis of shares spans a tenth at least."""
    root = parsed(line_chart([Line("s", "student", ((0, 0.712), (1, 0.719)))], [], alt=""))
    first, second = (float(e.attrib["cy"]) for e in root.iter() if e.tag.endswith("circle"))
    assert 0 < first - second < 25


def test_a_long_name_leaves_room_for_its_figure() -> None:
    """It is shortened in the drawing; the alternative text has all of it."""
    chart = bar_chart([Bar("n" * 80, "2.999 of 8", 1.0)], alt="n" * 80)
    label = next(e.text or "" for e in parsed(chart).iter() if e.tag.endswith("text"))
    assert label.endswith("…")
    assert len(label) + len("2.999 of 8") <= 48
    assert "n" * 80 in chart


@pytest.mark.parametrize(("low", "high"), [(1.0, 0.0), (0.0, math.inf), (math.nan, 1.0)])
def test_ticks_need_limits_in_order(low: float, high: float) -> None:
    """No axis without a range."""
    with pytest.raises(ValueError, match="finite limits"):
        nice_ticks(low, high)


@given(st.lists(st.floats(0, 200), min_size=1, max_size=8))
def test_labels_do_not_overlap_and_keep_their_order(places: list[float]) -> None:
    """Any two are a gap apart, inside the limits, in the order of their values."""
    moved = spread(places, gap=15, low=0, high=200)
    assert all(-1e-9 <= place <= 200 + 1e-9 for place in moved)
    by_place = [moved[i] for i in sorted(range(len(places)), key=places.__getitem__)]
    assert all(b - a >= 15 - 1e-9 for a, b in pairwise(by_place))


def test_labels_that_have_room_stay_where_they_are() -> None:
    """Nothing moves without need."""
    assert spread([100, 20, 60], gap=15, low=0, high=200) == [100, 20, 60]


def test_a_scale_maps_its_ends_and_refuses_an_empty_range() -> None:
    """Linear, clamped, and never divided by zero."""
    scale = Scale(0, 2, 100, 0)
    assert [scale(value) for value in (-1, 0, 1, 2, 3)] == [100, 100, 50, 0, 0]
    with pytest.raises(ValueError, match="finite range"):
        Scale(1, 1, 0, 100)
