"""The assessment keeps its figures through JSON, refuses contradictions, and is a calm section."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any, TypeAlias
from xml.etree import ElementTree

import pytest

from privacy.canonical import dumps
from privacy.errors import PrivacyError
from privacy.report.assessment import Assessment, Estimate, FigureName
from privacy.report.card import card_section
from privacy.report.chart_reliability import reliability_chart
from privacy.report.html import render
from privacy.report.model import Report
from privacy.report.page_assessment import SHOWN_SLICES, groups_of
from tests.privacy.report.assessment_builders import (
    RECORDS,
    assessed,
    assessed_language,
    scaling,
)
from tests.privacy.report.builders import sample
from tests.privacy.report.test_html import Page


def _section(found: Assessment) -> str:
    html = render(sample(assessment=found))
    return html.partition('<section class="beside"')[2].partition('<section class="numbers"')[0]


@pytest.mark.parametrize("found", [assessed(), assessed_language()], ids=["classes", "tokens"])
def test_an_assessment_has_one_spelling(found: Assessment) -> None:
    """What is written is read back equal, and written as the same bytes again."""
    data = sample(assessment=found).to_json()
    assert Report.from_json(data).assessment == found
    assert Report.from_json(data).to_json() == data


def test_a_report_of_an_older_release_has_none_and_can_be_read() -> None:
    """The field is optional: nothing else of the schema has changed."""
    data = sample().to_json()
    assert "assessment" not in json.loads(data)
    assert Report.from_json(data).assessment is None
    text = Page(render(Report.from_json(data))).text
    assert "NOT RECORDED : this report was made without an assessment" in text


Edit: TypeAlias = Callable[[dict[str, Any]], object]

EDITS: dict[str, Edit] = {
    "no basis": lambda d: d.update(basis=" "),
    "no figure": lambda d: d.update(figures=[]),
    "a figure twice": lambda d: d["figures"].append(d["figures"][0]),
    "an unknown figure": lambda d: d["figures"][0].update(figure="f2"),
    "half a range": lambda d: d["figures"][0]["student"].pop("low"),
    "a range upside down": lambda d: d["figures"][0]["student"].update(low="0.9", high="0.1"),
    "a bin too few": lambda d: d["student_scaling"]["before"]["bins"].pop(),
    "a scaled bin too few": lambda d: d["student_scaling"]["after"]["bins"].pop(),
    "a confidence above one": lambda d: d["student_scaling"]["before"]["bins"][0].update(
        confidence="1.5"
    ),
    "a slice of more than all": lambda d: d["slices"][0].update(records=RECORDS + 1),
    "a slice by nothing": lambda d: d["slices"][0].update(by=""),
    "a coverage above one": lambda d: d.update(coverage="95"),
    "an unknown field": lambda d: d.update(colour="red"),
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS.keys())
def test_an_edited_assessment_is_refused(edit: Edit) -> None:
    """Missing, unknown and contradicting parts are errors."""
    document = json.loads(sample(assessment=assessed()).to_json())
    edit(document["assessment"])
    with pytest.raises(PrivacyError):
        Report.from_json(dumps(document))


def test_every_figure_of_both_models_is_on_the_page() -> None:
    """Quality with ranges, calibration before and after, temperature, cost: student and teacher."""
    found = assessed()
    text = Page(render(sample(assessment=found))).text
    for one in found.figures:
        for estimate in (one.student, one.teacher):
            if estimate is not None:
                assert f"{estimate.value:.3f}" in text
                assert f"{estimate.low:.3f}–{estimate.high:.3f}" in text
    for words in ("0.120 0.050", "1.37 1.12", "2.31 ms", "5.87 ms", "15 492 501", "90.9 MB"):
        assert words in text
    assert "records public" in text
    assert "cost no ε" in text


def test_the_worst_parts_stand_open_and_the_others_are_folded() -> None:
    """Twelve parts are seen; the rest is there, behind one line that says how many."""
    section = _section(assessed(parts=27, left_out=3))
    opened, _, folded = section.partition("more parts</summary>")
    assert opened.count("Class ") == SHOWN_SLICES
    assert folded.count("Class ") == 27 - SHOWN_SLICES
    assert re.search(r"<summary>15 $", opened)
    assert "3 better parts are not told" in folded
    assert opened.count("class, 12 records: too few") == 1
    assert "<details" not in _section(assessed(parts=SHOWN_SLICES)).partition("Where it is")[2]


def test_a_temperature_that_does_not_help_is_said_to() -> None:
    """The words follow the figures: an error that does not fall is no repair."""
    found = scaling()
    worse = replace(found, after=replace(found.after, error=found.before.error))
    said = "it does not help here"
    assert said not in _section(assessed())
    assert said in _section(replace(assessed(), student_scaling=worse))


def test_the_section_is_closed_linked_and_quiet() -> None:
    """Tags close in order, labels lead somewhere, a slice's name stays text, no script."""
    html = render(sample(assessment=assessed()))
    page = Page(html)
    names = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    labels = {a["aria-labelledby"] for _, a in page.tags if "aria-labelledby" in a}
    assert page.open == []
    assert len(set(names)) == len(names)
    assert labels <= set(names)
    assert "&lt;of&gt; many &amp; more" in html
    assert "<script" not in html
    assert "None" not in page.text


def test_a_language_model_has_perplexity_and_no_diagram() -> None:
    """Nothing stands empty: no parts, no bins, no temperature, no ranges."""
    section = _section(assessed_language())
    for words in ("Perplexity", "21.400", "Next token right", "token by token", "42.1"):
        assert words in section
    for words in ("<svg", "temperature", "Where it is worst", "resamples", "Macro-F1"):
        assert words not in section


def test_without_costs_the_table_has_no_empty_rows() -> None:
    """A study that leaves the costs out has quality and calibration alone."""
    found = replace(assessed(), student_cost=None, teacher_cost=None)
    assert [group.title for group in groups_of(found)] == ["Quality", "Calibration"]


def test_the_diagram_has_a_dot_a_line_and_a_ring_for_each_bin() -> None:
    """It is XML, and its words have the figures for whoever does not see it."""
    found = scaling()
    drawn = ElementTree.fromstring(reliability_chart(found))
    kinds = [one.attrib.get("class", "") for one in drawn.iter()]
    extra = 1  # each kind of mark once more, in the legend
    assert kinds.count("fill student") == len(found.before.bins) + extra
    assert kinds.count("ring rival") == len(found.after.bins) + extra
    assert kinds.count("stroke interval student") == len(found.before.bins)
    words = drawn.attrib["aria-label"]
    assert "in 15 groups" in words
    assert "error 0.120 as it is, 0.020 at temperature 1.37" in words


def test_a_dot_stands_where_its_bin_says() -> None:
    """A bin that is always sure and right is in the upper right corner, its range below it."""
    first = scaling().before.bins[0]
    sure = replace(first, confidence=Decimal(1), accuracy=Decimal(1), low=Decimal("0.5"))
    state = replace(scaling().before, bins=(replace(sure, high=Decimal(1)),))
    drawn = ElementTree.fromstring(reliability_chart(replace(scaling(), before=state)))
    dot = next(
        one for one in drawn.iter() if one.attrib.get("class") == "fill student"
    )  # the legend's comes last
    assert (dot.attrib["cx"], dot.attrib["cy"]) == ("388.0", "12.0")
    line = next(one for one in drawn.iter() if one.attrib.get("class", "").endswith("l student"))
    assert line.attrib["points"] == "388.0,142.0 388.0,12.0"


def test_a_range_needs_both_ends() -> None:
    """One end alone says nothing."""
    with pytest.raises(PrivacyError, match="both ends"):
        Estimate(Decimal("0.5"), low=Decimal("0.4"))


def test_a_figure_that_was_not_measured_is_none() -> None:
    """Whoever asks for perplexity of a classifier gets nothing, not zero."""
    assert assessed().figure(FigureName.PERPLEXITY) is None
    assert assessed_language().figure(FigureName.PERPLEXITY) is not None


def test_scripts_and_cards_get_the_temperature() -> None:
    """The flat summary has both models' figures; the card says what is not applied."""
    report = sample(assessment=assessed())
    summary = report.summary()
    assert (summary["student_temperature"], summary["teacher_temperature"]) == (1.37, 1.12)
    assert summary["student_calibration_error_at_temperature"] == 0.02
    assert (summary["student_latency_p50_ms"], summary["teacher_size_bytes"]) == (2.31, 90_852_864)
    assert "| temperature, fitted on the same records and not applied | 1.37 | 1.12 |" in (
        card_section(report)
    )
    assert "temperature" not in card_section(sample())
    assert "student_temperature" not in sample(assessment=assessed_language()).summary()
