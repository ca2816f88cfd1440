"""The rules for what a steward enters: accounts, merged accounts, plans and notes.

- an account is opened once, and merged accounts owe together what each owed;
- a plan is approved once, and Σε and Σδ stay within every limit;
- a frozen account approves nothing until its freeze is lifted, and lifting it charges.

Across plans basic composition is a valid filter (Rogers et al. 2016, arXiv 1605.08294).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import singledispatch

from privacy.errors import (
    AccountFrozenError,
    BudgetExceededError,
    DuplicateEntryError,
    LedgerError,
    UnknownEntryError,
)
from privacy.guarantee import NOTHING, Bound, Guarantee, Neighbours, Unit
from privacy.ledger_grants import Account, Approval, Genesis, Grant, Merge, Note
from privacy.ledger_incidents import Freeze, Lift
from privacy.ledger_values import AccountState, ComponentState, LedgerState, Lifted, PlanState


@singledispatch
def apply_grant(payload: Grant, state: LedgerState) -> LedgerState:
    """Return the state after what a steward entered, or refuse it.

    Raises:
        LedgerError: If it breaks a rule above.
        BudgetExceededError: If an account would owe more than its limit.
    """
    raise UnknownEntryError(f"no rule for an entry of type {type(payload).__name__}")


@apply_grant.register
def _(payload: Genesis, state: LedgerState) -> LedgerState:
    return replace(state, region=payload.region)


@apply_grant.register
def _(payload: Note, state: LedgerState) -> LedgerState:
    return state


@apply_grant.register
def _(payload: Account, state: LedgerState) -> LedgerState:
    relations = [limit.relation for limit in payload.limits]
    if payload.lineage in state.accounts or payload.lineage in state.merged:
        raise DuplicateEntryError(
            f"the lineage {payload.lineage!r} has its account already; a budget is granted once"
        )
    if not relations or len(set(relations)) != len(relations):
        raise LedgerError("expected one limit for each unit and relation, at least one in all")
    account = AccountState(payload.limits, dict.fromkeys(relations, NOTHING))
    return replace(state, accounts={**state.accounts, payload.lineage: account})


@apply_grant.register
def _(payload: Merge, state: LedgerState) -> LedgerState:
    accounts = dict(state.accounts)
    stays, ends = _account(state, payload.lineage), _account(state, payload.absorbed)
    if payload.lineage == payload.absorbed:
        raise DuplicateEntryError(f"the lineage {payload.lineage!r} cannot be merged with itself")
    if set(stays.charged) != set(ends.charged):
        raise LedgerError(
            f"expected the accounts {payload.lineage!r} and {payload.absorbed!r} to limit the same "
            "units and relations: what one of them does not count cannot be added up; keep the "
            "data sets apart"
        )
    # A record in the overlap was in every plan of both: its loss adds up, and what either steward
    # promised it still holds.
    limits = tuple(_lesser(limit, ends.limits) for limit in stays.limits)
    charged = {
        relation: stays.charged[relation] + ends.charged[relation] for relation in stays.charged
    }
    for limit in limits:
        if not limit.guarantee.covers(charged[limit.relation]):
            raise BudgetExceededError(
                f"{payload.lineage!r} and {payload.absorbed!r} together owe "
                f"ε = {charged[limit.relation].epsilon}, δ = {charged[limit.relation].delta}, more "
                f"than {limit}: records of both may be in no further plan; drop the overlap from "
                "the data set"
            )
    del accounts[payload.absorbed]
    accounts[payload.lineage] = AccountState(
        limits, charged, stays.frozen or ends.frozen, stays.lifts + ends.lifts
    )
    merged = {
        name: payload.lineage if stands_for == payload.absorbed else stands_for
        for name, stands_for in state.merged.items()
    }
    merged[payload.absorbed] = payload.lineage
    return replace(state, accounts=accounts, merged=merged)


def _lesser(limit: Bound, others: tuple[Bound, ...]) -> Bound:
    """Return the lower of two accounts' limits in one relation, ε and δ each."""
    (other,) = (one for one in others if one.relation == limit.relation)
    return replace(
        limit,
        epsilon=min(limit.epsilon, other.epsilon),
        delta=min(limit.delta, other.delta),
    )


@apply_grant.register
def _(payload: Approval, state: LedgerState) -> LedgerState:
    if payload.plan in state.plans:
        raise DuplicateEntryError(
            f"the plan {payload.plan[:16]}… was approved already and is charged once; "
            "to spend again, make a new plan"
        )
    account = _account(state, payload.lineage)
    if not payload.components:
        raise LedgerError("expected a plan with at least one component")
    require_usable(state, payload.lineage)
    charged = _charge(account, payload.lineage, payload.charges)
    components = {name: ComponentState(event.steps) for name, event in payload.components.items()}
    return replace(
        state,
        accounts={**state.accounts, payload.lineage: replace(account, charged=charged)},
        plans={**state.plans, payload.plan: PlanState(payload, components)},
    )


@apply_grant.register
def _(payload: Freeze, state: LedgerState) -> LedgerState:
    account = _account(state, payload.lineage)
    if not payload.reason.strip():
        raise LedgerError("expected the reason why the account is frozen, got none")
    frozen = replace(account, frozen=payload.reason, lifts=())
    return replace(state, accounts={**state.accounts, payload.lineage: frozen})


@apply_grant.register
def _(payload: Lift, state: LedgerState) -> LedgerState:
    account = _account(state, payload.lineage)
    if not account.frozen:
        raise LedgerError(f"the account {payload.lineage!r} is not frozen: nothing is to be lifted")
    if not (payload.reason.strip() and payload.lifted_by.strip()):
        raise LedgerError("expected why the account may be used again, and who answers for it")
    charged = _charge(account, payload.lineage, payload.charges)
    lifts = (*account.lifts, Lifted(payload, state.head))
    usable = replace(account, charged=charged, frozen="", lifts=lifts)
    return replace(state, accounts={**state.accounts, payload.lineage: usable})


def require_usable(state: LedgerState, lineage: str) -> None:
    """Check that the account that pays for a lineage is not stopped.

    Raises:
        AccountFrozenError: If it is, with the reason.
    """
    reason = state.frozen(lineage)
    if reason:
        raise AccountFrozenError(
            f"the account {state.payer(lineage)!r} is frozen ({reason}): find the cause, and have "
            "the freeze lifted with a charge for what was found"
        )


def _charge(
    account: AccountState, lineage: str, given: Sequence[Bound]
) -> Mapping[tuple[Unit, Neighbours], Guarantee]:
    """Add charges to the account's, one for each limit, or refuse."""
    charges = {charge.relation: charge.guarantee for charge in given}
    if len(charges) != len(given) or set(charges) != set(account.charged):
        raise LedgerError(
            "expected one charge for each limit of the account "
            f"({', '.join(map(str, account.limits))}), got {', '.join(map(str, given))}"
        )
    after = {relation: account.charged[relation] + charges[relation] for relation in charges}
    for limit in account.limits:
        if not limit.guarantee.covers(after[limit.relation]):
            left = limit.guarantee.minus(account.charged[limit.relation])
            raise BudgetExceededError(
                f"the account {lineage!r} grants {limit}; left are ε = {left.epsilon}, "
                f"δ = {left.delta}; asked is a charge of ε = {charges[limit.relation].epsilon}, "
                f"δ = {charges[limit.relation].delta}; approve a cheaper plan"
            )
    return after


def _account(state: LedgerState, lineage: str) -> AccountState:
    account = state.accounts.get(lineage)
    if account is None and lineage in state.merged:
        raise UnknownEntryError(
            f"the account {lineage!r} was merged into {state.merged[lineage]!r}; name that one"
        )
    if account is None:
        raise UnknownEntryError(f"no account for the lineage {lineage!r}; open it first")
    return account
