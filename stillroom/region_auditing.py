"""``stillroom region audit``: a region attacks its own finished training, by its plan."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from client.approval import approved_plan
from client.folder import RegionFolder, write_durably
from client.materials import load_materials
from client.policy import Policy
from client.production_audit import audit_region
from client.region import labelled_records
from distillation.audit.result import AuditResult
from stillroom.exits import Exit
from stillroom.region_opening import now, open_ledger


@dataclass(frozen=True, slots=True)
class Audited:
    """What an audit found.

    Attributes:
        results: One a method.
        files: Where they were written to, for whoever makes the report.
    """

    results: Sequence[AuditResult]
    files: Sequence[Path]

    @property
    def exit_code(self) -> Exit:
        """DONE, or FAILED if a bound is above the claim: the account is frozen then."""
        return Exit.FAILED if any(one.flagged for one in self.results) else Exit.DONE


def audit(folder: RegionFolder, *, who: str, out: Path | None) -> Audited:
    """Audit the approved plan's releases, once; again it shows the result that is on record.

    Args:
        folder: The region's folder.
        who: Who runs it.
        out: A folder for the results, which are all that anybody else gets; None writes none.

    Raises:
        ClientError: If the plan declares no audit, is not finished, or something is missing.
        AuditError: If the audit would mean nothing.
        LedgerError: If the ledger cannot be written.
    """
    policy = Policy.load(folder.policy)
    date = datetime.fromtimestamp(now(), UTC).strftime("%Y-%m-%d")
    with open_ledger(folder) as ledger:
        plan = approved_plan(folder, ledger)
        materials = load_materials(folder, policy, plan)
        records = labelled_records(folder, policy, materials, now)
        results = audit_region(folder, ledger, plan, materials, records, date=date, who=who)
    files = []
    for number, result in enumerate(results if out is not None else (), start=1):
        path = Path(str(out)) / f"audit-{policy.region}-{number:02d}.json"
        write_durably(path, result.to_bytes())
        files.append(path)
    return Audited(results, files)
