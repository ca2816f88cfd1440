"""What follows from an audit: nothing, or an incident that stops the account.

A bound above the claim means that more left a region than it was charged for, unless the audit
itself is wrong; nobody can tell at once, so nothing more is released until somebody has found out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from distillation.audit.result import AuditResult
from privacy.canonical import Json

INCIDENT = "incident"
"""The topic of the ledger's note."""

STEPS = (
    "stop: release nothing more from the account, in any plan, until the cause is found",
    "write the incident into the region's ledger and send a checkpoint to every witness",
    "run the conformance self-test on the release that is installed, and compare its hash",
    "run the audit again with new coins; a false alarm does not come twice, as a rule",
    "tell the data protection officer which releases were made and what they were charged",
    "charge what the bound shows, at least, before the account is ever used again",
)


@dataclass(frozen=True, slots=True)
class Incident:
    """What goes into the ledger, and what people have to do.

    Attributes:
        note: The content of a ledger note with the topic `INCIDENT`.
        steps: What to do, in order.
    """

    note: Mapping[str, Json]
    steps: tuple[str, ...]


def incident(results: Sequence[AuditResult], *, lineage: str) -> Incident | None:
    """Return what has to be done, or None where no bound is above its claim.

    Args:
        results: Of one audit or several.
        lineage: The account whose releases were audited.
    """
    flagged = [result.to_json() for result in results if result.flagged]
    if not flagged:
        return None
    note: dict[str, Json] = {
        "what": "audit-above-claim",
        "lineage": lineage,
        "action": "freeze",
        "audits": flagged,
    }
    return Incident(note, STEPS)
