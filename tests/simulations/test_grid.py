"""The in-process grid behaves as a SuperLink does, where the coordinator can tell."""

import time
from collections.abc import Callable, Iterator

import pytest
from flwr.app import ConfigRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp
from hypothesis import given, settings
from hypothesis import strategies as st

from client.flower_adapter import make_client_app
from protocol.envelope import Envelope, MessageKind
from server.flower_adapter import FlowerTransport, TransportError
from simulations.grid import LocalGrid, Moment


class _Echo:
    """Answers with what came, and keeps it."""

    uid = bytes(16)

    def __init__(self) -> None:
        self.seen: list[Envelope] = []

    def handle(self, kind: MessageKind, request: Envelope) -> Envelope:
        self.seen.append(request)
        return Envelope(request.body + kind.value.encode(), request.chunks)


@pytest.fixture
def echoes() -> dict[int, _Echo]:
    return {2: _Echo(), 3: _Echo(), 4: _Echo()}


@pytest.fixture
def lost() -> set[tuple[int, Moment]]:
    return set()


@pytest.fixture
def transport(echoes: dict[int, _Echo], lost: set[tuple[int, Moment]]) -> Iterator[FlowerTransport]:
    apps = {node: make_client_app(_finds(echo), report=_fail) for node, echo in echoes.items()}
    with LocalGrid(apps, fault=lambda node, kind, moment: (node, moment) in lost) as grid:
        yield FlowerTransport(grid)


def _finds(echo: _Echo) -> Callable[[Context], _Echo]:
    return lambda context: echo


def _fail(context: Context, error: Exception) -> None:
    raise AssertionError(error)


def _ask(transport: FlowerTransport, seconds: float = 5.0) -> dict[int, Envelope | TransportError]:
    requests = {node: Envelope(bytes([node]), (b"one", b"two")) for node in transport.nodes()}
    return dict(transport.exchange(MessageKind.TRAIN_MASKED, requests, seconds))


def test_every_node_gets_its_own_message_and_answers(transport: FlowerTransport) -> None:
    """Bodies and chunks go there and back unchanged, each to its own node."""
    replies = _ask(transport)

    assert replies == {
        node: Envelope(bytes([node]) + b"train.masked", (b"one", b"two")) for node in (2, 3, 4)
    }


@pytest.mark.parametrize("moment", list(Moment))
def test_a_lost_message_costs_that_node_only(
    transport: FlowerTransport,
    echoes: dict[int, _Echo],
    lost: set[tuple[int, Moment]],
    moment: Moment,
) -> None:
    """Lost before or after it was handled: the coordinator sees a deadline, the others answer."""
    lost.add((3, moment))
    replies = _ask(transport, 0.3)

    assert replies[3] == TransportError(3, "deadline")
    assert isinstance(replies[2], Envelope)
    assert len(echoes[3].seen) == (moment is Moment.AFTER)


def test_nothing_is_shared_between_sender_and_receiver(
    transport: FlowerTransport, echoes: dict[int, _Echo]
) -> None:
    """What a node receives is a copy, as over a network."""
    chunk = bytes(range(200))
    list(transport.exchange(MessageKind.TRAIN_START, {2: Envelope(b"x", (chunk,))}, 5.0))

    assert echoes[2].seen[0].chunks[0] == chunk
    assert echoes[2].seen[0].chunks[0] is not chunk


_ENVELOPES = st.builds(
    Envelope, st.binary(max_size=64), st.lists(st.binary(max_size=64), max_size=4).map(tuple)
)


@settings(max_examples=25, deadline=None)
@given(sent=_ENVELOPES)
def test_any_envelope_crosses_and_comes_back(sent: Envelope) -> None:
    """The two adapters, which may not share code, agree on the wire: also on empty chunks."""
    app = make_client_app(_finds(_Echo()), report=_fail)
    with LocalGrid({2: app}) as grid:
        replies = dict(FlowerTransport(grid).exchange(MessageKind.TRAIN_MASKED, {2: sent}, 5))

    assert replies == {2: Envelope(sent.body + b"train.masked", sent.chunks)}


@pytest.mark.slow
def test_a_killed_region_is_silent_from_then_on(echoes: dict[int, _Echo]) -> None:
    """A fault with a memory: the node answers once, dies after the next, and handles no more."""
    heard: list[Moment] = []

    def killed(node: int, kind: str, moment: Moment) -> bool:
        if node != 3:
            return False
        heard.append(moment)
        return len(heard) > 3

    apps = {node: make_client_app(_finds(echo), report=_fail) for node, echo in echoes.items()}
    with LocalGrid(apps, fault=killed) as grid:
        transport = FlowerTransport(grid)
        replies = [_ask(transport, seconds)[3] for seconds in (5.0, 0.3, 0.3, 0.3)]

    assert isinstance(replies[0], Envelope)
    assert replies[1:] == [TransportError(3, "deadline")] * 3
    assert len(echoes[3].seen) == 2


def test_a_late_region_does_not_hold_up_the_others(echoes: dict[int, _Echo]) -> None:
    """A fault that sleeps: the replies come in the order of arrival, the late one last."""

    def late(node: int, kind: str, moment: Moment) -> bool:
        if node == 2 and moment is Moment.AFTER:
            time.sleep(0.2)
        return False

    apps = {node: make_client_app(_finds(echo), report=_fail) for node, echo in echoes.items()}
    with LocalGrid(apps, fault=late) as grid:
        replies = _ask(FlowerTransport(grid))

    assert list(replies)[-1] == 2
    assert all(isinstance(reply, Envelope) for reply in replies.values())


def test_a_late_reply_is_not_taken_for_the_next_one(echoes: dict[int, _Echo]) -> None:
    """What answers an abandoned message is dropped, even where the node is the same."""

    def slow(node: int, kind: str, moment: Moment) -> bool:
        if kind == "train.start":
            time.sleep(0.15)
        return False

    app = make_client_app(_finds(echoes[2]), report=_fail)
    with LocalGrid({2: app}, fault=slow) as grid:
        transport = FlowerTransport(grid)
        first = dict(transport.exchange(MessageKind.TRAIN_START, {2: Envelope(b"1")}, 0.01))
        second = dict(transport.exchange(MessageKind.QUERY_ENCAPS, {2: Envelope(b"2")}, 5.0))

    assert first == {2: TransportError(2, "deadline")}
    assert second == {2: Envelope(b"2query.encaps")}


def test_an_unknown_node_is_undelivered(transport: FlowerTransport) -> None:
    """As with a SuperLink, which stores no message for a node that it does not know."""
    requests = {2: Envelope(b"x"), 98: Envelope(b"x"), 99: Envelope(b"x")}
    replies = dict(transport.exchange(MessageKind.TRAIN_START, requests, 5.0))

    assert replies == {
        2: Envelope(b"xtrain.start"),
        98: TransportError(98, "undelivered"),
        99: TransportError(99, "undelivered"),
    }


def test_a_node_keeps_its_state_and_no_other_nodes() -> None:
    """One Context a node lives as long as the grid does."""
    app = ClientApp()

    @app.query("count")
    def count(message: Message, context: Context) -> Message:
        counted = context.state.config_records.setdefault("calls", ConfigRecord({"n": 0}))
        counted["n"] = int(str(counted["n"])) + context.node_id
        return Message(RecordDict({"calls": counted}), reply_to=message)

    seen: dict[int, list[object]] = {2: [], 3: []}
    with LocalGrid(dict.fromkeys(seen, app)) as grid:
        for _ in range(2):
            asked = [Message(RecordDict(), node, "query.count") for node in seen]
            waiting = set(grid.push_messages(asked))
            while waiting:
                for reply in grid.pull_messages(waiting):
                    waiting.discard(reply.metadata.reply_to_message_id)
                    calls = reply.content.config_records["calls"]["n"]
                    seen[reply.metadata.src_node_id].append(calls)

    assert seen == {2: [2, 4], 3: [3, 6]}


def test_an_app_that_raises_ends_the_simulation() -> None:
    """A bug of ours is not one more lost region."""
    with LocalGrid({2: ClientApp()}) as grid:
        transport = FlowerTransport(grid)
        with pytest.raises(ValueError, match="No train function"):
            dict(transport.exchange(MessageKind.TRAIN_START, {2: Envelope(b"x")}, 5.0))
