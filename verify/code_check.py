"""V7: is the code that the report names the code that the regions approved and tested?

``config/code.txt`` lists the sources by hash and the libraries by version. Nothing in it is
believed for being in the pack: the plan, which each region signed, has a hash that follows from
the sources, and each region's self-test noted one in its ledger that follows from the trainer's
sources and the libraries. Then the versions in the report are held against the list.

What it cannot see: that a region ran the code that it hashed.
"""

from __future__ import annotations

from collections.abc import Iterator

from privacy.canonical import Json
from privacy.code_listing import CodeListing
from privacy.errors import PrivacyError
from privacy.ledger_grants import Note
from privacy.pack import layout
from verify.case import Case
from verify.findings import Check, Finding, incomplete, violated

WHERE = "config/code.txt"
_TOPIC = "conformance"


def check_code(case: Case) -> Iterator[Finding]:
    """Yield what plan, self-tests or report say otherwise than the list of the code."""
    data = case.files.read(WHERE)
    if data is None:
        return
    try:
        listing = CodeListing.from_bytes(data)
    except PrivacyError as error:
        yield violated(Check.PLAN, f"it is no list of code: {error}", where=WHERE)
        return
    if listing.region_hash != case.plan.artifacts.code:
        text = (
            f"its sources hash to {listing.region_hash[:16]}…, the plan that the regions approved "
            f"names the code {case.plan.artifacts.code[:16]}…"
        )
        yield violated(Check.PLAN, text, where=WHERE)
    yield from _self_tests(case, listing)
    yield from _versions(case.report.get("versions", []), listing)


def code_notes(case: Case) -> Iterator[str]:
    """Yield what rests on a word only, where there is no list."""
    if case.files.read(WHERE) is None:
        yield (
            f"the pack has no {WHERE}: the versions of software in the report are the operator's "
            "word, and the hashes of code in plan and ledgers stand for sources that only their "
            "owners can show"
        )


def _self_tests(case: Case, listing: CodeListing) -> Iterator[Finding]:
    """Hold the code of each region's last self-test of this plan against the list.

    Regions may run other libraries than the coordinator who packed the list. Where some tested
    the listed code, the others' lists can be asked for; where none did, it is nobody's.
    """
    tested = {
        name: note.content.get("code")
        for name, ledger in case.ledgers.items()
        for entry in ledger.entries(Note)
        if isinstance(note := entry.payload, Note)
        and (note.topic, note.content.get("plan")) == (_TOPIC, case.plan.hash)
    }
    others = [name for name, code in tested.items() if code != listing.trainer_hash]
    if tested and len(others) == len(tested):
        text = (
            f"its trainer and libraries hash to {listing.trainer_hash[:16]}…, and no region's "
            "self-test is of that code: the list is not of what was run"
        )
        yield violated(Check.PLAN, text, where=WHERE)
        return
    for name in others:
        text = (
            f"its self-test is of the code {str(tested[name])[:16]}…, not of the listed one; ask "
            "it for a list of its own"
        )
        yield incomplete(Check.PLAN, text, region=name, where=layout.ledger_path(name))


def _versions(reported: Json, listing: CodeListing) -> Iterator[Finding]:
    """Yield the versions that the report has otherwise than the list."""
    for one in reported if isinstance(reported, list) else ():
        name, version = (one.get("name"), one.get("version")) if isinstance(one, dict) else ("", "")
        listed = listing.libraries.get(str(name))
        if listed is not None and version != listed:
            text = f"it says {name} {version}, and the listed code ran with {name} {listed}"
            yield violated(Check.PLAN, text, where="report.json")
