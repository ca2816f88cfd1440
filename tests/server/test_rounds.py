"""The round loop goes on past faulty, late and absent regions, and stops when it must."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from client.handler import RegionHandler
from distillation.aggregate import ModelState
from protocol.config import Deadlines
from protocol.envelope import Envelope, MessageKind
from protocol.errors import AbortCode
from protocol.identity import region_uid
from protocol.messages import Masked, Pending, Refusal
from server.errors import RunFailedError
from server.flower_adapter import TransportError
from server.rounds import FinishedRound, RoundLoop, RunTerms
from tests.client import region_builder
from tests.client.region_builder import World

Reply = Envelope | TransportError
Change = Callable[[int, MessageKind, Envelope], Reply]


_MASKED_S = 5


class _Time:
    """Goes on only when somebody sleeps."""

    def __init__(self) -> None:
        self._now = 0.0

    def now(self) -> float:
        return self._now

    def sleep(self, seconds: float) -> None:
        self._now += seconds


class _Direct:
    """A transport that calls the regions' handlers, and may change what they say."""

    def __init__(self, regions: list[RegionHandler], change: Change) -> None:
        self._regions, self._change = regions, change
        self.late = 0
        self.deadlines: list[tuple[MessageKind, float]] = []

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
            yield node, self._change(node, kind, self._regions[node].handle(kind, request))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = region_builder.make(tmp_path_factory.mktemp("world"))
    world.approve_all()
    return world


@pytest.fixture
def world(prepared: World, tmp_path: Path) -> World:
    return region_builder.fresh(prepared, tmp_path / "run")


def _run(world: World, change: Change, *, late: int = 0) -> tuple[list[FinishedRound], list[str]]:
    """Run all rounds; return them and the names of the transcript's events."""
    terms = RunTerms(
        plan=world.plan,
        layout=world.prepared.part.layout,
        registry=world.parties.registry,
        identity=world.parties.server,
        deadlines=Deadlines(advertise_s=5, encaps_s=5, masked_s=_MASKED_S),
    )
    with region_builder.handlers(world) as regions:
        transport = _Direct(list(regions.values()), change)
        transport.late = late
        start, time = ModelState.start(world.prepared.start), _Time()
        loop = RoundLoop(
            terms, transport, world.run.root, start=start, clock=time.now, sleep=time.sleep
        )
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


@pytest.mark.parametrize("kind", [MessageKind.TRAIN_START, MessageKind.TRAIN_MASKED])
def test_a_coordinator_that_died_in_a_round_goes_on_with_the_next_attempt(
    world: World, kind: MessageKind
) -> None:
    """Its folder says which; no region is asked twice for one attempt, and the run finishes."""

    def die(reply: Envelope) -> Reply:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _run(world, _once(kind, die))
    finished, events = _run(world, _honest)
    lines = (world.run.root / "transcript.jsonl").read_text().splitlines()
    opened = [found["context"] for line in lines if (found := json.loads(line)).get("signed")]

    assert [one.round_ for one in finished] == [0, 1, 2]
    assert len(set(opened)) == len(opened) == 4
    assert "void" not in events
    assert events.count("left") == 0


def test_a_finished_run_has_no_round_left(world: World) -> None:
    """Opened again, it does nothing; regions are not even asked."""
    _run(world, _honest)

    assert _run(world, lambda *sent: pytest.fail("a region was asked"))[0] == []


def test_a_lost_region_is_asked_seldom_and_never_past_the_deadline(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its errors come at once: the coordinator waits longer each time, within one deadline."""
    transports: list[_Direct] = []
    original = _Direct.__init__

    def remembering(self: _Direct, regions: list[RegionHandler], change: Change) -> None:
        original(self, regions, change)
        transports.append(self)

    def undelivered(node: int, kind: MessageKind, reply: Envelope) -> Reply:
        lost = node == 1 and kind is MessageKind.TRAIN_MASKED
        return TransportError(node, "undelivered") if lost else reply

    monkeypatch.setattr(_Direct, "__init__", remembering)
    with pytest.raises(RunFailedError, match="b"):
        _run(world, undelivered)
    (transport,) = transports
    asked = [limit for kind, limit in transport.deadlines if kind is MessageKind.TRAIN_MASKED]

    assert len(asked) <= 3 * 8  # three attempts of five seconds: 0.05 s, 0.1 s, 0.2 s, …
    assert max(asked) <= _MASKED_S + 1e-6  # the clock is a float
    assert min(asked) < _MASKED_S / 2


def test_a_region_that_is_never_ready_ends_the_run_by_the_clock(world: World) -> None:
    """It is asked again and again until the deadline, three times over, and then named."""

    def pending(node: int, kind: MessageKind, reply: Envelope) -> Reply:
        if node != 1 or kind is not MessageKind.TRAIN_MASKED:
            return reply
        return Envelope(Pending(Masked.from_bytes(reply.body).context).to_bytes())

    with pytest.raises(RunFailedError, match="b"):
        _run(world, pending)


@pytest.mark.parametrize(
    ("kind", "voids"),
    [
        (MessageKind.TRAIN_START, 1),
        (MessageKind.QUERY_ENCAPS, 0),  # its vector may still come
        (MessageKind.TRAIN_MASKED, 1),
    ],
)
def test_a_region_that_refuses_is_on_record_by_its_code(
    world: World, kind: MessageKind, voids: int
) -> None:
    """The coordinator learns a fixed word, and starts another attempt where it must."""
    refusal = Refusal(uid=region_uid("b"), code=AbortCode.REFUSED_LOCALLY).to_bytes()
    finished, events = _run(world, _once(kind, lambda reply: Envelope(refusal)))

    assert len(finished) == 3
    assert events.count("left") == 1
    assert events.count("void") == voids


def test_a_region_cannot_speak_for_another(world: World) -> None:
    """A node that repeats another's advert is refused; the round waits for the real one."""
    adverts: list[Envelope] = []

    def echo(node: int, kind: MessageKind, reply: Envelope) -> Reply:
        if kind is not MessageKind.TRAIN_START or node > 1 or len(adverts) == 2:
            return reply
        adverts.append(reply)
        return adverts[0]

    finished, events = _run(world, echo)

    assert len(finished) == 3
    assert events.count("refused") == 1
    assert events.count("void") == 1


def test_the_coordinator_waits_for_regions_that_come_late(world: World) -> None:
    """Nodes that join within the deadline are not a void round."""
    _, events = _run(world, _honest, late=3)

    assert "void" not in events
