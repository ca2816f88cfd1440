"""What may be said: the verdict, its sentence, its bytes, and what follows."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distillation.audit.errors import AuditError
from distillation.audit.response import INCIDENT, STEPS, incident
from distillation.audit.result import (
    NO_POWER,
    UNKNOWN_POWER,
    Access,
    AuditResult,
    Method,
    Verdict,
    rounded,
)
from privacy.canonical import dumps, loads

RESULT = AuditResult(
    method=Method.GAUSSIAN,
    access=Access.WHITE_BOX,
    canaries=1000,
    guesses=400,
    right=312,
    delta=Decimal("0.00001"),
    confidence=Decimal("0.95"),
    lower_bound=Decimal("1.805"),
    cap=Decimal("9.223"),
    power=Decimal("0.34"),
    claim=Decimal("5.3"),
    date="2026-01-31",
    who="a test",
)
THOUSANDTHS = st.integers(0, 20_000).map(lambda n: Decimal(n) / 1000)


def test_no_evidence_is_said_with_bound_cap_and_power() -> None:
    """The whole sentence, as a reader sees it."""
    assert RESULT.verdict() is Verdict.NO_EVIDENCE
    assert RESULT.sentence == (
        "found no evidence against the claim (lower bound 1.805 <= ε = 5.3 at δ = 0.00001, 95 % "
        "confidence, cap 9.223, power: would have detected noise <= 0.34 of what was planned)"
    )


def test_a_cap_below_the_claim_is_uninformative() -> None:
    """Also at the claim: even the worst run could not have been flagged."""
    for claim in ("9.223", "12"):
        weak = replace(RESULT, claim=Decimal(claim))
        assert weak.verdict() is Verdict.UNINFORMATIVE
        assert weak.sentence.startswith("uninformative: even a run with every guess right")


def test_an_audit_without_power_is_uninformative() -> None:
    """A high cap does not help where not even missing noise would have been seen."""
    blind = replace(RESULT, power=NO_POWER)

    assert blind.verdict() is Verdict.UNINFORMATIVE
    assert "without any noise" in blind.sentence


def test_an_unknown_power_is_said() -> None:
    """A black-box attack may be weak, and its sentence says so."""
    assert "a weak attack finds nothing" in replace(RESULT, power=UNKNOWN_POWER).sentence


@settings(max_examples=50)
@given(
    bound=THOUSANDTHS,
    more=THOUSANDTHS,
    claim=THOUSANDTHS,
    power=st.sampled_from([NO_POWER, UNKNOWN_POWER, Decimal("0.5")]),
)
def test_flagged_if_and_only_if_the_bound_is_above_the_claim(
    bound: Decimal, more: Decimal, claim: Decimal, power: Decimal | str
) -> None:
    """Whatever the numbers, one verdict, never a confirmation, and the bytes read back."""
    result = replace(RESULT, lower_bound=bound, cap=bound + more, claim=claim, power=power)

    assert (result.verdict() is Verdict.EVIDENCE_AGAINST) == (bound > claim) == result.flagged
    assert "confirm" not in result.sentence
    assert all(word in result.sentence for word in ("lower bound", "cap", "power"))
    assert AuditResult.from_bytes(result.to_bytes()) == result


def test_numbers_with_a_fraction_travel_as_text() -> None:
    """The canonical form, field by field."""
    found = RESULT.to_json()

    assert found["delta"] == "0.00001"
    assert found["lower_bound"] == "1.805"
    assert found["power"] == "0.34"
    assert (found["canaries"], found["guesses"], found["right"]) == (1000, 400, 312)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("verdict", "evidence against the claim"),
        ("sentence", "the audit confirms ε = 5.3"),
        ("claim", "1"),
        ("kind", "stillroom/audit/v2"),
        ("method", "luck"),
        ("power", "strong"),
        ("lower_bound", "99"),
        ("extra", "1"),
    ],
)
def test_an_edited_audit_is_refused(key: str, value: str) -> None:
    """A verdict that does not follow from the numbers is none."""
    with pytest.raises(AuditError):
        AuditResult.from_bytes(dumps({**RESULT.to_json(), key: value}))


@given(data=st.binary(max_size=80))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """Whatever somebody sends, nothing but AuditError is raised."""
    with pytest.raises(AuditError):
        AuditResult.from_bytes(data)


def test_a_bound_is_rounded_down() -> None:
    """An audit never says more than it found."""
    assert rounded(1.23999) == Decimal("1.239")


@pytest.mark.parametrize(
    "change",
    [
        {"right": 401},
        {"lower_bound": Decimal(10)},
        {"delta": Decimal(0)},
        {"confidence": Decimal("0.5")},
        {"power": "much"},
        {"who": ""},
    ],
)
def test_results_that_cannot_be_are_refused(change: dict[str, int | str | Decimal]) -> None:
    """A value cannot be wrong in itself."""
    with pytest.raises(AuditError):
        replace(RESULT, **change)  # type: ignore[arg-type]  # wrong on purpose


def test_only_a_flagged_audit_is_an_incident() -> None:
    """Nothing follows from no evidence; a bound above its claim freezes the account."""
    flagged = replace(RESULT, claim=Decimal("1.8"))

    assert incident([RESULT], lineage="clinic") is None
    found = incident([RESULT, flagged], lineage="clinic")
    assert found is not None
    assert found.note["audits"] == [flagged.to_json()]
    assert (found.note["action"], found.note["lineage"]) == ("freeze", "clinic")
    assert found.steps == STEPS
    assert loads(dumps(found.note)) == found.note
    assert INCIDENT == "incident"
