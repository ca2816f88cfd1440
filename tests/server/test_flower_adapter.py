"""Replies are yielded as they come; what does not come, or cannot be read, is named by node."""

from collections.abc import Iterable

import pytest
from flwr.app import ConfigRecord, Error, Message, MetricRecord, RecordDict
from flwr.supercore.task_identity import TaskIdentity

from protocol.envelope import Envelope, MessageKind
from server.flower_adapter import FlowerTransport, TransportError
from simulations.grid import LocalGrid


class _Scripted(LocalGrid):
    """A grid whose replies are given."""

    def __init__(self, replies: dict[int, RecordDict | Error | None]) -> None:
        super().__init__({})
        self._script = replies
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
