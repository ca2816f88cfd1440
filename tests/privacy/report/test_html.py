from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

import privacy
from privacy.errors import MalformedDocumentError
from privacy.lineage import Declaration, TeacherLineage
from privacy.report.html import render
from privacy.report.parts import ArmName, Sums, Teacher
from tests.privacy.report.builders import MEANS, arms, region, sample

STYLE = Path(privacy.__path__[0], "report", "templates", "report.css").read_text()
APOSTROPHE = "\N{RIGHT SINGLE QUOTATION MARK}"
VOID = {"meta", "br", "hr", "img", "link", "input"}


class Page(HTMLParser):
    """The page's elements; a tag that is not closed in order is an error."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self) -> str:
        """The words, with white space, apostrophes and minus signs as they are typed."""
        words = " ".join(self.words).replace(APOSTROPHE, "'").replace("−", "-")
        return re.sub(r"\s+", " ", words)


@pytest.fixture(scope="module")
def page() -> Page:
    return Page(render(sample()))


def test_every_tag_is_closed_in_order(page: Page) -> None:
    """The page is what it says it is."""
    assert page.open == []


def test_nothing_runs_and_nothing_is_loaded(page: Page) -> None:
    """No script, no address outside the page, and a policy that forbids both."""
    for tag, attributes in page.tags:
        assert tag not in {"script", "link", "iframe", "img", "object", "form"}
        assert not any(name.startswith("on") for name in attributes)
        for name in ("href", "src", "action"):
            assert (attributes.get(name) or "#").startswith("#")
    policies = [a.get("content") for t, a in page.tags if a.get("http-equiv")]
    assert policies == ["default-src 'none'; style-src 'unsafe-inline'"]
    assert "url(" not in STYLE
    assert "@import" not in STYLE


def test_every_link_leads_somewhere(page: Page) -> None:
    """Each chart's link finds its table; no id is used twice."""
    names = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(set(names)) == len(names)
    links = {(a.get("href") or "").removeprefix("#") for t, a in page.tags if t == "a"}
    labels = {a["aria-labelledby"] for _, a in page.tags if "aria-labelledby" in a}
    assert links | labels <= set(names)


def test_every_chart_says_in_words_what_it_shows() -> None:
    """An alternative text with figures, for whoever does not see it; and it is XML."""
    charts = re.findall(r"<svg.*?</svg>", render(sample()), flags=re.DOTALL)
    assert len(charts) == 6
    for chart in charts:
        root = ElementTree.fromstring(chart)
        assert root.attrib["role"] == "img"
        assert re.search("[0-9]", root.attrib["aria-label"])


def test_the_plain_words_answer_five_questions(page: Page) -> None:
    """Learned what, what left, at what cost, what is not covered, worth it or not."""
    for heading in (
        "What was learned",
        "What left each region",
        "What that costs in privacy",
        "What is not covered",
        "Was it worth it?",
    ):
        assert heading in page.text


def test_epsilon_is_said_with_all_that_it_needs(page: Page) -> None:
    """δ, unit and relation stand beside the headline figure."""
    assert re.search(r"ε = 2\.999 δ = 1e-5, per record, add-or-remove-one", page.text)


@pytest.mark.parametrize(
    ("colluders", "said"),
    [
        (0, "read only the sum over at least 2 of the 2 regions. The sum"),
        (1, "2 of the 2 regions, even if 1 of them works with it. The sum"),
        (2, "2 of the 2 regions, even if 2 of them work with it. The sum"),
    ],
)
def test_what_the_coordinator_could_read_is_said(colluders: int, said: str) -> None:
    """How many regions a sum holds, and how many may have helped the coordinator."""
    words = " ".join(Page(render(sample(sums=Sums(2, colluders, False)))).words)
    assert said in " ".join(words.split())


@pytest.mark.parametrize(("survivors", "colluders"), [(0, 0), (2, -1)])
def test_sums_of_nobody_are_no_report(survivors: int, colluders: int) -> None:
    """Such figures would promise what no plan can mean."""
    with pytest.raises(MalformedDocumentError):
        Sums(survivors, colluders, False)


def test_the_page_never_says_anonymous(page: Page) -> None:
    """It is evidence for a judgement that is not the software's."""
    assert "anonym" not in page.text.lower()


def test_whom_the_teacher_was_trained_on_is_named_as_not_covered(page: Page) -> None:
    """The teacher's population is in the list of exceptions, without a stutter."""
    assert "The teacher's training data: customers of the vendor before" in page.text
    assert "Not covered: Not covered" not in page.text


def test_marks_stand_above_everything_else(page: Page) -> None:
    """What must not be overlooked is said before the first section."""
    assert page.text.index("Read this first") < page.text.index("What was learned")
    assert "Read this first" not in Page(render(sample(marks=()))).text


def test_every_figure_is_on_the_page(page: Page) -> None:
    """Rounds, arms, guarantees, hashes, times and versions."""
    report = sample()
    for one in report.rounds:
        assert f"{one.accuracy:.3f}" in page.text
    for arm in report.arms:
        assert f"{arm.accuracy:.3f} ± {arm.accuracy_sd:.3f}" in page.text
    for part in report.regions:
        assert all(sent.wire_sha256 in page.text for sent in part.sent)
    assert "1 min 54 s" in page.text
    for claim in report.claims:
        assert claim in page.text


def test_no_line_ends_within_a_number_that_matters() -> None:
    """ε and δ stay with their values, and 1e-5 is not torn after the minus."""
    html = render(sample())
    assert not re.search("[εδ] = ", html.partition("</style>")[2].replace("aria-label", ""))
    assert not re.search(r"\de-\d", html.partition("<main>")[2])


def test_names_cannot_break_out_of_the_page() -> None:
    """A study or region named like markup is shown as text."""
    nasty = "</svg><script>alert(1)</script>"
    html = render(sample(study=nasty, regions=(region(nasty),)))
    assert "<script" not in html
    assert "&lt;script&gt;" in html


def test_a_report_of_one_seed_and_few_arms_is_a_page_too() -> None:
    """Arms that were not run leave no hole."""
    few = {name: MEANS[name] for name in (ArmName.TEACHER, ArmName.DISTILLED)}
    html = render(sample(arms=arms({**few, ArmName.PUBLIC_ONLY: 0.4}, seeds=1)))
    text = Page(html).text
    assert "None" not in text
    assert "one seed" in text


def test_regions_with_different_charges_show_the_largest() -> None:
    """The headline is the worst region's, and says so."""
    regions = (region("north", epsilon="1.5"), region("south", epsilon="2.5"))
    text = Page(render(sample(regions=regions))).text
    assert "Privacy, at most ε = 2.5" in text
    assert "The region with the largest cost, south," in text


@pytest.mark.parametrize("lineage", [TeacherLineage.PUBLIC, TeacherLineage.EXTERNAL_DP])
def test_every_admitted_teacher_has_its_exception(lineage: TeacherLineage) -> None:
    """Even a public teacher's data are outside the guarantee."""
    declaration = Declaration(lineage, "somebody", disjoint_attested_by="an auditor")
    text = Page(render(sample(teacher=Teacher("t", declaration)))).text
    assert "The teacher's training data: " in text


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_text_can_be_read_in_both_themes(theme: int) -> None:
    """Every colour of text and mark has a contrast of at least 4.5 on its ground (WCAG 2.2)."""
    blocks = re.findall(r":root \{(.*?)\}", STYLE, flags=re.DOTALL)
    colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]+)", blocks[theme]))
    for name in ("ink", "quiet", "student", "teacher", "rival", "public", "other", "link"):
        assert _contrast(colours[name], colours["paper"]) >= 4.5
    assert _contrast(colours["ink"], colours["warn-wash"]) >= 4.5
    assert _contrast(colours["warn"], colours["warn-wash"]) >= 4.5


def _contrast(one: str, other: str) -> float:
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    digits = colour.removeprefix("#")
    digits = "".join(2 * digit for digit in digits) if len(digits) == 3 else digits
    channels = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
