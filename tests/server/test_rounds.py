"""The round loop goes on past faulty, late and absent regions, and stops when it must."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from client.handler import RegionHandler
from distillation.aggregate import ModelState
from protocol.config import Deadlines
from protocol.envelope import Envelope, MessageKind
from server.errors import RunFailedError
from server.flower_adapter import TransportError
from server.rounds import FinishedRound, RoundLoop, RunTerms
from tests.client import region_builder
from tests.client.region_builder import World

Reply = Envelope | TransportError
Change = Callable[[int, MessageKind, Envelope], Reply]


class _Direct:
    """A transport that calls the regions' handlers, and may change what they say."""

    def __init__(self, regions: list[RegionHandler], change: Change) -> None:
        self._regions, self._change = regions, change
        self.late = 0

    def nodes(self) -> tuple[int, ...]:
        if self.late:
            self.late -= 1
            return (0,)
        return tuple(range(len(self._regions)))

    def exchange(
        self, kind: MessageKind, requests: Mapping[int, Envelope], deadline_s: float
    ) -> Iterator[tuple[int, Reply]]:
        for node, request in requests.items():
            yield node, self._change(node, kind, self._regions[node].handle(kind, request))


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = region_builder.make(tmp_path)
    world.approve_all()
    return world


def _run(world: World, change: Change, *, late: int = 0) -> tuple[list[FinishedRound], list[str]]:
    """Run all rounds; return them and the names of the transcript's events."""
    terms = RunTerms(
        plan=world.plan,
        layout=world.prepared.part.layout,
        registry=world.parties.registry,
        identity=world.parties.server,
        deadlines=Deadlines(advertise_s=5, encaps_s=5, masked_s=5),
    )
    with region_builder.handlers(world) as regions:
        transport = _Direct(list(regions.values()), change)
        transport.late = late
        start = ModelState.start(world.prepared.start)
        loop = RoundLoop(terms, transport, world.run.root, start=start, sleep=lambda s: None)
        finished = list(loop.run())
    lines = (world.run.root / "transcript.jsonl").read_text().splitlines()
    return finished, [json.loads(line)["event"] for line in lines]


def _honest(node: int, kind: MessageKind, reply: Envelope) -> Reply:
    return reply


def _once(strike: MessageKind, what: Callable[[Envelope], Reply]) -> Change:
    struck: list[int] = []

    def change(node: int, kind: MessageKind, reply: Envelope) -> Reply:
        if node == 1 and kind is strike and not struck:
            struck.append(node)
            return what(reply)
        return reply

    return change


def test_honest_regions_finish_every_round(world: World) -> None:
    """Three rounds, each with every region's bytes, none void."""
    finished, events = _run(world, _honest)

    assert [one.round_ for one in finished] == [0, 1, 2]
    assert all(len(one.bytes_in) == 5 for one in finished)
    assert "void" not in events


@pytest.mark.parametrize("kind", [MessageKind.TRAIN_START, MessageKind.TRAIN_MASKED])
@pytest.mark.parametrize(
    "what",
    [
        lambda reply: Envelope(b"garbage"),
        lambda reply: Envelope(reply.body[:-1] + b"x", reply.chunks),
    ],
    ids=["garbage", "bad signature"],
)
def test_a_faulty_region_costs_an_attempt(
    world: World, kind: MessageKind, what: Callable[[Envelope], Reply]
) -> None:
    """The attempt is void, the next one gives the sum, and the run finishes."""
    finished, events = _run(world, _once(kind, what))

    assert len(finished) == 3
    assert events.count("void") == 1


def test_a_lost_vector_is_asked_for_again(world: World) -> None:
    """The region sends the same bytes once more, within the same attempt."""
    lost = _once(MessageKind.TRAIN_MASKED, lambda reply: TransportError(1, "error 5"))
    finished, events = _run(world, lost)

    assert len(finished) == 3
    assert "void" not in events
    assert "lost" in events


def test_a_vector_with_a_changed_byte_never_reaches_the_sum(world: World) -> None:
    """Its chunk is not the signed one: the round is void rather than wrong."""

    def flip(reply: Envelope) -> Envelope:
        first = reply.chunks[0]
        return Envelope(reply.body, (bytes([first[0] ^ 1]) + first[1:], *reply.chunks[1:]))

    _, events = _run(world, _once(MessageKind.TRAIN_MASKED, flip))

    assert events.count("void") == 1
    assert "refused" in events


def test_a_region_that_never_answers_ends_the_run(world: World) -> None:
    """After three attempts the coordinator stops and names who is missing."""

    def silent(node: int, kind: MessageKind, reply: Envelope) -> Reply:
        return TransportError(node, "deadline") if node == 2 else reply

    with pytest.raises(RunFailedError, match="c"):
        _run(world, silent)


def test_the_coordinator_waits_for_regions_that_come_late(world: World) -> None:
    """Nodes that join within the deadline are not a void round."""
    _, events = _run(world, _honest, late=3)

    assert "void" not in events
