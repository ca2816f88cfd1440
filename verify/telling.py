"""A result as people and as scripts read it: each finding with where and what it means."""

from __future__ import annotations

from collections.abc import Iterator

from privacy.canonical import Json
from verify.findings import Check, Finding, Outcome, Result
from verify.meanings import CHECKED, UNSEEN, meaning

_WORDS = {
    Outcome.HOLDS: "holds",
    Outcome.VIOLATED: "violated",
    Outcome.INCOMPLETE: "incomplete",
}


def lines(result: Result) -> Iterator[str]:
    """Yield what a check of a pack found, one line each."""
    for one in result.findings:
        yield from _finding(one)
    touched = {one.check for one in result.findings}
    if result.regions:  # none: the pack was not even looked into
        for check, text in CHECKED.items():
            if check is not Check.HISTORY and check not in touched:
                yield f"holds · {check}: {text}"
    yield from (f"note · {note}" for note in result.notes)
    yield "cannot be seen from a pack:"
    yield from (f"  - {text}" for text in UNSEEN)
    yield f"{_WORDS[result.outcome]}: {_closing(result)}"


def as_json(result: Result) -> dict[str, Json]:
    """Return the same for scripts."""
    return {
        "outcome": _WORDS[result.outcome],
        "regions": list(result.regions),
        "findings": [
            {
                "check": one.check.value,
                "outcome": _WORDS[one.outcome],
                "region": one.region,
                "where": one.where,
                "text": one.text,
                "means": meaning(one.check, one.outcome),
            }
            for one in result.findings
        ],
        "notes": list(result.notes),
        "unseen": list(UNSEEN),
    }


def _finding(one: Finding) -> Iterator[str]:
    head = " · ".join(part for part in (one.check, one.region, one.where) if part)
    yield f"{_WORDS[one.outcome]} · {head or 'run'}: {one.text}"
    yield f"    this means: {meaning(one.check, one.outcome)}"


def _closing(result: Result) -> str:
    if result.outcome is Outcome.HOLDS:
        return f"the ledgers of {len(result.regions)} regions say what the report says"
    if result.outcome is Outcome.INCOMPLETE:
        return "nothing contradicts the report, and not everything could be checked"
    return "the evidence contradicts the report, or is not what was signed"
