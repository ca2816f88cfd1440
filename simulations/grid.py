"""A Flower `Grid` in one process: the real ClientApps, without a SuperLink.

Each node has one worker that takes one message at a time, as a SuperNode does, and messages are
copied on the way, so that nothing is shared. A fault can be injected where real regions fail:
before a message is handled, or after, when the reply is lost. An app that raises ends the
simulation: a region's never does, so it is a bug, and not to be hidden behind an error reply.
"""

import itertools
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from enum import StrEnum

from flwr.app import Context, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.common.serde import message_from_proto, message_to_proto
from flwr.serverapp import Grid
from flwr.supercore.run import Run
from flwr.supercore.task_identity import TaskIdentity

from simulations.errors import SimulationError

_RUN_ID, _SERVER_NODE = 1, 1


class Moment(StrEnum):
    """When a fault strikes."""

    BEFORE = "before"
    AFTER = "after"


Fault = Callable[[int, str, Moment], bool]
"""Told node, message type and moment; true: this message, or its reply, is lost.

It runs in the node's worker: one that sleeps makes the node late, and one that remembers can keep
it silent from some moment on, as a killed region is.
"""


def no_fault(node: int, message_type: str, moment: Moment) -> bool:
    """Lose nothing."""
    return False


class LocalGrid(Grid):
    """All nodes in this process; use it as a context manager."""

    def __init__(
        self,
        apps: Mapping[int, ClientApp],
        *,
        fault: Fault = no_fault,
        node_configs: Mapping[int, Mapping[str, str]] | None = None,
    ) -> None:
        """Start one worker a node.

        Args:
            apps: The ClientApp of each node, by node id; ids above 1.
            fault: What is lost.
            node_configs: What each node's own configuration says.
        """
        # Message() reads the identity of the running task, which a SuperLink would have set.
        TaskIdentity.task_id = TaskIdentity.run_id = _RUN_ID
        TaskIdentity.node_id = _SERVER_NODE
        self._apps, self._fault = dict(apps), fault
        self._contexts = {
            node: Context(
                _RUN_ID,
                node,
                node_config=dict((node_configs or {}).get(node, {})),
                state=RecordDict(),
                run_config={},
            )
            for node in self._apps
        }
        self._workers = {node: ThreadPoolExecutor(1, f"node-{node}") for node in self._apps}
        self._replies: dict[str, Future[Message | None]] = {}
        self._ids = itertools.count(1)
        self._lock = threading.Lock()

    def __enter__(self) -> "LocalGrid":
        return self

    def __exit__(self, *error: object) -> None:
        for worker in self._workers.values():
            worker.shutdown(wait=True, cancel_futures=True)

    def set_run(self, run: Run) -> None:
        """Do nothing: there is one run."""

    @property
    def run(self) -> Run:
        """Run information, of which a simulation has none."""
        return Run.create_empty(_RUN_ID)

    def create_message(
        self,
        content: RecordDict,
        message_type: str,
        dst_node_id: int,
        group_id: str,
        ttl: float | None = None,
    ) -> Message:
        """Refuse: Flower deprecated it."""
        raise SimulationError("create_message is deprecated: make a flwr.app.Message")

    def get_node_ids(self) -> Iterable[int]:
        """Return all nodes."""
        return tuple(self._apps)

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Give each message to its node's worker; return their ids, in order.

        The id is empty where there is no such node, as a SuperLink says that it stored nothing.
        """
        ids = []
        for message in messages:
            node = message.metadata.dst_node_id
            if node not in self._workers:
                ids.append("")
                continue
            with self._lock:
                name = f"message-{next(self._ids)}"
            sent = _with_id(message, name)
            self._replies[name] = self._workers[node].submit(self._deliver, node, sent)
            ids.append(name)
        return ids

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Return the replies that are there, each once."""
        ready = []
        for name in message_ids:
            future = self._replies.get(name)
            if future is not None and future.done():
                del self._replies[name]
                reply = future.result()
                if reply is not None:
                    ready.append(reply)
        return ready

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        """Refuse: the coordinator pushes and pulls, to fold each reply as it comes."""
        raise SimulationError("expected push_messages and pull_messages")

    def _deliver(self, node: int, message: Message) -> Message | None:
        kind = message.metadata.message_type
        if self._fault(node, kind, Moment.BEFORE):
            return None
        reply = self._apps[node](message, self._contexts[node])
        if self._fault(node, kind, Moment.AFTER):
            return None
        return _with_id(reply, f"{message.metadata.message_id}-reply")


def _with_id(message: Message, name: str) -> Message:
    """Return a copy of the message, through its wire form, under the id that it got there."""
    sent = message_to_proto(message)
    sent.metadata.message_id = name
    return message_from_proto(sent)
