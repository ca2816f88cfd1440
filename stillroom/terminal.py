"""What a person sees while something runs, and how it ends: bars, tables, one-sentence errors."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from simulations.progress import Advance

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


class TerminalProgress:
    """Shows stages as bars with the time left; without a terminal, only finished lines."""

    @contextmanager
    def stage(self, title: str) -> Iterator[Advance]:
        """Show a bar until the context is left, then one line with the time that it took."""
        began = time.monotonic()
        columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
        with Progress(*columns, console=out, transient=True, disable=not out.is_terminal) as bars:
            task = bars.add_task(title, total=1.0)
            yield lambda share: bars.update(task, completed=share)
        self.line(f"{title} · {time.monotonic() - began:.1f} s")

    def line(self, text: str) -> None:
        """Print one line."""
        out.print(text, soft_wrap=True)


def print_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table whose first column is text and whose others are figures."""
    table = Table(box=None, pad_edge=False)
    for number, header in enumerate(headers):
        table.add_column(header, justify="left" if number == 0 else "right")
    for row in rows:
        table.add_row(*row)
    out.print(table)
