"""The round loop over a transport without a network: the regions' handlers, called in turn."""

import json
from collections.abc import Callable, Iterator, Mapping

from client.errors import ClientError
from client.flower_adapter import code_of
from client.handler import RegionHandler
from distillation.aggregate import ModelState
from privacy.errors import PrivacyError
from protocol.config import Deadlines
from protocol.coordinator import CoordinatorRound
from protocol.envelope import Envelope, MessageKind
from protocol.errors import ProtocolError
from protocol.messages import Refusal
from server.flower_adapter import TransportError
from server.rounds import FinishedRound, RoundLoop, RunTerms
from tests.client import region_builder
from tests.client.region_builder import World

Reply = Envelope | TransportError
Change = Callable[[int, MessageKind, Envelope], Reply]


MASKED_S = 5


class Time:
    """Goes on only when somebody sleeps."""

    def __init__(self) -> None:
        self._now = 0.0

    def now(self) -> float:
        return self._now

    def sleep(self, seconds: float) -> None:
        self._now += seconds


class Direct:
    """A transport that calls the regions' handlers, and may change what they say."""

    def __init__(self, regions: list[RegionHandler], change: Change) -> None:
        self._regions, self._change = regions, change
        self.late = 0
        self.away: dict[int, int] = {}
        self.deadlines: list[tuple[MessageKind, float]] = []
        self.asked: list[tuple[int, MessageKind]] = []

    def nodes(self) -> tuple[int, ...]:
        if self.late:
            self.late -= 1
            return (0,)
        return tuple(range(len(self._regions)))

    def exchange(
        self, kind: MessageKind, requests: Mapping[int, Envelope], deadline_s: float
    ) -> Iterator[tuple[int, Reply]]:
        self.deadlines.append((kind, deadline_s))
        for node, request in requests.items():
            self.asked.append((node, kind))
            if self.away.get(node, 0):
                self.away[node] -= 1
                yield node, TransportError(node, "error 5")
            else:
                yield node, self._change(node, kind, _answer(self._regions[node], kind, request))


def _answer(region: RegionHandler, kind: MessageKind, request: Envelope) -> Envelope:
    """Return a region's answer; what it refuses leaves as a code, as in a deployment."""
    try:
        return region.handle(kind, request)
    except (ProtocolError, ClientError, PrivacyError) as error:
        return Envelope(Refusal(uid=region.uid, code=code_of(error)).to_bytes())


def run(
    world: World,
    change: Change,
    *,
    late: int = 0,
    away: int = 0,
    open_round: Callable[..., CoordinatorRound] = CoordinatorRound,
) -> tuple[list[FinishedRound], list[str]]:
    """Run all rounds; return them and the names of the transcript's events.

    Args:
        world: The run.
        change: What becomes of an answer.
        late: How often only one node is there when the coordinator looks.
        away: How many messages b does not get at the start.
        open_round: The server's state machine, or a lying one.
    """
    terms = RunTerms(
        plan=world.plan,
        layout=world.prepared.part.layout,
        registry=world.parties.registry,
        identity=world.parties.server,
        deadlines=Deadlines(
            advertise_s=5, encaps_s=5, shares_s=5, masked_s=MASKED_S, consent_s=5, unmask_s=5
        ),
        open_round=open_round,
    )
    with region_builder.handlers(world) as regions:
        transport = Direct(list(regions.values()), change)
        transport.late, transport.away = late, {1: away}
        start, time = ModelState.start(world.prepared.start), Time()
        loop = RoundLoop(
            terms, transport, world.run.root, start=start, clock=time.now, sleep=time.sleep
        )
        finished = list(loop.run())
    lines = (world.run.root / "transcript.jsonl").read_text().splitlines()
    return finished, [json.loads(line)["event"] for line in lines]


def honest(node: int, kind: MessageKind, reply: Envelope) -> Reply:
    """Change nothing."""
    return reply
