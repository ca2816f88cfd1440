"""The coordinator's edge to Flower: push to all, take replies as they come, stop at a deadline.

Flower's own ``send_and_receive`` sleeps seconds between polls and keeps every reply in memory;
here each is yielded on arrival, matched by the message that it answers (a lost node's error comes
from the SuperLink's id, not from its own).
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from flwr.app import Array, ArrayRecord, ConfigRecord, Message, RecordDict
from flwr.serverapp import Grid

from protocol.envelope import Envelope, MessageKind
from protocol.errors import MalformedMessageError

_MESSAGE, _CHUNKS = "m", "c"
_POLL_S, _LONGEST_POLL_S = 0.01, 0.5
_TTL_MARGIN_S = 30.0
"""A message stays valid this much longer than the coordinator waits; then no node picks it up."""


@dataclass(frozen=True, slots=True)
class TransportError:
    """A node gave no reply that can be read.

    Attributes:
        node: Which.
        reason: ``undelivered``, ``deadline``, ``error N`` with Flower's code, or ``malformed``.
    """

    node: int
    reason: str


class Transport(Protocol):
    """How the coordinator reaches its regions."""

    def nodes(self) -> tuple[int, ...]:
        """Return the nodes that are there now."""
        ...

    def exchange(
        self, kind: MessageKind, requests: Mapping[int, Envelope], deadline_s: float
    ) -> Iterator[tuple[int, Envelope | TransportError]]:
        """Send a request to each node and yield each reply, or what came instead, once."""
        ...


class FlowerTransport:
    """A `Transport` over a Flower `Grid`."""

    def __init__(
        self,
        grid: Grid,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._grid, self._clock, self._sleep = grid, clock, sleep

    def nodes(self) -> tuple[int, ...]:
        """Return the nodes that the SuperLink knows as online, ascending."""
        return tuple(sorted(self._grid.get_node_ids()))

    def exchange(
        self, kind: MessageKind, requests: Mapping[int, Envelope], deadline_s: float
    ) -> Iterator[tuple[int, Envelope | TransportError]]:
        """Send all requests, then yield replies in the order of their arrival."""
        messages = [
            Message(_write(request), node, kind.value, ttl=deadline_s + _TTL_MARGIN_S)
            for node, request in requests.items()
        ]
        # A message that the SuperLink did not store has an empty id; with none stored, no id comes.
        pushed = list(self._grid.push_messages(messages)) or [""] * len(messages)
        until = self._clock() + deadline_s
        sent = list(zip(pushed, requests, strict=True))
        waiting = {name: node for name, node in sent if name}
        yield from ((node, TransportError(node, "undelivered")) for name, node in sent if not name)
        pause = _POLL_S
        while waiting:
            pause = min(2 * pause, _LONGEST_POLL_S)
            for reply in self._grid.pull_messages(list(waiting)):
                node = waiting.pop(reply.metadata.reply_to_message_id, None)
                if node is not None:
                    pause = _POLL_S
                    yield node, _answer(node, reply)
            if waiting and self._clock() >= until:
                break
            if waiting:
                self._sleep(pause)
        for node in waiting.values():
            yield node, TransportError(node, "deadline")


def _answer(node: int, reply: Message) -> Envelope | TransportError:
    if reply.has_error():
        return TransportError(node, f"error {reply.error.code}")
    try:
        return _read(reply.content)
    except MalformedMessageError:
        return TransportError(node, "malformed")


def _read(content: RecordDict) -> Envelope:
    """Read the two declared records.

    Raises:
        MalformedMessageError: If there is anything else.
    """
    record = content.config_records.get(_MESSAGE, ConfigRecord())
    body = record.get(_MESSAGE)
    if set(content) - {_MESSAGE, _CHUNKS} or list(record) != [_MESSAGE]:
        raise MalformedMessageError("expected one message and its chunks, got other records")
    if not isinstance(body, bytes):
        raise MalformedMessageError(f"expected the message as bytes, got {type(body).__name__}")
    return Envelope(body, _read_chunks(content) if _CHUNKS in content else ())


def _read_chunks(content: RecordDict) -> tuple[bytes, ...]:
    arrays = content.array_records.get(_CHUNKS, ArrayRecord())
    if not arrays or list(arrays) != [f"{number:08d}" for number in range(len(arrays))]:
        raise MalformedMessageError("expected one or more chunks, numbered in order from 0")
    for array in arrays.values():
        if (array.dtype, tuple(array.shape), array.stype) != ("uint8", (len(array.data),), "raw"):
            raise MalformedMessageError("expected each chunk as raw bytes of the stated length")
    return tuple(array.data for array in arrays.values())


def _write(request: Envelope) -> RecordDict:
    content = RecordDict({_MESSAGE: ConfigRecord({_MESSAGE: request.body})})
    if request.chunks:
        content[_CHUNKS] = ArrayRecord(
            {
                f"{number:08d}": Array("uint8", (len(chunk),), "raw", bytes(chunk))
                for number, chunk in enumerate(request.chunks)
            }
        )
    return content
