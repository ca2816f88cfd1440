"""The rules for what a region does in rounds.

- reserved steps never exceed a component's maximum, in integers; no reserve is given back;
- a release needs the latest draw of its round, and a round is released once per component;
- a send needs its release and an accepted context; a context is accepted once, in order;
- shares are revealed for one list of survivors a round, whatever the number of attempts, and the
  published sum is over these; a round with a known sum is not run again.

Source of the stopping rule: a plan fixes all its mechanisms before any data is touched, so the
accountant's bound on the whole plan covers any order of use and any early stop.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import singledispatch
from typing import TypeVar

from privacy.errors import (
    BudgetExceededError,
    DuplicateEntryError,
    MissingReleaseError,
    MissingReserveError,
    ReplayedContextError,
    UnknownEntryError,
)
from privacy.ledger_grant_rules import require_usable
from privacy.ledger_steps import Context, Release, Reserve, Reveal, Send, Step, Sum
from privacy.ledger_values import ComponentState, LedgerState, PlanState

Key = TypeVar("Key")
Value = TypeVar("Value")


@singledispatch
def apply_step(payload: Step, state: LedgerState) -> LedgerState:
    """Return the state after what a region did, or refuse it.

    Raises:
        LedgerError: If it breaks a rule above.
        BudgetExceededError: If the component has fewer steps left.
    """
    raise UnknownEntryError(f"no rule for an entry of type {type(payload).__name__}")


@apply_step.register
def _(payload: Context, state: LedgerState) -> LedgerState:
    plan = _plan(state, payload.plan)
    place = (payload.round, payload.attempt)
    if payload.context in plan.contexts:
        raise ReplayedContextError(
            f"round {payload.round}, attempt {payload.attempt} was accepted before; "
            "its masks serve once: the server must start a new attempt"
        )
    if plan.last_round is not None and place <= plan.last_round:
        raise ReplayedContextError(
            f"expected a (round, attempt) after {plan.last_round}, got {place}; "
            "rounds and attempts only go up"
        )
    if payload.round < len(plan.sums):
        raise ReplayedContextError(
            f"the sum of round {payload.round} is on record; a round with a known sum is not run "
            "again"
        )
    contexts = _with(plan.contexts, payload.context, place)
    return _with_plan(state, payload.plan, replace(plan, contexts=contexts, last_round=place))


@apply_step.register
def _(payload: Reserve, state: LedgerState) -> LedgerState:
    _require_usable(state, payload)
    part = _component(state, payload)
    if payload.round in part.releases:
        raise DuplicateEntryError(
            f"round {payload.round} of {payload.component!r} is released; noise is not drawn "
            "again for it: send the stored payload under new masks"
        )
    draws = part.reserves.get(payload.round, ())
    if payload.draw != len(draws) + 1:
        raise DuplicateEntryError(f"expected draw {len(draws) + 1}, got draw {payload.draw}")
    reserved = part.reserved_steps + payload.steps
    if reserved > part.max_steps:
        raise BudgetExceededError(
            f"{payload.component!r} may take {part.max_steps} steps in this plan and has reserved "
            f"{part.reserved_steps}; {payload.steps} more are too many: the plan has ended here"
        )
    after = replace(
        part,
        reserved_steps=reserved,
        reserves=_with(part.reserves, payload.round, (*draws, payload)),
    )
    return _with_component(state, payload, after)


@apply_step.register
def _(payload: Release, state: LedgerState) -> LedgerState:
    part = _component(state, payload)
    known = part.releases.get(payload.round)
    if known is not None:
        if known != payload:
            raise DuplicateEntryError(
                f"round {payload.round} of {payload.component!r} released another payload "
                f"({known.payload_sha256[:16]}…); send that one"
            )
        return state
    _require_usable(state, payload)
    draws = part.reserves.get(payload.round, ())
    if not draws or draws[-1].draw != payload.draw:
        raise MissingReserveError(
            f"expected a reserve for round {payload.round}, draw {payload.draw} of "
            f"{payload.component!r} as its latest, got {len(draws)} draws; reserve before training"
        )
    after = replace(
        part,
        executed_steps=part.executed_steps + draws[-1].steps,
        releases=_with(part.releases, payload.round, payload),
    )
    return _with_component(state, payload, after)


@apply_step.register
def _(payload: Send, state: LedgerState) -> LedgerState:
    _require_usable(state, payload)
    part = _component(state, payload)
    if payload.round not in part.releases:
        raise MissingReleaseError(
            f"round {payload.round} of {payload.component!r} has no release; "
            "record the payload before it leaves"
        )
    accepted = _plan(state, payload.plan).contexts.get(payload.context)
    if accepted is None or accepted[0] != payload.round:
        raise UnknownEntryError(
            f"the context {payload.context[:16]}… was not accepted for round {payload.round}"
        )
    known = part.sends.get(payload.context)
    if known is not None and known != payload:
        raise DuplicateEntryError(
            f"other bytes left under the context {payload.context[:16]}…; "
            "two vectors under one mask show their difference: start a new attempt"
        )
    sends = _with(part.sends, payload.context, payload)
    return _with_component(state, payload, replace(part, sends=sends))


@apply_step.register
def _(payload: Reveal, state: LedgerState) -> LedgerState:
    plan = _plan(state, payload.plan)
    accepted = plan.contexts.get(payload.context)
    if accepted is None or accepted[0] != payload.round:
        raise UnknownEntryError(
            f"the context {payload.context[:16]}… was not accepted for round {payload.round}"
        )
    releases = (part.releases.get(payload.round) for part in plan.components.values())
    if payload.payload_sha256 not in {one.payload_sha256 for one in releases if one is not None}:
        raise MissingReleaseError(
            f"round {payload.round} has no release of {payload.payload_sha256[:16]}…; shares "
            "unmask a sum that holds a release"
        )
    known = plan.reveals.get(payload.round, payload)
    if (known.survivors, known.payload_sha256) != (payload.survivors, payload.payload_sha256):
        raise DuplicateEntryError(
            f"shares for round {payload.round} were given for other survivors; a second sum would "
            "show the difference: only the same survivors can be summed again"
        )
    published = plan.sums.get(payload.round)
    if published is not None and published.survivors != payload.survivors:
        raise DuplicateEntryError(
            f"the published sum of round {payload.round} is over other survivors; shares for "
            "these would give a second one"
        )
    reveals = _with(plan.reveals, payload.round, known)
    return _with_plan(state, payload.plan, replace(plan, reveals=reveals))


@apply_step.register
def _(payload: Sum, state: LedgerState) -> LedgerState:
    plan = _plan(state, payload.plan)
    if payload.round != len(plan.sums):
        raise DuplicateEntryError(
            f"expected the sum of round {len(plan.sums)}, got that of {payload.round}; each is on "
            "record once, in order"
        )
    reveal = plan.reveals.get(payload.round)
    if reveal is not None and reveal.survivors != payload.survivors:
        raise DuplicateEntryError(
            f"shares for round {payload.round} were given for other survivors than are in the "
            "published sum; the coordinator shows regions different sums"
        )
    return _with_plan(
        state, payload.plan, replace(plan, sums=_with(plan.sums, payload.round, payload))
    )


def _require_usable(state: LedgerState, payload: Reserve | Release | Send) -> None:
    require_usable(state, _plan(state, payload.plan).approval.lineage)


def _plan(state: LedgerState, plan_hash: str) -> PlanState:
    plan = state.plans.get(plan_hash)
    if plan is None:
        raise UnknownEntryError(
            f"the plan {plan_hash[:16]}… was not approved here; a steward has to approve it first"
        )
    return plan


def _component(state: LedgerState, payload: Reserve | Release | Send) -> ComponentState:
    part = _plan(state, payload.plan).components.get(payload.component)
    if part is None:
        raise UnknownEntryError(f"the plan has no component {payload.component!r}")
    return part


def _with(mapping: Mapping[Key, Value], key: Key, value: Value) -> Mapping[Key, Value]:
    """Return a copy of ``mapping`` with one item more, or another."""
    return {**mapping, key: value}


def _with_plan(state: LedgerState, plan_hash: str, plan: PlanState) -> LedgerState:
    return replace(state, plans=_with(state.plans, plan_hash, plan))


def _with_component(
    state: LedgerState, payload: Reserve | Release | Send, part: ComponentState
) -> LedgerState:
    plan = state.plans[payload.plan]
    components = _with(plan.components, payload.component, part)
    return _with_plan(state, payload.plan, replace(plan, components=components))
