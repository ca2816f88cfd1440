"""The executor's edge to a SuperNode's Runtime API: where the region uses Flower's private parts.

Flower 1.41 has no public way to answer a SuperNode's tasks from a process of one's own, so this
file calls what ``flwr-clientapp`` calls. ``tests/client/test_executor.py`` serves the real Runtime
API to it and names every private part, so that a release of Flower that moves one fails there.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address

import httpx
from flwr.app import Context, Error, Message
from flwr.common.constant import ErrorCode, SubStatus
from flwr.proto.runtime_pb2 import AcquireTaskRequest, SendTaskHeartbeatRequest
from flwr.supercore.constant import TaskType
from flwr.supercore.heartbeat import HeartbeatSender
from flwr.supercore.interceptors import (
    RuntimeTokenHttpInterceptor,
    RuntimeVersionHttpInterceptor,
    SuperExecAuthHttpInterceptor,
)
from flwr.supercore.protobuf.client import ProtobufClientInterceptor
from flwr.supercore.runtime import RuntimeHttpClient
from flwr.supernode.runtime.run_clientapp import pull_task_input, push_message, push_task_output

from client.errors import ClientError

_ACQUIRE = "/flwr.proto.Runtime/AcquireTask"
REASONS = {
    ErrorCode.INVALID_FAB: "the FAB is not on this region's allow-list",
    ErrorCode.CLIENT_APP_RAISED_EXCEPTION: "the region's app failed; what happened stays there",
}
"""All that the coordinator is ever told in an error reply: fixed texts, nothing of the region."""


class RuntimeApiError(ClientError):
    """The SuperNode's Runtime API cannot be used as it was asked for."""


@dataclass(frozen=True, slots=True)
class Task:
    """One message that waits for an answer.

    Attributes:
        message: The coordinator's message.
        context: Flower's context of this node.
        fab_sha256: The hash of the bundle that the SuperLink pushed, computed here; the bundle
            itself is dropped unread.
    """

    message: Message
    context: Context
    fab_sha256: str


class RunningTask:
    """A task that was acquired; at its end it must be finished once, whatever happened."""

    def __init__(self, client: RuntimeHttpClient) -> None:
        self._client = client
        self._context: Context | None = None
        self._status = SubStatus.FAILED

    def pull(self) -> Task:
        """Fetch the message and hash the bundle."""
        message, context, _, fab = pull_task_input(self._client)
        self._context = context
        return Task(message, context, hashlib.sha256(fab.content).hexdigest())

    def reply(self, task: Task, reply: Message) -> None:
        """Send the app's own reply."""
        push_message(self._client, reply, task.context)
        self._status = SubStatus.COMPLETED

    def refuse(self, task: Task, code: int) -> None:
        """Send an error reply: a code of `REASONS` and its fixed text."""
        error = Message(Error(code, REASONS[code]), reply_to=task.message)
        push_message(self._client, error, task.context)

    def finish(self) -> None:
        """Give the task back, with no more said than whether it was answered."""
        push_task_output(self._client, self._context, self._status, "")


class Runtime:
    """The Runtime API of the SuperNode beside this process; use it as a context manager."""

    def __init__(self, address: str, *, secret: bytes) -> None:
        """Make the client; nothing is sent yet.

        Args:
            address: ``HOST:PORT`` of the SuperNode's Runtime API, on the loopback interface.
            secret: What the SuperNode was started with, as ``--superexec-auth-secret-file``.

        Raises:
            RuntimeApiError: If the address is not on this machine, or the secret is empty.
        """
        _require_loopback(address)
        if not secret:
            raise RuntimeApiError("expected the SuperNode's secret, the file is empty")
        self._address = address
        self._acquiring = self._client(
            "SuperExec",
            SuperExecAuthHttpInterceptor(
                master_secret=secret, protected_methods=frozenset({_ACQUIRE})
            ),
        )

    def __enter__(self) -> "Runtime":
        return self

    def __exit__(self, *error: object) -> None:
        self._acquiring.close()

    def acquire(self) -> str | None:
        """Return the token of the next task, or None if nothing waits or the SuperNode is away.

        Raises:
            RuntimeApiError: If the SuperNode refuses this process.
        """
        try:
            answer = self._acquiring.AcquireTask(
                AcquireTaskRequest(supported_task_types=[TaskType.CLIENT_APP])
            )
        except httpx.TransportError:
            return None
        except httpx.HTTPStatusError as error:
            raise RuntimeApiError(
                f"the SuperNode at {self._address} refuses this executor "
                f"({error.response.status_code}): were both started with the same secret file, "
                "and the SuperNode with --isolation process?"
            ) from error
        return answer.token if answer.HasField("task") and answer.token else None

    @contextmanager
    def running(self, token: str) -> Iterator[RunningTask]:
        """Hold a task: its heartbeat beats until it is finished.

        Raises:
            httpx.HTTPError: If the SuperNode went away meanwhile.
        """
        with self._client("flwr-clientapp", RuntimeTokenHttpInterceptor(token)) as client:
            heartbeat = HeartbeatSender(lambda: _beat(client))
            heartbeat.start()
            task = RunningTask(client)
            try:
                yield task
            finally:
                task.finish()
                heartbeat.stop()

    def _client(self, component: str, auth: ProtobufClientInterceptor) -> RuntimeHttpClient:
        # No retry invoker: Flower's own ends the process by SIGINT when a token has expired, and
        # this process keeps the round in memory. Over loopback a retry gains nothing.
        return RuntimeHttpClient.from_server_address(
            server_address=self._address,
            insecure=True,
            root_certificates=None,
            interceptors=[RuntimeVersionHttpInterceptor(component_name=component), auth],
            retry_invoker=None,
        )


def _beat(client: RuntimeHttpClient) -> bool:
    """Beat once; a task that expired is noticed when its reply is pushed, not here."""
    try:
        client.SendTaskHeartbeat(SendTaskHeartbeatRequest())
    except httpx.TransportError:
        return False
    except httpx.HTTPStatusError:
        return True
    return True


def _require_loopback(address: str) -> None:
    """Refuse another machine's Runtime API: it is plain HTTP, and carries the region's replies."""
    host = address.rpartition(":")[0].strip("[]")
    try:
        local = ip_address(host).is_loopback
    except ValueError:
        local = host == "localhost"
    if not local:
        raise RuntimeApiError(
            f"expected a loopback address such as 127.0.0.1:9094, got {address}: the executor "
            "must run on the SuperNode's machine"
        )
