from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from privacy.canonical import dumps, loads
from privacy.report.declared import Declarations
from privacy.report.model import Report
from privacy.report.recomputed import PARTS
from privacy.report.schema import report_schema, schema_bytes
from tests.privacy.report.builders import sample
from tests.privacy.report.evidence_builders import full
from tests.privacy.report.json_schema import faults

SCHEMA: dict[str, Any] = json.loads(schema_bytes())


@pytest.mark.parametrize("report", [sample(), full()], ids=["short", "full"])
def test_a_report_is_what_its_schema_says(report: Report) -> None:
    """Written, validated, read back equal, and written as the same bytes again."""
    data = report.to_json()
    assert faults(json.loads(data), SCHEMA) == []
    assert Report.from_json(data) == report
    assert Report.from_json(data).to_json() == data


def test_every_field_of_the_schema_is_required() -> None:
    """A report has no absent field, but those that have no value in some reports."""
    optional = {
        f"{name}.{key}"
        for name, part in SCHEMA["$defs"].items()
        for key in part.get("properties", {})
        if key not in part["required"]
    }
    assert optional == {
        "Arm.epsilon",
        "Arm.tokens",
        "Contribution.max_records_per_person",
        "Protection.mu",
        # A language model has no ranges, bins or parts; a study may leave the costs out; the
        # teacher is not compared with itself.
        "Assessment.student_cost",
        "Assessment.student_scaling",
        "Assessment.teacher_cost",
        "Assessment.teacher_scaling",
        "Estimate.high",
        "Estimate.low",
        "SideBySide.teacher",
    }
    later = {"assessment"}  # a report that was written before it was measured can still be read
    assert set(SCHEMA["required"]) == set(SCHEMA["properties"]) - later


@pytest.mark.parametrize(
    "path", [(), ("declared", "identity"), ("ledgers", 0), ("ledgers", 0, "integrity")]
)
def test_no_field_can_be_left_out_or_added(path: tuple[str | int, ...]) -> None:
    """The schema and the reader refuse the same documents."""
    document: Any = json.loads(full().to_json())
    part = document
    for step in path:
        part = part[step]
    for name in list(part):
        if name == "schema":
            continue
        kept = part.pop(name)
        assert faults(document, SCHEMA) != []
        part[name] = kept
    part["surprise"] = "x"
    assert faults(document, SCHEMA) != []


def test_numbers_with_a_fraction_are_text() -> None:
    """No reader's floating point can change what was signed."""
    assert not any(isinstance(value, float) for value in _leaves(json.loads(full().to_json())))
    assert loads(dumps(report_schema())) == json.loads(schema_bytes())


def test_the_schema_marks_what_a_verifier_finds_anew() -> None:
    """Exactly the parts that ``recomputed`` makes from plan and ledgers."""
    marked = {name for name, one in SCHEMA["properties"].items() if one.get("x-recomputed")}
    for whole in ("Region", "Sums"):
        fields = SCHEMA["$defs"][whole]["properties"].values()
        assert all(one["x-recomputed"] is True for one in fields)
    assert marked | {"regions", "sums"} == set(PARTS)


def test_the_schema_marks_what_a_person_declares() -> None:
    """Each such field, with the help that the file of declarations has."""
    for part, name, help_text, _ in Declarations().rows():
        kind = SCHEMA["$defs"]["Declarations"]["properties"][part]["$ref"].rpartition("/")[2]
        field = SCHEMA["$defs"][kind]["properties"][name]
        assert field["x-declared"] is True
        assert field["description"] == help_text


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _leaves(item)
    else:
        yield value


def test_the_map_of_fields_names_fields_that_there_are() -> None:
    """Every path in ``docs/compliance.md`` leads to a field of the schema."""
    page = (Path(__file__).parents[3] / "docs" / "compliance.md").read_text(encoding="utf-8")
    paths = re.findall(r"`([a-z_]+(?:\[\])?(?:\.[a-z_]+(?:\[\])?)+|ledgers|audits|actors)`", page)
    assert len(paths) > 50
    for path in paths:
        if path.endswith((".json", ".html", ".csv", ".yaml", ".toml", ".md")):
            continue
        part: dict[str, Any] = SCHEMA
        for step in path.replace("[]", "").split("."):
            assert step in part["properties"], path
            part = part["properties"][step]
            part = part.get("items", part)
            if "$ref" in part:
                part = SCHEMA["$defs"][part["$ref"].rpartition("/")[2]]
