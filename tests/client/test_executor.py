"""The pinned executor against Flower's real Runtime API, and the private names that it rests on.

When Flower moves one of its private parts, a test here fails; the fix is in
client/executor_runtime.py, and deploy/README.md says which release is in use.
"""

import importlib.metadata
import inspect
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import flwr.supercore.interceptors as interceptors
import pytest
from flwr.app import ConfigRecord, Context, Message, RecordDict
from flwr.common.constant import ErrorCode, SubStatus
from flwr.supercore.constant import TaskType
from flwr.supercore.heartbeat import HeartbeatSender
from flwr.supercore.runtime import RuntimeHttpClient
from flwr.supernode.runtime import run_clientapp

from client.executor import App, PinnedExecutor
from client.executor_runtime import REASONS, Runtime, RuntimeApiError
from tests.client import supernode_api
from tests.client.supernode_api import SECRET, SuperNode, sha256

# Flower's builder asks pathspec for a name that pathspec deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:GitWildMatchPattern:DeprecationWarning")


@dataclass(frozen=True, slots=True)
class Bench:
    """A SuperNode, a bundle that a SuperLink pushes, and where that bundle's code would show."""

    node: SuperNode
    pushed: bytes
    marker: Path
    flwr_home: Path
    runtime: Runtime
    said: list[str]

    def receive(self) -> None:
        """Bring one message under the pushed bundle."""
        content = RecordDict({"a": ConfigRecord({"number": 4})})
        self.node.receive(content, self.pushed)

    def executor(self, app: App, *, allowed: str | None = None) -> PinnedExecutor:
        """Return an executor of this app."""
        hashes = frozenset({allowed or sha256(self.pushed)})
        return PinnedExecutor(self.runtime, app, allowed=hashes, say=self.said.append)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setenv("FLWR_HOME", str(tmp_path / "flwr"))
    marker = tmp_path / "the pushed code ran"
    pushed = supernode_api.bundle(tmp_path / "pushed", marker=marker)
    with supernode_api.serve() as node, Runtime(node.address, secret=SECRET) as runtime:
        yield Bench(node, pushed, marker, tmp_path / "flwr", runtime, [])


def _doubles(message: Message, context: Context) -> Message:
    number = message.content["a"]["number"]
    assert isinstance(number, int)
    assert context.node_config == {"region-folder": "/region"}
    return Message(RecordDict({"a": ConfigRecord({"number": 2 * number})}), reply_to=message)


def _must_not_run(message: Message, context: Context) -> Message:
    raise AssertionError("the app was called")


def test_the_installed_app_answers_and_the_pushed_bundle_stays_data(bench: Bench) -> None:
    """Two messages, one app object; no byte of the bundle is imported or written anywhere."""
    executor = bench.executor(_doubles)
    for _ in range(2):
        bench.receive()
        assert executor.answer_next()
        (reply,) = bench.node.replies()
        assert reply.content is not None
        assert reply.content["a"]["number"] == 8
    assert not executor.answer_next()
    assert not bench.marker.exists()
    assert not (bench.flwr_home / "apps").exists()


def test_another_bundle_is_refused(bench: Bench) -> None:
    """The coordinator hears INVALID_FAB and a fixed text; the app is not even called."""
    executor = bench.executor(_must_not_run, allowed="0" * 64)
    bench.receive()

    assert executor.answer_next()
    (reply,) = bench.node.replies()
    assert reply.error is not None
    assert reply.error.code == ErrorCode.INVALID_FAB
    assert reply.error.reason == REASONS[ErrorCode.INVALID_FAB]
    assert not bench.marker.exists()
    assert any("refused" in line for line in bench.said)


def test_the_text_of_an_exception_never_leaves(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is on the region's own console; the reply holds a code and a fixed text."""

    def fails(message: Message, context: Context) -> Message:
        raise ValueError("row 17: somebody")

    bench.receive()
    assert bench.executor(fails).answer_next()

    (reply,) = bench.node.replies()
    assert reply.error is not None
    assert reply.error.code == ErrorCode.CLIENT_APP_RAISED_EXCEPTION
    assert reply.error.reason == REASONS[ErrorCode.CLIENT_APP_RAISED_EXCEPTION]
    assert "row 17" in capsys.readouterr().err
    assert "row 17" not in "".join(bench.said)


def test_a_stop_lets_the_message_under_way_be_answered(bench: Bench) -> None:
    """SIGTERM sets the event; the loop ends after the reply was handed over."""
    stopping = threading.Event()

    def answers_while_told_to_stop(message: Message, context: Context) -> Message:
        stopping.set()
        return _doubles(message, context)

    bench.receive()
    bench.executor(answers_while_told_to_stop).run(stopping)

    assert [reply.error for reply in bench.node.replies()] == [None]


def test_without_the_secret_nothing_is_handed_out(bench: Bench) -> None:
    """The SuperNode answers 401, and the executor says what to look at."""
    bench.receive()
    with Runtime(bench.node.address, secret=b"another secret") as runtime:
        executor = PinnedExecutor(
            runtime, _must_not_run, allowed=frozenset({"0" * 64}), say=bench.said.append
        )
        with pytest.raises(RuntimeApiError, match=r"\(401\).*secret"):
            executor.answer_next()


def test_a_supernode_that_is_away_is_waited_for() -> None:
    """Nothing listens yet: there is no message, and no error."""
    with supernode_api.serve() as gone:
        address = gone.address
    with Runtime(address, secret=SECRET) as runtime:
        assert runtime.acquire() is None


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: Runtime("10.0.0.7:9094", secret=SECRET), "loopback"),
        (lambda: Runtime("127.0.0.1:9094", secret=b""), "secret"),
        (lambda: _executor(frozenset()), "none"),
        (lambda: _executor(frozenset({"0" * 63})), "64"),
        (lambda: _executor(frozenset({"A" * 64})), "lower-case"),
    ],
)
def test_a_weaker_pin_is_refused(make: Callable[[], object], reason: str) -> None:
    """Another machine's SuperNode, no secret, or an allow-list that lists nothing."""
    with pytest.raises(RuntimeApiError, match=reason):
        make()


def _executor(allowed: frozenset[str]) -> PinnedExecutor:
    with Runtime("127.0.0.1:9094", secret=SECRET) as runtime:
        return PinnedExecutor(runtime, _must_not_run, allowed=allowed, say=print)


@pytest.mark.slow
def test_the_program_stops_cleanly_on_sigterm(tmp_path: Path) -> None:
    """It starts, waits for a SuperNode that is not there, and ends with status 0."""
    (tmp_path / "secret").write_bytes(SECRET)
    command = [sys.executable, "-m", "client.executor", "--runtime", "127.0.0.1:1"]
    command += ["--allow", "0" * 64, "--secret-file", str(tmp_path / "secret")]
    root = Path(__file__).resolve().parent.parent.parent
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(root)},
    ) as program:
        assert program.stdout is not None
        assert "ready" in program.stdout.readline()
        began = time.monotonic()
        program.send_signal(signal.SIGTERM)
        said, failed = program.communicate(timeout=60)
    assert program.returncode == 0
    assert said.endswith("stopped\n")
    assert failed == ""
    assert time.monotonic() - began < 10


def test_flower_is_the_release_whose_private_parts_are_used() -> None:
    """A new minor release is tried out before the range in pyproject.toml is widened."""
    assert importlib.metadata.version("flwr").startswith("1.41.")


def test_flowers_private_parts_are_where_they_were() -> None:
    """Names and signatures, one by one: whatever moved is named by the failure."""
    expected: dict[Callable[..., object], list[str]] = {
        run_clientapp.pull_task_input: ["client"],
        run_clientapp.push_message: ["client", "message", "context"],
        run_clientapp.push_task_output: ["client", "context", "sub_status", "details"],
        HeartbeatSender.__init__: ["self", "heartbeat_fn"],
        HeartbeatSender.start: ["self"],
        HeartbeatSender.stop: ["self"],
        interceptors.RuntimeTokenHttpInterceptor.__init__: ["self", "token"],
        RuntimeHttpClient.AcquireTask: ["self", "request"],
        RuntimeHttpClient.SendTaskHeartbeat: ["self", "request"],
        RuntimeHttpClient.__enter__: ["self"],
        RuntimeHttpClient.close: ["self"],
    }
    found = {function: list(inspect.signature(function).parameters) for function in expected}
    assert found == expected
    takes = inspect.signature(RuntimeHttpClient.from_server_address).parameters
    assert {
        "server_address",
        "insecure",
        "root_certificates",
        "interceptors",
        "retry_invoker",
    } <= set(takes)
    secret = inspect.signature(interceptors.SuperExecAuthHttpInterceptor).parameters
    assert {"master_secret", "protected_methods"} <= set(secret)
    assert (
        "component_name" in inspect.signature(interceptors.RuntimeVersionHttpInterceptor).parameters
    )
    assert (TaskType.CLIENT_APP, SubStatus.COMPLETED, SubStatus.FAILED) == (
        "flwr-clientapp",
        "completed",
        "failed",
    )
    assert (ErrorCode.INVALID_FAB, ErrorCode.CLIENT_APP_RAISED_EXCEPTION) == (7, 2)
