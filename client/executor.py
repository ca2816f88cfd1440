"""The pinned executor: answers a SuperNode's messages with the code that this region installed.

A SuperNode would run whatever bundle (FAB) its SuperLink pushed, in a new process for every
message. Started with ``--isolation process`` it runs nothing and waits for this program instead:

    python -m client.executor --runtime 127.0.0.1:9094 --allow SHA256 --secret-file FILE

It imports the installed ``client.app`` once and stays, so that teacher, student and the round
under way are kept in memory. It never installs, unpacks or imports what was pushed; it compares
its hash with the allow-list, so that a coordinator of another release is told so.
"""

import argparse
import re
import signal
import sys
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from threading import Event

import httpx
from flwr.app import Context, Message
from flwr.common.constant import ErrorCode

from client.errors import ClientError
from client.executor_runtime import RunningTask, Runtime, RuntimeApiError

App = Callable[[Message, Context], Message]
"""A ClientApp, as it is called."""

_POLL_S = 0.3
_SHA256 = re.compile(r"[0-9a-f]{64}")


class PinnedExecutor:
    """Answers one message after the other.

    Guarantees:
      - no byte of a pushed bundle is executed, imported or written to disk;
      - a message that came under a bundle that is not allowed never reaches the app;
      - no text of an exception leaves; error replies are fixed words.
    """

    def __init__(
        self,
        runtime: Runtime,
        app: App,
        *,
        allowed: frozenset[str],
        say: Callable[[str], None],
    ) -> None:
        """Take up an app.

        Args:
            runtime: The SuperNode's Runtime API.
            app: The region's installed app.
            allowed: SHA-256 of the bundles whose runs this region answers, lower-case hex.
            say: Told, on the region's own console, of every message.

        Raises:
            RuntimeApiError: If the allow-list is empty or holds something else than hashes.
        """
        strange = sorted(entry for entry in allowed if not _SHA256.fullmatch(entry))
        if strange or not allowed:
            raise RuntimeApiError(
                f"expected the SHA-256 of each allowed bundle, 64 lower-case hex digits, got "
                f"{', '.join(strange) or 'none'}: see 'flwr build' and sha256sum"
            )
        self._runtime, self._app, self._allowed, self._say = runtime, app, allowed, say

    def run(self, stopping: Event) -> None:
        """Answer messages until told to stop; the message under way is answered first.

        Raises:
            RuntimeApiError: If the SuperNode refuses this process.
        """
        while not stopping.is_set():
            if not self.answer_next():
                stopping.wait(_POLL_S)

    def answer_next(self) -> bool:
        """Answer one message, if one waits; return whether there was one.

        Raises:
            RuntimeApiError: If the SuperNode refuses this process.
        """
        token = self._runtime.acquire()
        if token is None:
            return False
        try:
            with self._runtime.running(token) as running:
                self._answer(running)
        except (httpx.HTTPError, RuntimeError) as error:  # the SuperNode is gone, or its run is
            self._say(f"a message could not be answered: {type(error).__name__}")
        return True

    def _answer(self, running: RunningTask) -> None:
        task = running.pull()
        kind, began = task.message.metadata.message_type, time.monotonic()
        if task.fab_sha256 not in self._allowed:
            self._say(f"refused {kind}: it came under the bundle {task.fab_sha256}")
            running.refuse(task, ErrorCode.INVALID_FAB)
            return
        self._say(f"received {kind}")
        try:
            reply = self._app(task.message, task.context)
        except Exception:  # the border: the text may hold a record, and Flower would send it on
            traceback.print_exc()
            running.refuse(task, ErrorCode.CLIENT_APP_RAISED_EXCEPTION)
            return
        running.reply(task, reply)
        self._say(f"answered {kind} in {time.monotonic() - began:.2f} s")


def main() -> int:
    """Run until SIGTERM or SIGINT; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m client.executor", description=__doc__)
    parser.add_argument("--runtime", required=True, metavar="HOST:PORT")
    parser.add_argument("--allow", required=True, action="append", metavar="SHA256")
    parser.add_argument("--secret-file", required=True, type=Path, metavar="FILE")
    arguments = parser.parse_args()
    stopping = Event()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signal_number, lambda *_: stopping.set())
    try:
        with Runtime(arguments.runtime, secret=arguments.secret_file.read_bytes()) as runtime:
            executor = PinnedExecutor(
                runtime, _installed_app(), allowed=frozenset(arguments.allow), say=_say
            )
            _say("ready")
            executor.run(stopping)
    except (ClientError, OSError) as error:
        print(f"executor: {error}", file=sys.stderr)
        return 1
    _say("stopped")
    return 0


def _installed_app() -> App:
    """Import the region's app: slow, for it brings torch along, and done once."""
    from client.app import app

    return app


def _say(line: str) -> None:
    print(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S}Z {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
