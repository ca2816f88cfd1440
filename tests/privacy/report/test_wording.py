from __future__ import annotations

import re
from dataclasses import replace
from html import unescape
from pathlib import Path

import pytest

from privacy.lineage import Declaration, TeacherLineage
from privacy.report.card import card_metadata, card_section
from privacy.report.declarations_file import declarations_template
from privacy.report.evidence import Witnessed
from privacy.report.html import render
from privacy.report.parts import Teacher
from privacy.report.registry import registry_entry
from privacy.report.releases import releases_csv
from privacy.report.schema import schema_bytes
from privacy.report.wording import overclaims
from tests.privacy.report.builders import region, sample
from tests.privacy.report.evidence_builders import audit, evidence, full

DOCS = Path(__file__).parents[3] / "docs"

FORBIDDEN = (
    "the data are anonymous",
    "Anonymised data leave the region",
    "a de-anonymisation is ruled out",
    "the audit confirms ε = 3",
    "audits prove the claim",
    "everything north sent is private",
    "nothing leaks",
    "the exact ε",
    "provably private",
    "records cannot be re-identified",
    "there is no risk",
    "compliant with the GDPR",
    "HIPAA-compliant",
    "it guarantees that nobody learns a record",
)
ALLOWED = (
    "found no evidence against the claim",
    "Suppose somebody sees everything that was released",
    "The charge covers everything that the plan allowed",
    "the content of all releases declared in the plans",
    "Everything that is declared here is a person's word",
)


@pytest.mark.parametrize("text", FORBIDDEN)
def test_a_claim_that_no_evidence_supports_is_found(text: str) -> None:
    """Each kind of overclaim has its rule."""
    assert overclaims(text)


@pytest.mark.parametrize("text", ALLOWED)
def test_a_true_sentence_is_not_taken_for_one(text: str) -> None:
    """The rules do not forbid what a report has to say."""
    assert overclaims(text) == ()


REPORTS = {
    "without ledgers": sample(),
    "with all": full(),
    "an audit against it": full(
        audits=(
            audit(
                lower_bound=audit().cap,
                verdict="evidence against the claim",
                sentence="found evidence against the claim",
            ),
        )
    ),
    **{
        f"a teacher that is {lineage}": sample(
            teacher=Teacher("t", Declaration(lineage, "people", disjoint_attested_by="somebody"))
        )
        for lineage in TeacherLineage
    },
}


@pytest.mark.parametrize("name", REPORTS)
def test_no_generated_text_claims_too_much(name: str) -> None:
    """The page, the claims, the registry's entry, the model card and the table."""
    report = REPORTS[name]
    page = unescape(re.sub("<[^>]*>", " ", render(report).partition("</style>")[2]))
    texts = {
        "page": page,
        "labels": " ".join(re.findall('(?:aria-label|data-label)="([^"]*)"', render(report))),
        "registry": registry_entry(report),
        "card": card_metadata(report) + card_section(report),
        "table": releases_csv(report),
        "json": report.to_json().decode(),
    }
    found = {where: overclaims(text) for where, text in texts.items() if overclaims(text)}
    assert found == {}


def test_the_files_around_a_report_claim_nothing_either() -> None:
    """The schema, the questions to a person, and the page that maps fields to laws."""
    assert overclaims(schema_bytes().decode()) == ()
    assert overclaims(declarations_template()) == ()
    assert overclaims((DOCS / "compliance.md").read_text(encoding="utf-8")) == ()


def test_a_claim_says_who_vouches_for_the_ledgers_end() -> None:
    """With a witness its name, size and day; without one that there is none."""
    seen = Witnessed(9, "0" * 64, ("stillroom/cosigner",), 1_800_000_000)
    one = region("north")
    report = full(regions=(one,), ledgers=(evidence(one, checkpoints=(seen,)),))
    assert "9 of 9 entries by a checkpoint that stillroom/cosigner cosigned" in report.claims[0]
    assert "on 2027-01-15" in report.claims[0]
    assert "no witness vouches" in full().claims[0]


def test_a_failed_self_test_and_a_contradicting_audit_stand_first() -> None:
    """Whoever reads one page reads them."""
    one = region("north")
    failed = replace(evidence(one).self_tests[0], failed=("noise scale: half of it",))
    report = full(
        regions=(one,),
        ledgers=(replace(evidence(one), self_tests=(failed,)),),
        audits=REPORTS["an audit against it"].audits,
    )
    page = render(report)
    assert len(report.alarms) == 2
    for alarm in ("noise scale: half of it", "must not be relied on"):
        assert page.index(alarm) < page.index("What was learned")
    assert full().alarms == ()
