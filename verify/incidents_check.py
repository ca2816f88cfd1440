"""V2, incidents: was every freeze lifted by the region itself, and which accounts stand still?

The ledger's rules let an account go on after a lift; whose signature the lift bears they cannot
know. Here the registry says whose it has to be.
"""

from __future__ import annotations

from collections.abc import Iterator

from privacy.ledger_entries import Entry, Lift
from privacy.pack import layout
from protocol.errors import AbortError
from protocol.identity import region_uid, verify
from verify.case import Case
from verify.findings import Check, Finding, violated

LABEL = "lift"


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
