"""What only a browser can tell of the page: it fits, loads nothing, is legible and prints whole."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulations.simulate import Options, simulate
from stillroom.reporting_commands import complete_report, files_of, write_files
from tests.browser import Tab, find_browser, opened_tab
from tests.simulations import tiny_study

BROWSER = find_browser()
WIDTHS = (390, 820, 1280)
SCHEMES = ("light", "dark")
LEAST_CONTRAST = 4.5  # WCAG 2.2, 1.4.3, for text of any size

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="there is no Chromium or Chrome on this machine"),
]

# Each is one expression; what it returns is a list of what is wrong, in words.
TOO_WIDE = """
(() => {
  const room = document.documentElement.clientWidth, found = [];
  if (document.documentElement.scrollWidth > window.innerWidth) found.push('the document scrolls');
  for (const one of document.querySelectorAll('main *, header *, footer *')) {
    if (one.closest('svg') && one.tagName !== 'svg') continue;
    const style = getComputedStyle(one);
    if (style.position === 'absolute') continue;  // heads of tables, for screen readers only
    const box = one.getBoundingClientRect();
    if (box.width && box.right > room + 0.5) found.push(one.tagName + ' ends at ' + box.right);
  }
  return found;
})()
"""
PALE = """
(() => {
  const parts = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const light = (rgb) => rgb.slice(0, 3).map((c) => c / 255)
    .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (one) => {
    for (; one; one = one.parentElement) {
      const colour = parts(getComputedStyle(one).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const found = [], texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const one = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || !one.getClientRects().length) continue;
    if (['STYLE', 'SCRIPT'].includes(one.tagName)) continue;
    const style = getComputedStyle(one);
    const ink = light(parts(one.closest('svg') ? style.fill : style.color));
    const paper = light(parts(getComputedStyle(document.body).backgroundColor));
    const ground = one.closest('svg') ? paper : light(behind(one));
    const [low, high] = [ink, ground].sort((a, b) => a - b);
    const contrast = (high + 0.05) / (low + 0.05);
    if (contrast < LEAST) found.push(contrast.toFixed(2) + ': ' + texts.currentNode.data.trim());
  }
  return found;
})()
""".replace("LEAST", str(LEAST_CONTRAST))
FOLDED = """
[...document.querySelectorAll('details > :not(summary)')]
  .filter((one) => !one.checkVisibility())
  .map((one) => 'folded: ' + one.textContent.trim().slice(0, 80))
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a study of five regions that was really run."""
    folder = tmp_path_factory.mktemp("browser")
    run = folder / "run"
    simulate(tiny_study.make(folder / "study").file, run, Options())
    report = complete_report(run, created_at="2027-01-16T12:00:00Z", all_relations=False)
    write_files(files_of(report), run)
    return run / "report.html"


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    with opened_tab(BROWSER or "", tmp_path_factory.mktemp("profile")) as tab:
        yield tab


def _unnamed(tab: Tab) -> list[str]:
    """Return the drawings that have no name for whoever cannot see them."""
    nodes = tab.ask("Accessibility.getFullAXTree")["nodes"]
    images = [one for one in nodes if one.get("role", {}).get("value") in ("image", "img")]
    named = [one for one in images if one.get("name", {}).get("value")]
    drawn = tab.evaluate("document.querySelectorAll('svg').length")
    return [] if drawn == len(named) else [f"{drawn} drawings, {len(named)} with a name"]


def _noise(tab: Tab) -> list[str]:
    """Return what the page asked the network for beside itself, and what it complained of."""
    found = []
    for event in tab.events:
        name, said = event.get("method"), event.get("params", {})
        if name == "Network.requestWillBeSent" and said["request"]["url"] != said["documentURL"]:
            found.append(f"asked for {said['request']['url']}")
        if name in ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown"):
            found.append(f"{name}: {str(said)[:200]}")
    return found


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_the_page_fits_and_can_be_read(tab: Tab, page: Path, width: int, scheme: str) -> None:
    """On a phone, a tablet and a screen, light and dark; and the scheme is the one asked for."""
    tab.look(width=width, scheme=scheme)
    tab.open(page)
    paper = tab.evaluate("getComputedStyle(document.body).backgroundColor")

    assert tab.evaluate("window.innerWidth") == width
    assert tab.evaluate(TOO_WIDE) == []
    assert tab.evaluate(PALE) == []
    assert (min(map(int, re.findall(r"\d+", paper))) > 127) == (scheme == "light")


def test_the_page_loads_nothing_and_complains_of_nothing(tab: Tab, page: Path) -> None:
    """One request, for the file itself; no line in the console; every drawing has a name."""
    tab.look(width=820)
    tab.open(page)

    assert any(event.get("method") == "Network.requestWillBeSent" for event in tab.events)
    assert _noise(tab) == []
    assert _unnamed(tab) == []
    assert tab.evaluate("document.querySelectorAll('svg').length") >= 8


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_page_prints_whole(tab: Tab, page: Path, scheme: str) -> None:
    """On A4 less its margins: all of it, nothing folded away, dark ink on white paper."""
    tab.look(width=680, scheme=scheme, medium="print")
    tab.open(page)

    assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert tab.evaluate(TOO_WIDE) == []
    assert tab.evaluate(PALE) == []
    assert tab.evaluate(FOLDED) == []


def test_what_is_wrong_is_found(tab: Tab, page: Path, tmp_path: Path) -> None:
    """Each check, held against a page with its fault: a check that finds nothing says nothing."""
    faults = (
        '<p style="width: 2000px">wide</p>'
        '<p style="color: #999">pale</p>'
        "<details><summary>more</summary><p>hidden evidence</p></details>"
        '<svg viewBox="0 0 1 1"></svg>'
        '<img src="https://example.org/pixel.png" alt="">'
    )
    bad = tmp_path / "bad.html"
    bad.write_text(page.read_text().replace("</main>", faults + "</main>"))
    tab.look(width=390)
    tab.open(bad)
    tab.evaluate("console.error('odd')")
    assert "the document scrolls" in tab.evaluate(TOO_WIDE)
    assert [one.split(": ")[1] for one in tab.evaluate(PALE)] == ["pale"]
    assert "folded: hidden evidence" in tab.evaluate(FOLDED)
    assert len(_unnamed(tab)) == 1
    assert {one.partition(":")[0] for one in _noise(tab)} >= {
        "Log.entryAdded",
        "Runtime.consoleAPICalled",
    }
    tab.look(width=680, medium="print")
    assert tab.evaluate(FOLDED) == []
