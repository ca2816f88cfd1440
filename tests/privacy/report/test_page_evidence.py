from __future__ import annotations

import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from privacy.errors import MalformedDocumentError
from privacy.guarantee import Guarantee
from privacy.report.dossier import several_regions
from privacy.report.html import render
from tests.privacy.report.builders import bound, region, sample
from tests.privacy.report.evidence_builders import evidence, full
from tests.privacy.report.test_html import Page


@pytest.fixture(scope="module")
def html() -> str:
    return render(full())


def test_the_page_with_ledgers_is_whole(html: str) -> None:
    """Every tag is closed, every link and label leads somewhere, no name is used twice."""
    page = Page(html)
    assert page.open == []
    names = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(set(names)) == len(names)
    links = {(a.get("href") or "").removeprefix("#") for t, a in page.tags if t == "a"}
    labels = {a["aria-labelledby"] for _, a in page.tags if "aria-labelledby" in a}
    assert links | labels <= set(names)


def test_each_chart_has_words_and_a_table(html: str) -> None:
    """Nine charts; each says its figures and links to where they stand."""
    figures = re.findall(r"<figure>.*?</figure>", html, flags=re.DOTALL)
    assert len(figures) == 9
    for one in figures:
        drawing = re.search(r"<svg.*?</svg>", one, flags=re.DOTALL)
        assert drawing is not None
        assert re.search("[0-9]", ElementTree.fromstring(drawing.group(0)).attrib["aria-label"])
        target = re.search('<a href="#([^"]*)">The numbers', one)
        assert target is not None
        assert f'id="{target.group(1)}"' in html


def test_the_odometer_is_never_without_its_label(html: str) -> None:
    """In the chart, in its description and above its table."""
    assert "Not a guarantee: an odometer." in html
    assert "ε of the released steps by round, not a guarantee" in html
    assert "Released steps by round, not a guarantee: north, south" in html


def test_figures_for_persons_and_for_replacing_stand_beside_the_claim(html: str) -> None:
    """With where each comes from."""
    page = Page(html).text
    assert "record, add-or-remove-one charged by the ledger" in page
    assert "person, replace-one computed from the same plans, not a limit of the account" in page
    assert "Figures for persons stand beside those for records" in page


def test_what_software_did_not_find_is_said(html: str) -> None:
    """A container, a lock file, a key, signatures: nothing is left out in silence."""
    page = Page(html).text
    for name in ("Container", "Lock file", "Commit", "Hardware", "Unit tests"):
        assert f"{name} NOT RECORDED" in page
    assert "nobody has signed it here" in page
    assert "made without reading the ledgers again" in Page(render(sample())).text


def test_regions_with_the_same_meaning_share_a_table() -> None:
    """And one that differs has its own, the worst first."""
    regions = (region("east"), region("north", epsilon="2.5"), region("west"))
    page = render(full(regions=regions, ledgers=tuple(map(evidence, regions))))
    titles = re.findall("What all charges mean: ([^<]*)<", page)
    assert titles == ["east, west", "north"]


def test_charges_of_several_regions_add_up_from_the_largest() -> None:
    """Whichever regions they are."""
    found = several_regions([bound("1"), bound("3"), bound("2", "0.00002")])
    assert [str(one.bound.epsilon) for one in found] == ["3", "5", "6"]
    assert [str(one.bound.delta) for one in found] == ["0.00002", "0.00003", "0.00004"]


def test_a_report_and_its_evidence_do_not_contradict() -> None:
    """Another claim, another region or another sum than the evidence has is no report."""
    one = region("north")
    other = evidence(region("north", epsilon="1.5"))
    with pytest.raises(MalformedDocumentError, match="its own evidence"):
        full(regions=(one,), ledgers=(other,))
    with pytest.raises(MalformedDocumentError, match="or none"):
        full(ledgers=(evidence(one),))
    with pytest.raises(MalformedDocumentError, match="sums of the regions' charges"):
        full(several=several_regions([bound("1"), bound("1")]))


def test_evidence_needs_a_limit() -> None:
    """An account without one promises nothing."""
    one = evidence(region("north"))
    with pytest.raises(MalformedDocumentError, match="an account with a limit"):
        replace(one, limits=())
    assert one.limits[0].left == Guarantee(one.limits[0].left.epsilon, one.limits[0].left.delta)


def test_regions_that_did_the_same_share_a_table_and_others_have_their_own() -> None:
    """The odometer of twenty regions is one table where their rounds were the same."""
    one, other = (evidence(region(name)) for name in ("north", "south"))
    shorter = replace(other, executed=other.executed[:1])

    assert render(full(ledgers=(one, other))).count("Released steps by round") == 1
    assert render(full(ledgers=(one, shorter))).count("Released steps by round") == 2


def test_each_printed_page_says_of_which_report_it_is(html: str) -> None:
    """The plan, when the report was made, and which page of how many."""
    footer = re.search(r"@bottom-left \{ content: \"([^\"]*)\"", html)

    assert footer is not None
    assert (
        footer.group(1) == f"Stillroom report · plan {full().plan[:16]} · made 2027-01-16T12:00:00Z"
    )
    assert '"page " counter(page) " of " counter(pages)' in html
