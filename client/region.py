"""A region ready to serve: ledger open, plan approved, trainer tested, records labelled."""

from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import ExitStack
from dataclasses import dataclass

from client.approval import approved_plan, pinned_registry
from client.canaries import with_canaries
from client.checkpoints import SeenCheckpoints
from client.conformance import require_conformance
from client.folder import RegionFolder
from client.handler import RegionHandler
from client.ledger_history import LedgerHistory
from client.materials import Materials, load_materials
from client.policy import Policy
from client.round_terms import RoundTerms
from client.training import LocalTraining
from distillation.labels import LabelCache
from distillation.workbench import Workbench
from privacy.ledger import Ledger
from protocol.identity import region_uid

_DAY_S = 24 * 3600


@dataclass(frozen=True, slots=True)
class Region:
    """One open region.

    Attributes:
        handler: Answers the coordinator.
        ledger: Close it when the region stops.
        bench: The region's labelled records, without canaries; for an audit and a simulation's
            comparisons only.
    """

    handler: RegionHandler
    ledger: Ledger
    bench: Workbench


def open_region(
    folder: RegionFolder,
    *,
    executor: Executor,
    clock: Callable[[], int],
    materials: Materials | None = None,
    on_step: Callable[[str], None] = lambda step: None,
) -> Region:
    """Open the region in ``folder`` for the plan that it approved.

    Args:
        folder: The region's folder.
        executor: Where training runs.
        clock: Unix seconds.
        materials: What `approve` checked; loaded and checked again if None.
        on_step: Told before each durable step of a round.

    Raises:
        NotApprovedError: If no plan was approved here.
        ApprovalRefusedError: If the registry is not the pinned one.
        ConformanceError: If the trainer does not protect records as the plan promises; no record
            was labelled or used.
        ClientError: If the folder, an artifact or the records are not what was approved.
        LedgerError: If the ledger cannot be opened.
    """
    policy = Policy.load(folder.policy)
    registry = pinned_registry(folder, policy)
    ledger = Ledger.open(folder.ledger, clock=clock)
    with ExitStack() as undo:
        undo.callback(ledger.close)  # a region that does not open leaves its ledger to others
        plan = approved_plan(folder, ledger)
        ready = materials or load_materials(folder, policy, plan)
        require_conformance(ready, plan, policy.region, ledger)
        bench = labelled_records(folder, policy, ready, clock)
        trained = with_canaries(folder, plan, ledger, ready, bench)
        undo.pop_all()
    training = LocalTraining(folder, policy.region, plan, ledger, ready, trained, on_step)
    handler = RegionHandler(
        folder=folder,
        training=training,
        terms=RoundTerms(plan, policy, ready.part.layout, registry),
        history=LedgerHistory(
            ledger,
            region_uid(policy.region),
            folder.ledger_key(),
            SeenCheckpoints(folder.checkpoints, registry),
        ),
        executor=executor,
        clock=clock,
    )
    return Region(handler, ledger, bench)


def labelled_records(
    folder: RegionFolder, policy: Policy, materials: Materials, clock: Callable[[], int]
) -> Workbench:
    """Return the region's records with the teacher's labels, which are kept for as long as allowed.

    Raises:
        LabelCacheError: If a cached label does not open.
    """
    retention_s = policy.label_days * _DAY_S
    with LabelCache(
        folder.labels, secret=folder.labels_key(), clock=clock, retention_s=retention_s
    ) as cache:
        cache.erase_expired()
        return materials.workbench(cache)
