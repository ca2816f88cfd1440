"""Exit codes, the same for every command, and which error leads to which.

0 done or holds · 1 failed or violated · 2 bad input or usage · 3 refused · 4 incomplete
"""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum

import typer

from client import errors as client
from distillation import errors as distillation
from privacy import errors as privacy
from protocol import errors as protocol
from server import errors as server
from simulations import errors as simulations


class Exit(IntEnum):
    """How a command ended."""

    DONE = 0
    FAILED = 1
    BAD_INPUT = 2
    REFUSED = 3
    INCOMPLETE = 4


_CODES: tuple[tuple[type[Exception], Exit], ...] = (
    (client.ApprovalRefusedError, Exit.REFUSED),
    (client.HaltedError, Exit.REFUSED),
    (privacy.BudgetExceededError, Exit.REFUSED),
    (privacy.AccountFrozenError, Exit.REFUSED),
    (privacy.LineageRefusedError, Exit.REFUSED),
    (privacy.PlanRefusedError, Exit.REFUSED),
    (privacy.InvalidBudgetError, Exit.BAD_INPUT),
    (privacy.LedgerError, Exit.FAILED),
    (privacy.PrivacyError, Exit.BAD_INPUT),
    (simulations.RunFolderError, Exit.BAD_INPUT),
    (simulations.StudyDataError, Exit.BAD_INPUT),
    (simulations.SimulationError, Exit.INCOMPLETE),
    (distillation.TrainingError, Exit.FAILED),
    (distillation.ConformanceError, Exit.FAILED),
    (distillation.DistillationError, Exit.BAD_INPUT),
    (client.ClientError, Exit.BAD_INPUT),
    (server.CheckpointError, Exit.BAD_INPUT),
    (server.ServerError, Exit.INCOMPLETE),
    (protocol.ProtocolError, Exit.FAILED),
)


def code_of(error: Exception) -> Exit | None:
    """Return the exit code of an expected error; None for a bug of ours."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), None)


@contextmanager
def one_sentence() -> Iterator[None]:
    """Turn every expected error into one sentence and its exit code; a bug keeps its traceback."""
    try:
        yield
    except KeyboardInterrupt:
        _leave(
            "stopped; nothing is lost: say it again, a run goes on with --resume", Exit.INCOMPLETE
        )
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        _leave(
            f"{error.strerror or error}{where}: make room or correct the path, then say it again; "
            "a run goes on with --resume",
            Exit.INCOMPLETE,
        )
    except tuple(kind for kind, _ in _CODES) as error:
        _leave(str(error), code_of(error) or Exit.FAILED)


def _leave(message: str, code: Exit) -> None:
    typer.echo(f"stillroom: {message}", err=True)
    raise typer.Exit(code)
