"""``stillroom region freeze`` and ``lift``: an account stops; somebody answers for its return."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from client.errors import RegionFolderError
from client.folder import RegionFolder
from client.incidents import lift_account
from client.policy import Policy
from distillation.audit.response import STEPS, incident
from distillation.audit.result import AuditResult
from privacy.canonical import Json
from stillroom.region_opening import open_ledger, read_input


@dataclass(frozen=True, slots=True)
class Frozen:
    """A frozen account.

    Attributes:
        lineage: The account.
        reason: Why, as the ledger says from here on.
        steps: What people have to do next.
    """

    lineage: str
    reason: str
    steps: Sequence[str]


def freeze(folder: RegionFolder, *, reason: str, by: str, audits: Sequence[Path]) -> Frozen:
    """Stop the region's account; nothing is asked, and no key is needed.

    Args:
        folder: The region's folder.
        reason: One sentence for the ledger, which is shown to others.
        by: Who stops it.
        audits: Results that speak against the claim, as ``stillroom audit`` wrote them.

    Raises:
        AuditError: If a file holds no audit.
        RegionFolderError: If a file is not there, or none of the audits is above its claim.
        LedgerError: If the ledger cannot be written.
    """
    lineage = Policy.load(folder.policy).lineage
    results = [AuditResult.from_bytes(read_input(path, "audit")) for path in audits]
    found = incident(results, lineage=lineage)
    if audits and found is None:
        raise RegionFolderError(
            "none of these audits has a bound above its claim: freeze without --audit if there is "
            "another reason"
        )
    evidence: dict[str, Json] = {} if found is None else dict(found.note)
    with open_ledger(folder) as ledger:
        ledger.freeze(lineage, reason, evidence=evidence, frozen_by=by)
        return Frozen(ledger.state.payer(lineage), reason, STEPS)


def lift(folder: RegionFolder, *, epsilon: Decimal, delta: Decimal, reason: str, by: str) -> str:
    """Let the region's account be used again, charged and signed; return its name.

    Args:
        folder: The region's folder, which has its key.
        epsilon: What is charged for the finding, against each limit.
        delta: And its δ.
        reason: What the cause was, and why it cannot come again.
        by: Who answers for that.

    Raises:
        AccountFrozenError: If the charge is less than what an audit showed.
        BudgetExceededError: If the account cannot pay; it stays frozen.
        LedgerError: If it is not frozen.
    """
    lineage = Policy.load(folder.policy).lineage
    with open_ledger(folder) as ledger:
        lift_account(
            folder, ledger, lineage=lineage, epsilon=epsilon, delta=delta, reason=reason, by=by
        )
        return ledger.state.payer(lineage)
