"""Replies are yielded as they come; what does not come, or cannot be read, is named by node."""

from collections.abc import Iterable

import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Error, Message, MetricRecord, RecordDict
from flwr.supercore.task_identity import TaskIdentity

from protocol.envelope import Envelope, MessageKind
from server.flower_adapter import FlowerTransport, TransportError
from simulations.grid import LocalGrid


class _Scripted(LocalGrid):
    """A grid whose replies are given."""

    def __init__(
        self, replies: dict[int, RecordDict | Error | None], *, unstored: Iterable[int] = ()
    ) -> None:
        super().__init__({})
        self._script, self._unstored = replies, set(unstored)
        self._waiting: dict[str, Message] = {}
        self.sent: list[Message] = []

    def get_node_ids(self) -> Iterable[int]:
        return reversed(self._script)

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        names = []
        for message in messages:
            self.sent.append(message)
            message.metadata.__dict__["_message_id"] = f"to-{message.metadata.dst_node_id}"
            names.append(message.metadata.message_id)
            if message.metadata.dst_node_id in self._unstored:
                names[-1] = ""
            reply = self._script[message.metadata.dst_node_id]
            if reply is not None:
                self._waiting[names[-1]] = Message(reply, reply_to=message)
        return names

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        return [self._waiting.pop(name) for name in message_ids if name in self._waiting]


@pytest.fixture(autouse=True)
def _task() -> None:
    TaskIdentity.task_id = TaskIdentity.run_id = TaskIdentity.node_id = 1


def _good(body: bytes) -> RecordDict:
    return RecordDict({"m": ConfigRecord({"m": body})})


def test_each_node_is_answered_for_exactly_once() -> None:
    """A reply, an error, silence and nonsense, each under its own node."""
    grid = _Scripted(
        {
            7: _good(b"seven"),
            8: Error(5, "gone"),
            9: None,
            10: RecordDict({"m": ConfigRecord({"m": "text"})}),
            11: RecordDict({"m": ConfigRecord({"m": b"x"}), "n": MetricRecord({"n": 1})}),
        }
    )
    now = iter(range(100))
    transport = FlowerTransport(grid, clock=lambda: next(now), sleep=lambda seconds: None)
    asked = dict.fromkeys(transport.nodes(), Envelope(b"question"))
    replies = list(transport.exchange(MessageKind.TRAIN_START, asked, 3))

    assert dict(replies) == {
        7: Envelope(b"seven"),
        8: TransportError(8, "error 5"),
        9: TransportError(9, "deadline"),
        10: TransportError(10, "malformed"),
        11: TransportError(11, "malformed"),
    }
    assert len(replies) == 5


def test_a_message_outlives_the_wait_by_little() -> None:
    """Its time to live is explicit, so that a late node does not pick up an old round."""
    grid = _Scripted({7: _good(b"x")})
    list(FlowerTransport(grid).exchange(MessageKind.TRAIN_START, {7: Envelope(b"q")}, 10))

    assert 10 <= grid.sent[0].metadata.ttl <= 60


class _TooLarge(_Scripted):
    """A SuperLink that takes none of it: Flower's grid then gives no ids at all."""

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        return []


def _ask(grid: LocalGrid, nodes: Iterable[int]) -> list[tuple[int, Envelope | TransportError]]:
    now = iter(range(100))
    transport = FlowerTransport(grid, clock=lambda: next(now), sleep=lambda seconds: None)
    requests = dict.fromkeys(nodes, Envelope(b"question"))
    return list(transport.exchange(MessageKind.TRAIN_START, requests, 3))


def test_nodes_that_left_before_the_push_are_named_at_once() -> None:
    """The SuperLink stores nothing for them and gives each the same empty id."""
    replies = _ask(_Scripted({7: _good(b"x"), 8: None, 9: None}, unstored=[8, 9]), [7, 8, 9])

    assert len(replies) == 3
    assert dict(replies) == {
        7: Envelope(b"x"),
        8: TransportError(8, "undelivered"),
        9: TransportError(9, "undelivered"),
    }


def test_a_push_that_fails_as_a_whole_names_every_node() -> None:
    """No id for any message is the same loss for all."""
    assert _ask(_TooLarge({7: None, 8: None}), [7, 8]) == [
        (7, TransportError(7, "undelivered")),
        (8, TransportError(8, "undelivered")),
    ]


def test_a_lost_nodes_error_is_its_own_though_it_comes_from_the_superlink() -> None:
    """The reply's source is the SuperLink, node 1; the message it answers says whose it is."""
    grid = _Scripted({8: Error(5, "gone")})
    original = grid.pull_messages

    def from_the_superlink(message_ids: Iterable[str]) -> Iterable[Message]:
        for reply in original(message_ids):
            reply.metadata.__dict__["_src_node_id"] = 1
            yield reply

    grid.pull_messages = from_the_superlink  # type: ignore[method-assign]

    assert _ask(grid, [8]) == [(8, TransportError(8, "error 5"))]


def _chunk(*, dtype: str = "uint8", stype: str = "raw", size: int = 3) -> Array:
    return Array(dtype, (size,), stype, b"abc")


@pytest.mark.parametrize(
    "chunks",
    [
        ConfigRecord({"aside": "text"}),
        MetricRecord({"n": 1}),
        ArrayRecord(),
        ArrayRecord({"aside": _chunk()}),
        ArrayRecord({"00000001": _chunk()}),
        ArrayRecord({"00000000": _chunk(dtype="float32")}),
        ArrayRecord({"00000000": _chunk(stype="numpy.ndarray")}),
        ArrayRecord({"00000000": _chunk(size=7)}),
    ],
)
def test_anything_undeclared_beside_a_reply_is_malformed(
    chunks: ArrayRecord | ConfigRecord | MetricRecord,
) -> None:
    """Other records, names or forms of a chunk are not read around."""
    grid = _Scripted({7: RecordDict({"m": ConfigRecord({"m": b"x"}), "c": chunks})})

    assert _ask(grid, [7]) == [(7, TransportError(7, "malformed"))]
