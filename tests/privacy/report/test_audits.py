from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from distillation.audit.result import Access, AuditResult, Method
from privacy.canonical import dumps
from privacy.errors import MalformedDocumentError
from privacy.report.audits import is_audit, read_audit
from privacy.report.html import render
from tests.privacy.report.evidence_builders import audit, full


def result(lower_bound: str) -> AuditResult:
    """What an audit of this system writes."""
    return AuditResult(
        method=Method.GAUSSIAN,
        access=Access.WHITE_BOX,
        canaries=1000,
        guesses=100,
        right=60,
        delta=Decimal("0.00001"),
        confidence=Decimal("0.95"),
        lower_bound=Decimal(lower_bound),
        cap=Decimal("7.8"),
        power=Decimal("0.4"),
        claim=Decimal("2.999"),
        date="2026-11-24",
        who="an auditor",
    )


@pytest.mark.parametrize("lower_bound", ["0.4", "4.5"])
def test_an_audits_own_document_is_read_as_it_is(lower_bound: str) -> None:
    """Every figure, the verdict and the sentence, whichever way it went."""
    made = result(lower_bound)
    found = read_audit(made.to_bytes())
    assert (found.lower_bound, found.cap, found.claim) == (made.lower_bound, made.cap, made.claim)
    assert (found.verdict, found.sentence) == (made.verdict().value, made.sentence)
    assert found.is_against is made.flagged


@pytest.mark.parametrize(
    "edit",
    [
        {"verdict": "evidence against the claim"},
        {"verdict": "confirmed"},
        {"sentence": "the audit confirms the claim"},
        {"lower_bound": "9"},
        {"kind": "another"},
        {"surprise": "x"},
    ],
)
def test_an_edited_audit_is_refused(edit: dict[str, Any]) -> None:
    """Verdict and numbers belong together."""
    document = json.loads(result("0.4").to_bytes())
    document.update(edit)
    with pytest.raises(MalformedDocumentError):
        read_audit(dumps(document))


def test_evidence_of_another_kind_is_not_taken_for_an_audit() -> None:
    """Other files may stand beside it."""
    assert is_audit(result("0.4").to_bytes())
    assert not is_audit(dumps({"kind": "stillroom/other/v1"}))
    assert not is_audit(dumps([]))


def test_the_page_says_what_the_audit_said() -> None:
    """With its sentence, and that an attack that finds nothing says no more than that."""
    page = render(full())
    assert audit().sentence.replace("'", "\N{RIGHT SINGLE QUOTATION MARK}")[:40] in page
    assert "An audit is an attack." in page
    assert "no audit is in this report" in render(full(audits=()))
