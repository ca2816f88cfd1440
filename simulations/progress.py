"""How a simulation tells whoever waits what it is doing; the command line draws it."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

Advance = Callable[[float], None]
"""Told the share of a stage that is done, in [0, 1]."""


class Progress(Protocol):
    """Something that shows stages and lines."""

    def stage(self, title: str) -> AbstractContextManager[Advance]:
        """Show that a stage runs, until the context is left."""
        ...

    def line(self, text: str) -> None:
        """Show one finished line."""
        ...


class Quiet:
    """Shows nothing."""

    @contextmanager
    def stage(self, title: str) -> Iterator[Advance]:
        """Run a stage unseen."""
        yield lambda share: None

    def line(self, text: str) -> None:
        """Show nothing."""
