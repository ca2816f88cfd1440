"""One approved region of the tiny study, and the coordinator's side to talk to it."""

import copy
import shutil
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from client.handler import RegionHandler
from client.materials import Materials
from client.region import open_region
from distillation.plan_terms import encoding_of, weights_of
from distillation.study import Study
from privacy.ledger import Ledger
from privacy.plan import Plan
from protocol.config import Deadlines, Kem, Recovery, RoundConfig
from protocol.coordinator import CoordinatorRound
from protocol.envelope import Envelope, MessageKind
from protocol.messages import Collect
from protocol.transcript import PublishedSum, start_hash
from simulations.prepare import Bench, Prepared, prepare
from simulations.progress import Quiet
from simulations.regions import Parties, approve_everywhere, make_parties
from simulations.run_folder import Journal, RunFolder
from simulations.study_data import StudyData
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
    materials: dict[str, Materials] = field(default_factory=dict)

    @property
    def plan(self) -> Plan:
        """The plan."""
        return self.prepared.plan

    def approve_all(self) -> None:
        """Have every region approve the plan."""
        ready = approve_everywhere(
            self.run,
            self.study.regions,
            self.plan,
            load_teacher=lambda files: self.bench.teacher,
            clock=clock,
        )
        self.materials.update(ready)

    def round(self, number: int, *, attempt: int = 0, model_hash: bytes = b"") -> CoordinatorRound:
        """Open a round as the coordinator does."""
        from distillation.aggregate import ModelState

        weights = weights_of(self.plan)
        config = RoundConfig(
            plan_hash=bytes.fromhex(self.plan.hash),
            round_=number,
            attempt=attempt,
            model_hash=model_hash
            or start_hash(ModelState.start(self.prepared.start).hash, last_transcript=b""),
            layout_hash=self.prepared.part.layout.hash,
            registry_hash=self.parties.registry.hash,
            encoding=encoding_of(self.plan, self.prepared.part.layout),
            cohort=tuple(weights),
            weights=tuple(weights.values()),
            threshold=self.plan.sum.threshold,
            min_cohort=self.plan.sum.min_survivors,
            min_survivors=self.plan.sum.min_survivors,
            assumed_colluders=self.plan.sum.assumed_colluders,
            kem=Kem.X25519_ML_KEM_768,
            recovery=Recovery.SHARES,
            deadlines=Deadlines(advertise_s=1, masked_s=1),
        )
        return CoordinatorRound(
            config=config, server_identity=self.parties.server, registry=self.parties.registry
        )


def make(folder: Path, *, federation: str = "") -> World:
    """Prepare plan, artifacts and every region's folder; ``federation``: more keys of the study."""
    tiny = tiny_study.make(folder / "study")
    tiny.edit("[federation]", f"[federation]\n{federation}")
    return prepared_world(tiny.file, folder / "run")


def prepared_world(study_file: Path, out: Path) -> World:
    """Prepare plan, artifacts and every region's folder of a study."""
    study, run = Study.load(study_file), RunFolder(out)
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
            region = open_region(
                world.run.region(name),
                executor=trainer,
                clock=clock,
                materials=copy.deepcopy(world.materials.get(name)),  # training changes it
            )
            ledgers.append(region.ledger)
            opened[name] = region.handler
        yield opened
    for ledger in ledgers:
        ledger.close()


def ask(one: CoordinatorRound, region: RegionHandler, kind: MessageKind) -> Envelope:
    """Ask one region for its part of a stage, as the coordinator does, and return its answer."""
    uid = region.uid
    match kind:
        case MessageKind.TRAIN_START:
            request = Envelope(one.signed_config)
        case MessageKind.QUERY_ENCAPS:
            request = Envelope(one.roster())
        case MessageKind.QUERY_SHARES:
            request = Envelope(one.encaps_for(uid))
        case MessageKind.QUERY_ACCEPT:
            request = Envelope(one.shares_for(uid))
        case MessageKind.TRAIN_MASKED:
            request = Envelope(Collect(one.context).to_bytes(), (one.members(),))
        case MessageKind.QUERY_CONSENT:
            request = Envelope(one.survivors())
        case _:
            request = Envelope(one.consents())
    return region.handle(kind, request)


def take(one: CoordinatorRound, kind: MessageKind, answer: Envelope) -> None:
    """Give an answer to the coordinator's round."""
    match kind:
        case MessageKind.TRAIN_START:
            one.on_advert(answer.body)
        case MessageKind.QUERY_ENCAPS:
            one.on_encaps(answer.body)
        case MessageKind.QUERY_SHARES:
            one.on_shares(answer.body)
        case MessageKind.QUERY_ACCEPT:
            one.on_accepted(answer.body)
        case MessageKind.TRAIN_MASKED:
            one.on_masked(answer.body, answer.chunks)
        case MessageKind.QUERY_CONSENT:
            one.on_consent(answer.body)
        case _:
            one.on_unmask(answer.body)


STAGES = tuple(kind for kind in MessageKind if kind is not MessageKind.QUERY_SUM)


def play(
    one: CoordinatorRound,
    regions: Mapping[str, RegionHandler],
    *,
    first: MessageKind = MessageKind.TRAIN_START,
    until: MessageKind = MessageKind.QUERY_SUM,
) -> None:
    """Play the stages from ``first`` to the one before ``until`` with these regions."""
    ends = (*STAGES, MessageKind.QUERY_SUM)
    for kind in STAGES[STAGES.index(first) : ends.index(until)]:
        for region in regions.values():
            take(one, kind, ask(one, region, kind))


def publish(published: PublishedSum) -> Envelope:
    """Return a published sum as a region gets it."""
    return Envelope(published.transcript.to_bytes(), published.chunks())
