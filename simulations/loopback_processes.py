"""Starts programs, each with a log of its own, and stops exactly those; knows nothing of Flower.

Each program leads a process group of its own, so that what it started in turn ends with it. No
program is reaped before its group got its last signal: until then its number cannot become that
of somebody else's process.
"""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from simulations.errors import SimulationError

_POLL_S = 0.1
_GRACE_S = 10.0
_TAIL = 15


class LoopbackError(SimulationError):
    """A program of the loopback deployment did not do what it should."""


@dataclass(slots=True)
class _Started:
    process: subprocess.Popen[bytes]
    log: Path


class Processes:
    """The programs of one deployment; use it as a context manager."""

    def __init__(self, logs: Path, *, environment: Mapping[str, str]) -> None:
        """Prepare the folder of the logs.

        Args:
            logs: Where each program's output goes, as ``NAME.log``.
            environment: Added to this process's own, for all of them.
        """
        logs.mkdir(parents=True, exist_ok=True)
        self._logs, self._environment = logs, dict(environment)
        self._started: dict[str, _Started] = {}

    def __enter__(self) -> "Processes":
        return self

    def __exit__(self, *error: object) -> None:
        self.stop_all()

    def start(self, name: str, command: Sequence[str], *, folder: Path, **environment: str) -> None:
        """Start a program; a second one of the same name adds to the first one's log.

        Args:
            name: What it is called here.
            command: The program and its arguments.
            folder: Its working directory.
            environment: For it alone.

        Raises:
            LoopbackError: If one of this name is running.
        """
        if name in self._started:
            if self.finished(name) is None:
                raise LoopbackError(f"{name} is running already")
            _end(self._started[name].process)
        log = self._logs / f"{name}.log"
        with log.open("ab") as output:
            process = subprocess.Popen(  # noqa: S603 - the harness's own commands
                command,
                cwd=folder,
                env={**os.environ, **self._environment, **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._started[name] = _Started(process, log)

    def log(self, name: str) -> str:
        """Return what a program has said so far."""
        return self._started[name].log.read_text(errors="replace")

    def finished(self, name: str) -> int | None:
        """Return a program's exit status, or None while it runs."""
        return _status(self._started[name].process)

    def wait_for(
        self, what: str, condition: Callable[[], bool], *, until: float, alive: Sequence[str]
    ) -> None:
        """Wait until something holds.

        Args:
            what: It, in words.
            condition: Tells whether it holds.
            until: The moment to give up, on the monotonic clock.
            alive: Programs without which it never will.

        Raises:
            LoopbackError: If the moment passes, or one of these programs ends.
        """
        while not condition():
            ended = [name for name in alive if self.finished(name) is not None]
            if ended:
                raise LoopbackError(
                    f"{ended[0]} ended ({self.finished(ended[0])}) before {what}; its last "
                    f"lines:\n{self.tail(ended[0])}"
                )
            if time.monotonic() > until:
                raise LoopbackError(f"the time is up, and not yet: {what}; see {self._logs}")
            time.sleep(_POLL_S)

    def tail(self, name: str) -> str:
        """Return the last lines of a program's log."""
        return "\n".join(self.log(name).splitlines()[-_TAIL:])

    def kill(self, name: str) -> None:
        """End a program at once, as a crash does (SIGKILL)."""
        _end(self._started[name].process)

    def stop(self, *names: str) -> None:
        """Ask programs to end (SIGTERM); kill, after a while, what has not."""
        processes = [self._started[name].process for name in names]
        for process in processes:
            if _status(process) is None:
                os.killpg(process.pid, signal.SIGTERM)
        until = time.monotonic() + _GRACE_S
        while any(_status(process) is None for process in processes) and time.monotonic() < until:
            time.sleep(_POLL_S)
        for process in processes:
            _end(process)

    def stop_all(self) -> None:
        """Stop all of them, the last started first."""
        self.stop(*reversed(self._started))


def free_ports(count: int) -> list[int]:
    """Return ports of the loopback interface that were free a moment ago."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def listens(port: int) -> bool:
    """Return whether something answers on a port of the loopback interface."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _status(process: subprocess.Popen[bytes]) -> int | None:
    """Return a program's exit status as `subprocess` does, or None while it runs; reap nothing."""
    if process.returncode is not None:
        return process.returncode
    found = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    if found is None:
        return None
    return found.si_status if found.si_code == os.CLD_EXITED else -found.si_status


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill whatever is left of a program's group, then reap the program."""
    if process.returncode is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
