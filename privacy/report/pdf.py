"""The page on paper, by WeasyPrint, which is an extra: from the same template as the screen's."""

from __future__ import annotations

import importlib
import re
from typing import Protocol

from privacy.errors import PrivacyError

_ADVICE = (
    "open report.html in a browser and print it, or install the extra with "
    "pip install 'stillroom[pdf]' (WeasyPrint, which needs the system's Pango)"
)


class PdfUnavailableError(PrivacyError):
    """This machine cannot make a PDF; the page can still be printed."""


class _Writer(Protocol):
    """What is used of WeasyPrint's ``HTML``."""

    def write_pdf(self) -> bytes: ...


def to_pdf(page: str) -> bytes:
    """Return the page as a PDF; nothing is loaded from anywhere.

    Args:
        page: What ``html.render`` returned.

    Raises:
        PdfUnavailableError: If WeasyPrint or what it needs is not here.
    """
    try:
        weasyprint = importlib.import_module("weasyprint")
    except (ImportError, OSError) as error:  # OSError: Pango is missing
        raise PdfUnavailableError(f"no PDF can be made here ({error}): {_ADVICE}") from error
    writer: _Writer = weasyprint.HTML(string=_with_drawn_charts(page), url_fetcher=_refuse)
    return writer.write_pdf()


def _with_drawn_charts(page: str) -> str:
    """Put the page's style of charts into each chart, where WeasyPrint looks for it."""
    style = page.partition("<style>")[2].partition("</style>")[0]
    paper, _, _ = style.partition("@media screen")
    colours = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]+)", paper))
    rules = "".join(re.findall(r"^svg [^{]*\{[^}]*\}", style, flags=re.MULTILINE))
    drawn = re.sub(r"var\(--([a-z-]+)\)", lambda found: colours[found.group(1)], rules)
    return re.sub(r"(<svg [^>]*>)", rf"\1<style>{drawn}</style>", page)


def _refuse(url: str) -> dict[str, object]:
    """Load nothing: the page is complete in itself."""
    raise ValueError(f"expected a page that loads nothing, got a reference to {url[:80]}")
