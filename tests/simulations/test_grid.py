"""The in-process grid behaves as a SuperLink does, where the coordinator can tell."""

from collections.abc import Callable, Iterator

import pytest
from flwr.app import Context

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
