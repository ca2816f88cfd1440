"""``make loopback``: the product outside the simulator, over TLS, on this machine.

A real SuperLink and five SuperNodes with node authentication and pinned executors run the real
ServerApp and ClientApp on a tiny plan, to the end. It ends with status 0 only if every round
finished and every region's ledger holds a send of every round.
"""

import argparse
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import transformers

from privacy.ledger import Ledger
from privacy.plan import TRAIN
from server.checkpoint import load
from simulations.errors import SimulationError
from simulations.loopback_deployment import ENVIRONMENT, Deployment
from simulations.loopback_processes import Processes
from simulations.loopback_study import LoopbackStudy, prepare_loopback
from simulations.progress import Quiet
from simulations.run_folder import Journal

_ROUNDS = 2
_LIMIT_S = 300.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to, as the parties' own files say.

    Attributes:
        rounds: Rounds of the plan.
        finished: Rounds in the coordinator's checkpoint.
        sent: Rounds of which each region's ledger holds a send.
    """

    rounds: int
    finished: int
    sent: Mapping[str, int]

    @property
    def complete(self) -> bool:
        """Whether every round finished, with every region's vector in it."""
        return {self.finished, *self.sent.values()} == {self.rounds}


def _now() -> int:
    return int(time.time())


@contextmanager
def deployed(
    out: Path,
    *,
    rounds: int = _ROUNDS,
    limit_s: float = _LIMIT_S,
    allow: Mapping[str, str] | None = None,
    journal: Journal | None = None,
) -> Iterator[Deployment]:
    """Prepare a study and start every program; stop exactly those at the end.

    Args:
        out: A new folder.
        rounds: Of the plan.
        limit_s: After so long from now, every wait gives up.
        allow: The bundle that a region allows, where it is not this source tree's.
        journal: Where the time of each stage is kept.

    Raises:
        SimulationError: If a program does not start, or not in time.
    """
    until = time.monotonic() + limit_s
    out = out.resolve()  # the programs run elsewhere
    out.mkdir(parents=True)
    journal = journal or Journal(out / "events.jsonl")
    with journal.stage("prepare study and folders"):
        study = prepare_loopback(out, rounds=rounds, clock=_now, show=Quiet())
    with Processes(out / "logs", environment=ENVIRONMENT) as processes:
        deployment = Deployment(out, study, processes, until)
        with journal.stage("start SuperLink"):
            deployment.start_coordinator()
        with journal.stage("register and start nodes"):
            deployment.register_nodes()
            for region in deployment.nodes:
                deployment.start_node(region)
                deployment.start_executor(region, allow=(allow or {}).get(region))
            deployment.await_nodes()
        yield deployment


def outcome(study: LoopbackStudy) -> Outcome:
    """Read what a run came to from the coordinator's and the regions' files."""
    plan = study.plan
    checkpoint = load(study.run.root / "checkpoint.npz", plan_hash=plan.hash)
    sent = {}
    for name in plan.cohort:
        with Ledger.open(study.run.region(name).ledger, clock=_now) as ledger:
            component = ledger.state.plans[plan.hash].components[TRAIN]
            sent[name] = len({send.round for send in component.sends.values()})
    return Outcome(plan.rounds, checkpoint.finished if checkpoint else 0, sent)


def run(out: Path, *, rounds: int = _ROUNDS, limit_s: float = _LIMIT_S) -> Outcome:
    """Run the plan once and print what happened.

    Raises:
        SimulationError: If a program failed, or the time was up.
    """
    out.mkdir(parents=True)
    journal = Journal(out / "events.jsonl")
    with deployed(out / "deployment", rounds=rounds, limit_s=limit_s, journal=journal) as one:
        with journal.stage(f"{rounds} rounds"):
            one.submit()
            one.wait()
        result = outcome(one.study)
        said = one.processes.tail("run")
    for stage, seconds in journal.seconds.items():
        print(f"{seconds:7.1f} s  {stage}")
    print(f"{sum(journal.seconds.values()):7.1f} s  in all")
    print(f"{result.finished} of {result.rounds} rounds finished")
    for name, count in result.sent.items():
        print(f"{name}: {count} of {result.rounds} rounds in its ledger as sent")
    if not result.complete:
        print(f"the run is not complete; its last lines:\n{said}", file=sys.stderr)
    return result


def main() -> int:
    """Run it from the command line; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m simulations.loopback", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/loopback"), help="replaced")
    parser.add_argument("--rounds", type=int, default=_ROUNDS)
    parser.add_argument("--limit", type=float, default=_LIMIT_S, help="seconds for all of it")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # by the way of every finally
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    shutil.rmtree(arguments.out, ignore_errors=True)
    try:
        result = run(arguments.out, rounds=arguments.rounds, limit_s=arguments.limit)
    except SimulationError as error:
        print(f"loopback: {error}", file=sys.stderr)
        return 1
    return 0 if result.complete else 1


if __name__ == "__main__":
    sys.exit(main())
