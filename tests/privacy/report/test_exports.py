from __future__ import annotations

import csv
import importlib.util
import io
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from privacy.report.card import card_metadata, card_section
from privacy.report.declared import Declarations, DeclaredIdentity
from privacy.report.html import render
from privacy.report.model import Report
from privacy.report.pdf import PdfUnavailableError, to_pdf
from privacy.report.registry import SECTORS, registry_entry
from privacy.report.releases import COLUMNS, releases_csv
from privacy.report.yaml_text import to_yaml
from tests.privacy.report.builders import sample
from tests.privacy.report.evidence_builders import full
from tests.privacy.report.json_schema import faults

FIXTURE = Path(__file__).parent / "fixtures" / "opendp-deployments-schema.yaml"
REGISTRY: dict[str, Any] = yaml.safe_load(FIXTURE.read_text(encoding="utf-8"))
HEALTH = Declarations(identity=DeclaredIdentity(sector="Healthcare", jurisdiction="Germany"))


@pytest.mark.parametrize("report", [sample(), full(), full(declared=HEALTH)])
def test_the_registrys_own_schema_accepts_the_entry(report: Report) -> None:
    """With the types, the words and the dates that the registry asks for."""
    entry = yaml.safe_load(registry_entry(report))
    assert faults(entry, REGISTRY) == []
    assert entry["deployment"]["privacy_loss"]["privacy_parameters"] == {
        "epsilon": 2.999,
        "delta": 1e-5,
    }


def test_the_entry_fills_every_field_of_the_third_tier() -> None:
    """Whatever the registry suggests for tiers 1, 2 and 3, but a sector that nobody declared."""
    entry = yaml.safe_load(registry_entry(full(declared=HEALTH)))
    suggested = {
        (group, name)
        for group, part in REGISTRY["properties"]["deployment"]["properties"].items()
        for name, one in part["properties"].items()
        if "tier" in one
    }
    given = {(group, name) for group, part in entry["deployment"].items() for name in part}
    assert suggested - given == set()
    assert "data_product_sector" not in registry_entry(full())


def test_the_sectors_are_those_of_the_registry() -> None:
    """A word of another list would be refused there."""
    basic = REGISTRY["properties"]["deployment"]["properties"]["basic"]
    assert list(SECTORS) == basic["properties"]["data_product_sector"]["enum"]


def test_an_entry_that_the_registry_forbids_is_seen() -> None:
    """The check is able to fail."""
    entry = yaml.safe_load(registry_entry(full()))
    entry["deployment"]["basic"]["publication_date"] = "1/1/2026"
    entry["tier"] = 4
    entry["surprise"] = True
    assert len(faults(entry, REGISTRY)) == 3


@pytest.mark.parametrize(
    "value",
    [
        {"a": "yes", "b": {"c": ["1e5", "- x", "# no"], "d": 1e-7, "e": 3.0}, "f": True, "g": 7},
        {"list": [{"a": 'quote " \\ \n', "b": ["null"]}, {"a": "é ε 😀"}]},
    ],
)
def test_yaml_is_read_back_as_it_was(value: Any) -> None:
    """No text becomes a number, and no number a text."""
    assert yaml.safe_load(to_yaml(value)) == value


def test_every_release_is_a_row() -> None:
    """Payloads and messages of all ledgers; without ledgers the vectors of the report."""
    rows = list(csv.reader(io.StringIO(releases_csv(full()))))
    assert tuple(rows[0]) == COLUMNS
    assert [row[4] for row in rows[1:]] == ["payload", "message"] * 2
    report = sample()
    rows = list(csv.reader(io.StringIO(releases_csv(report))))
    assert len(rows) == 1 + sum(len(region.sent) for region in report.regions)


def test_no_cell_is_a_formula() -> None:
    """A name from elsewhere does nothing in whoever's spreadsheet."""
    for row in csv.reader(io.StringIO(releases_csv(full()))):
        assert not any(cell.startswith(("=", "+", "-", "@")) for cell in row)


def test_the_card_has_the_hubs_sections_and_figures() -> None:
    """Metadata that parse, sections by their usual names, and the claims word for word."""
    report = full()
    metadata = card_metadata(report)
    found = yaml.safe_load(metadata.strip("-\n"))
    (result,) = found["model-index"][0]["results"]
    assert result["metrics"][0] == {"type": "accuracy", "value": 0.684}
    section = card_section(report)
    for heading in (
        "## Uses",
        "## Bias, Risks, and Limitations",
        "## Training Details",
        "### Training Data",
        "### Training Procedure",
        "## Evaluation",
    ):
        assert f"{heading}\n" in section
    assert all(claim in section for claim in report.claims)
    assert section.count("NOT DECLARED") >= 5


@pytest.mark.skipif(
    importlib.util.find_spec("weasyprint") is not None, reason="the extra is installed"
)
def test_without_the_extra_a_person_learns_how_to_get_a_pdf() -> None:
    """Print the page, or install the extra."""
    with pytest.raises(PdfUnavailableError, match=r"print it.*stillroom\[pdf\]"):
        to_pdf("<p>page</p>")


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("weasyprint") is None, reason="needs the extra")
def test_the_pdf_is_one() -> None:
    """Of the same page."""
    assert to_pdf(render(full())).startswith(b"%PDF-")
