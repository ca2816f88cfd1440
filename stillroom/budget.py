"""``stillroom region budget``: what was granted and spent, and what the rest buys."""

import time
from pathlib import Path

from client.folder import RegionFolder
from privacy.errors import PrivacyError
from privacy.guarantee import Guarantee
from privacy.ledger import BudgetView, Ledger
from privacy.ledger_state import LedgerState, PlanState
from privacy.plan import TRAIN, Plan
from stillroom.terminal import out, print_table

Row = dict[str, str | int | None]
"""One limit of one account, for machines; what cannot be said is None."""


def budget_rows(folder: Path) -> list[Row]:
    """Return one row for each limit of each account of a region's ledger.

    Raises:
        LedgerError: If there is no ledger, or it is damaged.
    """
    path = folder / "ledger.db" if folder.is_dir() else folder
    with Ledger.open(path, clock=lambda: int(time.time())) as ledger:
        state = ledger.state
        plan = _approved(path.parent, state)
        return [_row(state, view, plan) for view in ledger.budget()]


def print_budget(rows: list[Row]) -> None:
    """Print the rows as a table, what the words mean, and how far the rest goes."""
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
        if row["frozen"]:
            out.print(
                f"FROZEN: {row['frozen']}; nothing is approved, trained or sent until somebody "
                "answers for it: stillroom region lift",
                soft_wrap=True,
                markup=False,
            )
        out.print(_buys(row))


def _buys(row: Row) -> str:
    """Say what the rest of one limit pays for."""
    if row["further_plans"] is None:
        return "no plan is approved yet: 'stillroom region check' says what one would cost"
    words = [
        f"the rest pays for {_count(row['further_plans'], 'more plan')} at the price of the last "
        "one, new studies or refreshes"
    ]
    if row["rounds_left"] is not None:
        words.append(
            f"the approved plan has {_count(row['rounds_left'], 'round')} left, slack included"
        )
    if row["further_rounds"] is not None:
        words.append(f"{_count(row['further_rounds'], 'round')} with those further plans")
    return "; ".join(words)


def _row(state: LedgerState, view: BudgetView, plan: Plan | None) -> Row:
    price = _last_price(state, view)
    further = None if price is None else _affordable(view.left, price)
    left = None if plan is None else _rounds_left(state, plan)
    rounds = None
    if plan is not None and further is not None and left is not None:
        rounds = left + further * plan.rounds
    return {
        "region": state.region,
        "account": view.lineage,
        "unit": view.unit.value,
        "neighbours": view.neighbours.value,
        "frozen": state.frozen(view.lineage) or None,
        "delta": f"{view.granted.delta:.2e}",
        "epsilon_granted": f"{view.granted.epsilon:f}",
        "epsilon_charged": f"{view.charged.epsilon:f}",
        "epsilon_left": f"{view.left.epsilon:f}",
        "steps_max": view.max_steps,
        "steps_reserved": view.reserved_steps,
        "steps_executed": view.executed_steps,
        "further_plans": further,
        "rounds_left": left,
        "further_rounds": rounds,
    }


def _last_price(state: LedgerState, view: BudgetView) -> Guarantee | None:
    """Return what the account's last approved plan costs against this limit."""
    plans: list[PlanState] = [
        plan for plan in state.plans.values() if plan.approval.lineage == view.lineage
    ]
    for charge in plans[-1].approval.charges if plans else ():
        if charge.relation == (view.unit, view.neighbours):
            return charge.guarantee
    return None


def _affordable(left: Guarantee, price: Guarantee) -> int:
    """Return how many further plans are paid for; ε and δ both have to last."""
    return int(min(left.epsilon // price.epsilon, left.delta // price.delta))


def _rounds_left(state: LedgerState, plan: Plan) -> int:
    train = state.plans[plan.hash].components[TRAIN]
    return (train.max_steps - train.reserved_steps) // plan.local_steps


def _approved(root: Path, state: LedgerState) -> Plan | None:
    """Return the plan beside the ledger, if it is there and the ledger charged it."""
    path = RegionFolder(root).plan
    try:
        plan = Plan.from_bytes(path.read_bytes())
    except (OSError, PrivacyError):  # a ledger may be shown by itself: the table needs no plan
        return None
    return plan if plan.hash in state.plans else None


def _count(number: str | int | None, what: str) -> str:
    return f"{number or 'no'} {what}{'' if number == 1 else 's'}"
