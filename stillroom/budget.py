"""``stillroom region budget``: a region's ledger in a table."""

import time
from pathlib import Path

from privacy.ledger import BudgetView, Ledger
from stillroom.terminal import out, print_table


def budget_rows(folder: Path) -> list[dict[str, str | int]]:
    """Return one row for each limit of each account of a region's ledger.

    Raises:
        LedgerError: If there is no ledger, or it is damaged.
    """
    path = folder / "ledger.db" if folder.is_dir() else folder
    with Ledger.open(path, clock=lambda: int(time.time())) as ledger:
        return [_row(ledger.state.region, view) for view in ledger.budget()]


def print_budget(rows: list[dict[str, str | int]]) -> None:
    """Print the rows as a table, and what the words mean."""
    shown = ("epsilon_granted", "epsilon_charged", "epsilon_left", "steps_max", "steps_reserved")
    print_table(
        ["account", "ε granted", "ε charged", "ε left", "steps allowed", "reserved", "executed"],
        [
            [str(row["account"]), *(str(row[key]) for key in (*shown, "steps_executed"))]
            for row in rows
        ],
    )
    for row in rows:
        out.print(
            f"{row['account']}: δ = {row['delta']}, unit {row['unit']}, {row['neighbours']}; the "
            "claim is what was charged, executed steps are for information"
        )


def _row(region: str, view: BudgetView) -> dict[str, str | int]:
    return {
        "region": region,
        "account": view.lineage,
        "unit": view.unit.value,
        "neighbours": view.neighbours.value,
        "delta": f"{view.granted.delta:.2e}",
        "epsilon_granted": f"{view.granted.epsilon:f}",
        "epsilon_charged": f"{view.charged.epsilon:f}",
        "epsilon_left": f"{view.left.epsilon:f}",
        "steps_max": view.max_steps,
        "steps_reserved": view.reserved_steps,
        "steps_executed": view.executed_steps,
    }
