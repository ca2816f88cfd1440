"""The report as a page for people: one file of HTML, no script, nothing loaded from anywhere.

The prose is in the templates, with the page's style; the charts are ``page_charts``', the way
numbers are written ``page_format``'s.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined

from privacy.report import page_assessment, page_format
from privacy.report.claim import delta_text, guess_percent, in_plain_words
from privacy.report.declared import NOT_DECLARED
from privacy.report.evidence import RegionEvidence
from privacy.report.model import Report
from privacy.report.page_charts import charts_of
from privacy.report.parts import ArmName


def render(report: Report) -> str:
    """Return the page: valid HTML5, complete in itself, light and dark, for screen and paper."""
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            report=report,
            charged=report.worst.charged,
            same_charge=len({region.charged for region in report.regions}) == 1,
            worst_ledger=report.ledger(report.worst.name),
            delta=delta_text,
            cost_in_words=in_plain_words(report.worst.charged, percent=_guess(report)),
            guess=_guess(report),
            arm={name.replace("-", "_"): report.arm(name) for name in ArmName},
            charts=charts_of(report),
            protections=_alike(report, lambda one: (one.protection, one.notes)),
            odometers=_alike(report, lambda one: one.executed),
            declared=_declared(report),
            not_declared=NOT_DECLARED,
            **_assessed(report),
        )
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("privacy.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=page_format.typographic,
    )
    environment.filters.update(
        {
            name: getattr(page_format, name)
            for name in (
                "count",
                "duration",
                "moment",
                "percent",
                "plain",
                "said",
                "score",
                "size",
                "words",
            )
        }
    )
    return environment


def _guess(report: Report) -> int:
    """Return how often of 100 a guess about one unit is right, by the tightest bound there is."""
    evidence = report.ledger(report.worst.name)
    if evidence is None:
        return guess_percent(report.worst.charged)
    return math.ceil(100 * evidence.protection[0].right_guesses)


def _alike(
    report: Report, part: Callable[[RegionEvidence], object]
) -> list[tuple[list[str], RegionEvidence]]:
    """Return the regions for which a part of the evidence is the same together, the worst first."""
    together: list[tuple[list[str], RegionEvidence]] = []
    for one in sorted(report.ledgers, key=lambda it: it.region != report.worst.name):
        for names, other in together:
            if part(one) == part(other):
                names.append(one.region)
                break
        else:
            together.append(([one.region], one))
    return together


def _assessed(report: Report) -> dict[str, object]:
    """Return what the section on student and teacher needs; nothing where nobody measured it."""
    found = report.assessment
    if found is None:
        return {}
    known = ("label", "length", "class size")
    return {
        "beside": page_assessment.groups_of(found),
        "coverage": page_assessment.coverage_percent(found),
        "temperature": page_assessment.temperature,
        "cell_of": page_assessment.cell_of,
        "slice_kind": page_assessment.slice_kind,
        "shown_slices": page_assessment.SHOWN_SLICES,
        "sliced_by": sorted({one.by for one in found.slices}.difference(known)),
    }


def _declared(report: Report) -> dict[str, dict[str, tuple[str, str]]]:
    """Return value and help of each declared field, by part and field."""
    parts: dict[str, dict[str, tuple[str, str]]] = {}
    for part, name, help_text, value in report.declared.rows():
        parts.setdefault(part, {})[name] = (value, help_text)
    return parts
