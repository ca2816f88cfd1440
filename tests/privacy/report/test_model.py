from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privacy.canonical import dumps
from privacy.errors import MalformedDocumentError, PrivacyError
from privacy.guarantee import Bound, Neighbours, Unit
from privacy.report.model import SCHEMA, Report
from privacy.report.parts import Arm, ArmName, RoundQuality, Sent, figure
from tests.privacy.report.builders import arm, arms, region, sample

shares = st.floats(0, 1)


@pytest.mark.slow
@given(value=shares, epsilon=st.integers(1, 10**6), size=st.integers(0, 2**40))
def test_a_report_has_one_spelling(value: float, epsilon: int, size: int) -> None:
    """What is written is read back equal, and written as the same bytes again."""
    quality = RoundQuality(0, figure(value), figure(value), figure(value), figure(value))
    one = region("north", epsilon=f"{epsilon / 1000:.3f}")
    one = replace(one, sent=(replace(one.sent[0], wire_bytes=size),))
    report = sample(rounds=(quality,), regions=(one,))
    data = report.to_json()
    assert Report.from_json(data) == report
    assert Report.from_json(data).to_json() == data


def test_a_report_names_its_schema() -> None:
    """A reader learns from the document which version it is."""
    assert json.loads(sample().to_json())["schema"] == SCHEMA == "stillroom/report/v2"


Edit: TypeAlias = Callable[[dict[str, Any]], object]

EDITS: dict[str, Edit] = {
    "a later schema": lambda d: d.update(schema="stillroom/report/v3"),
    "no schema": lambda d: d.pop("schema"),
    "no plan": lambda d: d.pop("plan"),
    "an unknown field": lambda d: d.update(colour="red"),
    "an unknown field of a part": lambda d: d["regions"][0].update(colour="red"),
    "a part without a field": lambda d: d["regions"][0].pop("charged"),
    "a negative ε": lambda d: d["regions"][0]["charged"].update(epsilon="-1"),
    "an ε of zero": lambda d: d["regions"][0]["charged"].update(epsilon="0"),
    "an unknown relation": lambda d: d["regions"][0]["charged"].update(neighbours="some"),
    "an object for an array": lambda d: d["regions"][0].update(sent={}),
    "more released than reserved": lambda d: d["regions"][0].update(released_steps=42),
    "a short hash": lambda d: d["regions"][0]["sent"][0].update(wire_sha256="ab"),
    "text for an integer": lambda d: d["regions"][0].update(public_size="1200"),
    "an accuracy above one": lambda d: d["rounds"][0].update(accuracy="1.5"),
    "true for a number": lambda d: d["rounds"][0].update(round=True),
    "one for true": lambda d: d["arms"][0].update(is_private_release=1),
    "no teacher": lambda d: d["arms"].pop(0),
    "an arm twice": lambda d: d["arms"].append(d["arms"][0]),
    "a region without a claim": lambda d: d["claims"].pop(),
    "regions out of order": lambda d: d["regions"].reverse(),
    "text for an array": lambda d: d.update(regions="north"),
    "an array for an object": lambda d: d.update(data=[]),
    "an unknown mode": lambda d: d.update(mode="production"),
    "no time": lambda d: d.update(created_at="yesterday"),
    "no name": lambda d: d.update(study=" "),
    "more trained than there are": lambda d: d["student"].update(trained_parameters=2**40),
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS.keys())
def test_an_edited_report_is_refused(edit: Edit) -> None:
    """Unknown, missing and contradicting fields are errors, not defaults."""
    document = json.loads(sample().to_json())
    edit(document)
    with pytest.raises(PrivacyError):
        Report.from_json(dumps(document))


@given(data=st.binary(max_size=64))
def test_garbage_is_no_report(data: bytes) -> None:
    """Any bytes are a report or raise MalformedDocumentError."""
    with pytest.raises(MalformedDocumentError):
        Report.from_json(data)


def test_an_optional_field_is_left_out_rather_than_null() -> None:
    """An arm without ε has no such field, and reads back without it."""
    document = json.loads(sample(arms=arms()).to_json())
    by_name = {one["name"]: one for one in document["arms"]}
    assert "epsilon" not in by_name["teacher"]
    assert by_name["distilled"]["epsilon"] == "2.999"


def test_the_words_of_a_report_that_is_read_are_kept() -> None:
    """A published verdict stays what it was, even if a later release would word it otherwise."""
    document = json.loads(sample().to_json())
    document["verdict"]["headline"] = "As it was worded then."
    assert Report.from_json(dumps(document)).verdict.headline == "As it was worded then."


def test_regions_of_different_units_do_not_share_a_report() -> None:
    """One page cannot say two ε's in two units as if they were one."""
    person = Bound(Unit.PERSON, Neighbours.ADD_OR_REMOVE_ONE, Decimal(3), Decimal("0.00001"))
    other = replace(region("south"), charged=person, budget=person)
    with pytest.raises(MalformedDocumentError, match="one unit"):
        sample(regions=(region("north"), other))


def test_charge_and_budget_are_in_one_unit() -> None:
    """A charge for records cannot be held against a budget for persons."""
    person = Bound(Unit.PERSON, Neighbours.ADD_OR_REMOVE_ONE, Decimal(3), Decimal("0.00001"))
    with pytest.raises(MalformedDocumentError, match="one unit"):
        replace(region("north"), budget=person)


def test_the_summary_is_flat_and_says_the_worst_region() -> None:
    """Every value is text or a number; ε is the largest that a region was charged."""
    report = sample(regions=(region("north", epsilon="1.5"), region("south", epsilon="2.5")))
    summary = report.summary()
    assert all(isinstance(value, str | int | float) for value in summary.values())
    assert json.loads(json.dumps(summary)) == summary
    assert (summary["epsilon"], summary["delta"]) == (2.5, 1e-5)
    assert (summary["unit"], summary["neighbours"]) == ("record", "add-or-remove-one")


@pytest.mark.parametrize("figure_name", ["accuracy", "macro_f1"])
@pytest.mark.parametrize("who", ["student", "teacher", "without_teacher", "public_only"])
def test_the_summary_has_the_figures_that_scripts_read(who: str, figure_name: str) -> None:
    """The names are an interface."""
    summary = sample().summary()
    assert isinstance(summary[f"{who}_{figure_name}"], float)
    for name in ("regions", "rounds", "bytes_out_per_region_round", "seconds"):
        assert name in summary


def test_the_students_figures_are_those_of_the_released_one() -> None:
    """The mean over seeds is the arm's; what was released is one student."""
    summary = sample(arms=arms({**dict.fromkeys(ArmName, 0.5)})).summary()
    assert summary["student_accuracy"] == 0.684
    assert summary["distilled_accuracy"] == 0.5


def test_a_retry_counts_as_bytes_that_left() -> None:
    """Two vectors in one round are twice the bytes of that round."""
    one = region("north")
    again = Sent(1, 32_468, "0" * 64, "coordinator")
    report = sample(regions=(replace(one, sent=(*one.sent, again)),))
    assert report.bytes_out_per_region_round == 2 * 32_468
    assert report.regions[0].bytes_out == 4 * 32_468


@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf")])
def test_what_is_no_measurement_is_not_reported(value: float) -> None:
    """Negative, infinite and undefined figures are refused."""
    with pytest.raises(MalformedDocumentError):
        figure(value)


def test_an_arm_has_mean_and_sample_standard_deviation() -> None:
    """As in a statistics text: divided by n - 1."""
    found = arm(ArmName.DISTILLED, 0.5, sd=0.1)
    assert (found.accuracy, found.accuracy_sd) == (Decimal("0.5"), Decimal("0.1"))
    assert arm(ArmName.DISTILLED, 0.5, seeds=1).accuracy_sd == 0


def test_an_arm_needs_a_seed_and_a_release_needs_an_epsilon() -> None:
    """No figure without a run, and no release without a price."""
    with pytest.raises(MalformedDocumentError, match="one seed"):
        Arm.measured(ArmName.TEACHER, title="T", description="", accuracies=(), macro_f1s=())
    with pytest.raises(MalformedDocumentError, match="private release"):
        replace(arm(ArmName.DISTILLED, 0.5), epsilon=None)
