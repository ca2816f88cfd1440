"""Every region audits its own finished training, where the plan declares it.

In a federation each steward does so (``stillroom region audit``); here it is the same call, once a
region. What the regions show of it, the results alone, becomes evidence of the run.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from client.folder import write_durably
from client.materials import Materials
from client.production_audit import audit_region
from distillation.workbench import Workbench
from privacy.ledger import Ledger
from privacy.plan import Plan
from simulations.progress import Progress
from simulations.run_folder import Journal, RunFolder

WHO = "simulation"


def audit_regions(
    run: RunFolder,
    plan: Plan,
    materials: Mapping[str, Materials],
    benches: Mapping[str, Workbench],
    clock: Callable[[], int],
    journal: Journal,
    show: Progress,
) -> tuple[str, ...]:
    """Audit every region, keep the results, and return a sentence for each region that is stopped.

    Raises:
        AuditError: If the audit would mean nothing.
        ClientError: If a region lacks what it has to know of its rounds.
        LedgerError: If a ledger cannot be written.
    """
    if plan.audit is None:
        return ()
    date = datetime.fromtimestamp(clock(), UTC).strftime("%Y-%m-%d")
    stopped = []
    with journal.stage("audits"), show.stage("Every region audits its own releases"):
        for name in plan.cohort:
            if _is_flagged(run, plan, name, materials[name], benches[name], date, clock):
                stopped.append(
                    f"The student was not written out: the audit of {name} found more than was "
                    "charged, and its account is frozen."
                )
    return tuple(stopped)


def _is_flagged(
    run: RunFolder,
    plan: Plan,
    name: str,
    materials: Materials,
    records: Workbench,
    date: str,
    clock: Callable[[], int],
) -> bool:
    folder = run.region(name)
    with Ledger.open(folder.ledger, clock=clock) as ledger:
        results = audit_region(folder, ledger, plan, materials, records, date=date, who=WHO)
    for number, result in enumerate(results, start=1):
        path = run.root / "evidence" / f"audit-{name}-{number:02d}.json"
        write_durably(path, result.to_bytes())
    return any(result.flagged for result in results)
