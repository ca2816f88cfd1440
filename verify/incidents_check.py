"""Incidents and declared audits: who lifted a freeze, what stands still, what audits found.

The ledger's rules let an account go on after a lift; whose signature the lift bears they cannot
know. Here the registry says whose it has to be (V2). A plan that declares an audit has in every
ledger the hash of the coins before the first step, and the result at the end (V9).
"""

from __future__ import annotations

from collections.abc import Iterator

from privacy.canonical import Json
from privacy.errors import PrivacyError
from privacy.fields import Fields
from privacy.ledger_entries import Entry, Lift, Note, Reserve
from privacy.pack import layout
from protocol.errors import AbortError
from protocol.identity import region_uid, verify
from verify.case import Case
from verify.findings import Check, Finding, incomplete, violated

LABEL = "lift"
CANARIES, AUDIT = "canaries", "audit"


def check_incidents(case: Case) -> Iterator[Finding]:
    """Yield each lift that the region did not sign for the place where it stands."""
    for name, ledger in case.ledgers.items():
        key = case.registry.record(region_uid(name)).identity_key
        for entry in ledger.entries(Lift):
            if isinstance(entry.payload, Lift) and not _is_signed(entry, entry.payload, name, key):
                text = (
                    f"entry {entry.seq} lifts a freeze in the name of {entry.payload.lifted_by!r}, "
                    "and the region's key did not sign it there"
                )
                where = layout.ledger_path(name)
                yield violated(Check.LEDGERS, text, region=name, where=where)


def check_declared_audits(case: Case) -> Iterator[Finding]:
    """Yield what is missing of the audit that the plan declares, or speaks against the claim."""
    for name, ledger in case.ledgers.items():
        where, reserved = layout.ledger_path(name), False
        committed, results = False, list[Json]()
        for entry in ledger.entries(Note, Reserve):
            said = entry.payload
            if isinstance(said, Reserve):
                reserved = reserved or said.plan == case.plan.hash
            elif isinstance(said, Note) and said.content.get("plan") == case.plan.hash:
                committed = committed or (said.topic == CANARIES and not reserved)
                found = said.content.get("results") if said.topic == AUDIT else None
                results += found if isinstance(found, list) else []
        if case.plan.audit is not None and not committed:
            text = "the plan declares an audit, and its coins were not on record before a step"
            yield incomplete(Check.TESTS, text, region=name, where=where)
        if case.plan.audit is not None and not results:
            text = "the plan declares an audit, and the ledger has no result of it"
            yield incomplete(Check.TESTS, text, region=name, where=where)
        for result in results:
            yield from _judged(result, name, where)


def _judged(result: Json, region: str, where: str) -> Iterator[Finding]:
    try:
        fields = Fields(result, where="audit")
        bound, claim = fields.decimal("lower_bound"), fields.decimal("claim")
    except PrivacyError as error:
        text = f"an audit in the ledger cannot be read: {error}"
        yield incomplete(Check.TESTS, text, region=region, where=where)
        return
    if bound > claim:
        text = f"its own audit found ε of at least {bound}, above the ε = {claim} that is claimed"
        yield violated(Check.TESTS, text, region=region, where=where)


def incident_notes(case: Case) -> list[str]:
    """Return a sentence for each account that is frozen at the end of its ledger."""
    return [
        f"{name}: the account {lineage} is frozen: {account.frozen}"
        for name, ledger in case.ledgers.items()
        for lineage, account in ledger.state.accounts.items()
        if account.frozen
    ]


def _is_signed(entry: Entry, lift: Lift, region: str, key: bytes) -> bool:
    try:
        verify(
            key,
            bytes.fromhex(lift.signature),
            LABEL,
            context=bytes.fromhex(entry.previous),
            uid=region_uid(region),
            body=lift.said,
        )
    except AbortError:  # an answer here; the caller makes a finding of it
        return False
    return True
