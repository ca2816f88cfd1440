"""What an account granted, what it owes, and how many steps of its plans were used."""

from __future__ import annotations

from dataclasses import dataclass

from privacy.errors import UnknownEntryError
from privacy.guarantee import Bound, Guarantee, Neighbours, Unit
from privacy.ledger_values import LedgerState


@dataclass(frozen=True, slots=True)
class BudgetView:
    """One limit of one account, and what became of it.

    Attributes:
        lineage: The account.
        unit: The privacy unit of the limit.
        neighbours: Its neighbouring relation.
        granted: The limit.
        charged: The sum over approved plans: what the region claims.
        left: What a new plan may cost.
        max_steps: Steps that the approved plans allow.
        reserved_steps: Steps spent.
        executed_steps: Steps whose payload was released; for information, no guarantee.
    """

    lineage: str
    unit: Unit
    neighbours: Neighbours
    granted: Guarantee
    charged: Guarantee
    left: Guarantee
    max_steps: int
    reserved_steps: int
    executed_steps: int


def budget_of(state: LedgerState) -> tuple[BudgetView, ...]:
    """Return one view for each limit of each account."""
    return tuple(
        _view(state, lineage, limit)
        for lineage, account in state.accounts.items()
        for limit in account.limits
    )


def account_name(state: LedgerState, lineage: str | None) -> str:
    """Return the account that is meant: the only one, or the one that the lineage's is now.

    Raises:
        UnknownEntryError: If there is none, or there are several and none was named.
    """
    names = list(state.accounts)
    lineage = None if lineage is None else state.payer(lineage)
    if lineage is None and len(names) == 1:
        return names[0]
    if lineage is None or lineage not in state.accounts:
        raise UnknownEntryError(
            f"expected the lineage of an open account ({', '.join(names) or 'none is open'}), "
            f"got {lineage!r}; open the account, or name the one that pays"
        )
    return lineage


def _view(state: LedgerState, lineage: str, limit: Bound) -> BudgetView:
    charged = state.accounts[lineage].charged[limit.relation]
    parts = [
        part
        for plan in state.plans.values()
        if state.payer(plan.approval.lineage) == lineage
        for part in plan.components.values()
    ]
    return BudgetView(
        lineage=lineage,
        unit=limit.unit,
        neighbours=limit.neighbours,
        granted=limit.guarantee,
        charged=charged,
        left=limit.guarantee.minus(charged),
        max_steps=sum(part.max_steps for part in parts),
        reserved_steps=sum(part.reserved_steps for part in parts),
        executed_steps=sum(part.executed_steps for part in parts),
    )
