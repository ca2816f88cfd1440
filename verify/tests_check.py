"""V9: did the trainer pass its self-test before it touched a record, and do audits agree?

The self-test's result is a note in the ledger, before the first reserve of its plan. An audit that
came with the run (``evidence/``) shows a lower bound on ε: if it is above the claim, one of the two
is wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal

from privacy.canonical import Json, loads
from privacy.errors import PrivacyError
from privacy.fields import Fields
from privacy.ledger_grants import Note
from privacy.ledger_steps import Reserve
from privacy.pack import layout
from verify.case import Case
from verify.evidence import ReadLedger
from verify.findings import Check, Finding, incomplete, violated

CONFORMANCE = "conformance"
AUDIT = "stillroom/audit/v1"


def check_tests(case: Case) -> Iterator[Finding]:
    """Yield which tests are missing, failed, or speak against the claim."""
    codes = dict[str, str]()
    for name, ledger in case.ledgers.items():
        where = layout.ledger_path(name)
        found, problem, failed = _self_tests(ledger, case.plan.hash)
        if problem:
            make = violated if failed else incomplete
            yield make(Check.TESTS, problem, region=name, where=where)
        if found:
            codes[name] = found[-1]
    if len(set(codes.values())) > 1:
        told = "; ".join(f"{name} {code[:16]}…" for name, code in codes.items())
        text = f"the self-tests are of different code: {told}; ask which release each region ran"
        yield incomplete(Check.TESTS, text, where="ledger")
    yield from _audits(case)


def _self_tests(ledger: ReadLedger, plan: str) -> tuple[list[str], str, bool]:
    """Return the code that passed, what is wrong, and whether a test failed."""
    passed, codes = False, list[str]()
    for entry in ledger.entries(Note, Reserve):
        payload = entry.payload
        if isinstance(payload, Note) and _is_test(payload, plan):
            passed = payload.content.get("failed") == []
            codes.append(str(payload.content.get("code")))
        elif isinstance(payload, Reserve) and payload.plan == plan and not passed:
            if codes:
                return codes, f"entry {entry.seq} reserves after a self-test that failed", True
            return codes, f"entry {entry.seq} reserves, and no self-test was noted before", False
    return codes, "", False


def _is_test(note: Note, plan: str) -> bool:
    return note.topic == CONFORMANCE and note.content.get("plan") == plan


def _audits(case: Case) -> Iterator[Finding]:
    claimed = max(
        (
            account.charged[case.plan.promise.relation].epsilon
            for ledger in case.ledgers.values()
            for account in ledger.state.accounts.values()
            if case.plan.promise.relation in account.charged
        ),
        default=None,
    )
    for name in case.files.names("evidence"):
        where = f"evidence/{name}"
        try:
            bound = _lower_bound(case.files.read(where) or b"")
        except PrivacyError as error:
            yield incomplete(Check.TESTS, f"it cannot be read: {error}", where=where)
            continue
        if bound is not None and claimed is not None and bound > claimed:
            yield _against(bound, claimed, where)
    audits = case.report.get("audits")
    for one in audits if isinstance(audits, list) else ():
        try:
            bound = Fields(one, where="audit").decimal("lower_bound")
        except PrivacyError as error:
            yield incomplete(Check.TESTS, f"an audit cannot be read: {error}", where="report.json")
            continue
        if claimed is not None and bound > claimed:
            yield _against(bound, claimed, "report.json")


def _against(bound: Decimal, claimed: Decimal, where: str) -> Finding:
    text = f"an audit found ε of at least {bound}, above the ε = {claimed} that is claimed"
    return violated(Check.TESTS, text, where=where)


def _lower_bound(data: bytes) -> Decimal | None:
    """Return an audit's lower bound, or None for evidence of another kind."""
    value: Json = loads(data)
    if not isinstance(value, Mapping) or value.get("kind") != AUDIT:
        return None
    return Fields({"bound": value.get("lower_bound", "")}, where="audit").decimal("bound")
