"""One run of the real coordinator and the real regions, in one process.

The coordinator's loop talks Flower to every region's ClientApp over a `LocalGrid`; masks, ledgers
and noise are those of a deployment. Only the network and the machines between are missing.
"""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from flwr.app import Context

from client.egress import open_gate
from client.flower_adapter import Handler, make_client_app
from client.local_log import LocalLog
from client.materials import Materials
from client.region import Region, open_region
from distillation.aggregate import ModelState
from distillation.workbench import Workbench
from privacy.plan import Plan
from protocol.config import Deadlines
from server.errors import RunFailedError
from server.flower_adapter import FlowerTransport
from server.rounds import FinishedRound, RoundLoop, RunTerms
from simulations.errors import SimulationError
from simulations.grid import Fault, LocalGrid
from simulations.lies import Lies
from simulations.prepare import Prepared
from simulations.progress import Progress
from simulations.regions import Parties
from simulations.run_folder import Journal, RunFolder

DEADLINES = Deadlines(
    advertise_s=120, encaps_s=120, shares_s=120, masked_s=900, consent_s=120, unmask_s=120
)
_FIRST_NODE = 2


@dataclass(frozen=True, slots=True)
class Federation:
    """An open federation.

    Attributes:
        loop: The coordinator's rounds.
        benches: Each region's labelled records, for the comparisons.
    """

    loop: RoundLoop
    benches: Mapping[str, Workbench]
    _logs: Mapping[str, LocalLog]

    def rounds(self) -> Iterator[FinishedRound]:
        """Yield each remaining round as it finishes.

        Raises:
            SimulationError: If a round stayed void, with what the regions' own logs say; a
                coordinator in a deployment would not know that.
        """
        try:
            yield from self.loop.run()
        except RunFailedError as error:
            said = [f"{name}: {log.last()}" for name, log in self._logs.items() if log.last()]
            raise SimulationError("; ".join([str(error), *said])) from error


@contextmanager
def open_federation(
    run: RunFolder,
    prepared: Prepared,
    parties: Parties,
    materials: Mapping[str, Materials],
    *,
    clock: Callable[[], int],
    fault: Fault,
    lies: Lies,
    journal: Journal,
    show: Progress,
) -> Iterator[Federation]:
    """Open every region and the coordinator; close all of them at the end.

    Args:
        run: The run's folder.
        prepared: Plan and public student.
        parties: Everybody's keys.
        materials: What each region checked at approval.
        clock: Unix seconds.
        fault: What is lost on the way.
        lies: Who breaks the protocol.
        journal: Where the time of labelling is kept.
        show: Who is told of it.
    """
    plan: Plan = prepared.plan
    with ExitStack() as stack:
        trainer = stack.enter_context(ThreadPoolExecutor(1, "trainer"))
        regions: dict[str, Region] = {}
        title = "The teacher labels each region's records, inside the region"
        with journal.stage("soft labels"), show.stage(title) as done:
            for name in plan.cohort:
                regions[name] = open_region(
                    run.region(name), executor=trainer, clock=clock, materials=materials[name]
                )
                stack.callback(regions[name].ledger.close)
                done(len(regions) / len(plan.cohort))
        logs = {name: LocalLog(run.region(name).errors) for name in regions}
        gates = {
            name: open_gate(run.region(name), one.handler, ledger=one.ledger, clock=clock)
            for name, one in regions.items()
        }
        apps = {
            node: make_client_app(_always(lies.handler(name, gate)), report=_into(logs[name]))
            for node, (name, gate) in enumerate(gates.items(), start=_FIRST_NODE)
        }
        grid = stack.enter_context(LocalGrid(apps, fault=fault))
        terms = RunTerms(
            plan=plan,
            layout=prepared.part.layout,
            registry=parties.registry,
            identity=parties.server,
            deadlines=DEADLINES,
            open_round=lies.open_round,
        )
        loop = RoundLoop(
            terms,
            FlowerTransport(grid),
            run.root,
            start=ModelState.start(prepared.start),
        )
        benches = {name: region.bench for name, region in regions.items()}
        yield Federation(loop, benches, logs)


def _into(log: LocalLog) -> Callable[[Context, Exception], None]:
    """Return a function that keeps a node's errors in this log."""
    return lambda context, error: log.report(error)


def _always(handler: Handler) -> Callable[[Context], Handler]:
    """Return a function that finds this handler for every node context."""
    return lambda context: handler
