"""A headless Chromium, spoken to in DevTools' protocol through two pipes: no library is needed.

``--remote-debugging-pipe`` reads commands from descriptor 3 and writes answers and events to 4, as
JSON ended by a zero byte. Commands are sent one at a time; what comes in between is kept.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

NAMES = ("chromium", "google-chrome", "chromium-browser", "google-chrome-stable")
_FLAGS = (
    *("--headless=new", "--remote-debugging-pipe", "--no-first-run", "--disable-gpu"),
    *("--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"),
    *("--no-sandbox", "--hide-scrollbars"),  # CI is root in a container, where a sandbox cannot be
)
_WAIT_S = 60.0


def find_browser() -> str | None:
    """Return the path of a Chromium on this machine, or None."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


class BrowserError(Exception):
    """The browser did not do what it was asked."""


class Tab:
    """One page of the browser.

    Attributes:
        events: What the browser told without being asked, by the names of the protocol.
    """

    def __init__(self, commands: int, answers: int) -> None:
        self._commands, self._answers = commands, answers
        self._buffer, self._number, self._session = b"", 0, ""
        self.events: list[Mapping[str, Any]] = []
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        attached = self.ask("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, **parameters: object) -> Mapping[str, Any]:
        """Send a command and return its answer."""
        self._number += 1
        message: dict[str, object] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise BrowserError(f"{method}: {answer['error']}")
                return dict(answer["result"])
            self.events.append(answer)

    def open(self, file: Path) -> None:
        """Open a file and wait until it is loaded; events of what was open before are dropped."""
        self.events.clear()
        self.ask("Page.navigate", url=file.as_uri())
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self._next())

    def look(self, *, width: int, scheme: str = "light", medium: str = "screen") -> None:
        """Set the width in CSS pixels, the colour scheme, and screen or print."""
        self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=False,
        )
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.ask("Emulation.setEmulatedMedia", media=medium, features=features)

    def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression in the page."""
        found = self.ask("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in found:
            raise BrowserError(str(found["exceptionDetails"]))
        return found["result"].get("value")

    def _next(self) -> Mapping[str, Any]:
        """Return the next message, whoever asked for it."""
        while b"\0" not in self._buffer:
            if not select.select([self._answers], [], [], _WAIT_S)[0]:
                raise BrowserError(f"the browser said nothing for {_WAIT_S:.0f} s")
            piece = os.read(self._answers, 1 << 16)
            if not piece:
                raise BrowserError("the browser ended")
            self._buffer += piece
        message, _, self._buffer = self._buffer.partition(b"\0")
        return dict(json.loads(message))


@contextlib.contextmanager
def opened_tab(browser: str, home: Path) -> Iterator[Tab]:
    """Start a browser with an empty profile, yield a page of it, and end it with all its processes.

    Args:
        browser: The program.
        home: A folder for its profile.
    """
    commands_read, commands = os.pipe()
    answers, answers_write = os.pipe()
    pid = os.posix_spawn(
        browser,
        [browser, *_FLAGS, f"--user-data-dir={home}", "about:blank"],
        {**os.environ, "HOME": str(home)},
        file_actions=[
            # By way of high numbers, since one of ours may be 3 or 4 itself.
            (os.POSIX_SPAWN_DUP2, commands_read, 103),
            (os.POSIX_SPAWN_DUP2, answers_write, 104),
            (os.POSIX_SPAWN_DUP2, 103, 3),
            (os.POSIX_SPAWN_DUP2, 104, 4),
            (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
            (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
        ],
        setpgroup=0,
    )
    os.close(commands_read)
    os.close(answers_write)
    try:
        yield Tab(commands, answers)
    finally:
        os.close(commands)
        _end(pid)
        os.close(answers)


def _end(pid: int) -> None:
    """Wait a moment for the browser, whose commands have ended, and kill what is left of it."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and os.waitpid(pid, os.WNOHANG) == (0, 0):
        time.sleep(0.05)
    with contextlib.suppress(ProcessLookupError):  # it has ended, and all that it started
        os.killpg(pid, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):  # it was waited for above
        os.waitpid(pid, 0)
