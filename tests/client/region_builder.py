"""One approved region of the tiny study, and the coordinator's side to talk to it."""

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from client.handler import RegionHandler
from client.region import open_region
from distillation.plan_terms import encoding_of, weights_of
from distillation.study import Study
from privacy.ledger import Ledger
from privacy.plan import Plan
from protocol.config import Deadlines, RoundConfig
from protocol.coordinator import CoordinatorRound
from simulations.prepare import Bench, Prepared, StudyData, prepare
from simulations.progress import Quiet
from simulations.regions import Parties, approve_everywhere, make_parties
from simulations.run_folder import Journal, RunFolder
from tests.simulations import tiny_study


def clock() -> int:
    """Return one moment, for ever."""
    return 1_800_000_000


@dataclass(frozen=True, slots=True)
class World:
    """A prepared run of the tiny study, before any region approved."""

    study: Study
    run: RunFolder
    prepared: Prepared
    parties: Parties
    bench: Bench

    @property
    def plan(self) -> Plan:
        """The plan."""
        return self.prepared.plan

    def approve_all(self) -> None:
        """Have every region approve the plan."""
        approve_everywhere(
            self.run,
            self.study.regions,
            self.plan,
            load_teacher=lambda files: self.bench.teacher,
            clock=clock,
        )

    def round(self, number: int, *, attempt: int = 0, model_hash: bytes = b"") -> CoordinatorRound:
        """Open a round as the coordinator does."""
        from distillation.aggregate import ModelState

        weights = weights_of(self.plan)
        config = RoundConfig(
            plan_hash=bytes.fromhex(self.plan.hash),
            round_=number,
            attempt=attempt,
            model_hash=model_hash or ModelState.start(self.prepared.start).hash,
            layout_hash=self.prepared.part.layout.hash,
            registry_hash=self.parties.registry.hash,
            encoding=encoding_of(self.plan, self.prepared.part.layout),
            cohort=tuple(weights),
            weights=tuple(weights.values()),
            threshold=len(weights),
            min_cohort=len(weights),
            min_survivors=len(weights),
            deadlines=Deadlines(advertise_s=1, masked_s=1),
        )
        return CoordinatorRound(
            config=config, server_identity=self.parties.server, registry=self.parties.registry
        )


def make(folder: Path) -> World:
    """Prepare plan, artifacts and every region's folder."""
    study_file = tiny_study.make(folder / "study").file
    study, run = Study.load(study_file), RunFolder(folder / "run")
    run.open(study_file, resume=False)
    data, bench = StudyData.read(study), Bench.load(study)
    prepared = prepare(study, data, bench, run, Journal(run.root / "events.jsonl"), Quiet())
    parties = make_parties(study, prepared.plan, data.private, run, clock=clock)
    return World(study, run, prepared, parties, bench)


def fresh(world: World, folder: Path) -> World:
    """Return a copy of a world, with ledgers and artifacts of its own."""
    shutil.copytree(world.run.root, folder, symlinks=True)
    run = RunFolder(folder)
    for name in world.plan.cohort:
        run.region(name).artifacts.unlink()
        run.region(name).artifacts.symlink_to(run.artifacts, target_is_directory=True)
    return replace(world, run=run)


@contextmanager
def handlers(world: World) -> Iterator[dict[str, RegionHandler]]:
    """Open every approved region."""
    ledgers: list[Ledger] = []
    with ThreadPoolExecutor(1) as trainer:
        opened = {}
        for name in world.plan.cohort:
            region = open_region(world.run.region(name), executor=trainer, clock=clock)
            ledgers.append(region.ledger)
            opened[name] = region.handler
        yield opened
    for ledger in ledgers:
        ledger.close()
