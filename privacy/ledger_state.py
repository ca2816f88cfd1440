"""What a ledger's entries add up to, and which entry may come next.

One pure function, ``fold(state, body)``, decides. The writer calls it before it writes; a
verifier calls it on a stranger's bodies; both therefore refuse the same things:

- an account is opened once; a plan is approved once, and Σε and Σδ stay within every limit;
- reserved steps never exceed a component's maximum, in integers; no reserve is given back;
- a release needs the latest draw of its round, and a round is released once per component;
- a send needs its release and an accepted context; a context is accepted once, in order;
- shares are revealed for one list of survivors a round, whatever the number of attempts, and the
  published sum is over these; a round with a known sum is not run again.

Source of the stopping rule: a plan fixes all its mechanisms before any data is touched, so the
accountant's bound on the whole plan covers any order of use and any early stop; across plans
basic composition is a valid filter (Rogers et al. 2016, arXiv 1605.08294).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import singledispatch
from typing import TypeVar

from privacy.errors import (
    BudgetExceededError,
    DuplicateEntryError,
    LedgerCorruptError,
    LedgerError,
    MissingReleaseError,
    MissingReserveError,
    ReplayedContextError,
    UnknownEntryError,
)
from privacy.guarantee import NOTHING, Bound, Guarantee, Neighbours, Unit
from privacy.ledger_entries import (
    NO_HASH,
    Account,
    Approval,
    Context,
    Entry,
    Genesis,
    Note,
    Payload,
    Release,
    Reserve,
    Reveal,
    Send,
    Sum,
    body_hash,
)

Key = TypeVar("Key")
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class AccountState:
    """One lineage's limits and what was charged against each."""

    limits: tuple[Bound, ...]
    charged: Mapping[tuple[Unit, Neighbours], Guarantee]


@dataclass(frozen=True, slots=True)
class ComponentState:
    """One component of one plan: integers only.

    Attributes:
        max_steps: What the plan allows.
        reserved_steps: What is spent; never more.
        executed_steps: The part of it whose payload was released; for information.
        reserves: By round, every draw in order.
        releases: By round, the one release.
        sends: By context, what left under it.
    """

    max_steps: int
    reserved_steps: int = 0
    executed_steps: int = 0
    reserves: Mapping[int, tuple[Reserve, ...]] = field(default_factory=dict)
    releases: Mapping[int, Release] = field(default_factory=dict)
    sends: Mapping[str, Send] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PlanState:
    """One approved plan.

    Attributes:
        approval: The entry that admitted it.
        components: By name.
        contexts: Accepted contexts with their (round, attempt).
        last_round: The latest (round, attempt); None before the first.
        reveals: By round, the one list of survivors that shares were given for.
        sums: The published sums, by round.
    """

    approval: Approval
    components: Mapping[str, ComponentState]
    contexts: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    last_round: tuple[int, int] | None = None
    reveals: Mapping[int, Reveal] = field(default_factory=dict)
    sums: Mapping[int, Sum] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LedgerState:
    """Everything the entries so far say.

    Attributes:
        region: Whose ledger; empty before the first entry.
        size: Number of entries.
        head: SHA-256 of the last body.
        time: Time of the last entry, Unix seconds.
        accounts: By lineage.
        plans: By hash.
    """

    region: str = ""
    size: int = 0
    head: str = NO_HASH
    time: int = 0
    accounts: Mapping[str, AccountState] = field(default_factory=dict)
    plans: Mapping[str, PlanState] = field(default_factory=dict)

    def released(self, plan_hash: str, round_: int, component: str) -> Release | None:
        """Return the release of this round and component, or None."""
        part = self._component(plan_hash, component)
        return part.releases.get(round_) if part else None

    def reserved(self, plan_hash: str, round_: int, component: str) -> tuple[Reserve, ...]:
        """Return all draws reserved for this round and component, oldest first."""
        part = self._component(plan_hash, component)
        return part.reserves.get(round_, ()) if part else ()

    def sent(self, plan_hash: str, component: str, context: bytes) -> Send | None:
        """Return what left under this context, or None."""
        part = self._component(plan_hash, component)
        return part.sends.get(context.hex()) if part else None

    def seen_contexts(self, plan_hash: str) -> frozenset[bytes]:
        """Return every context that this region accepted under the plan."""
        plan = self.plans.get(plan_hash)
        return frozenset(map(bytes.fromhex, plan.contexts)) if plan else frozenset()

    def last_round(self, plan_hash: str) -> tuple[int, int] | None:
        """Return the latest accepted (round, attempt) of the plan, or None."""
        plan = self.plans.get(plan_hash)
        return plan.last_round if plan else None

    def revealed(self, plan_hash: str, round_: int) -> Reveal | None:
        """Return what shares were given for in this round, in its first attempt, or None."""
        return self.reveals(plan_hash).get(round_)

    def reveals(self, plan_hash: str) -> Mapping[int, Reveal]:
        """Return what shares were given for under the plan, by round."""
        plan = self.plans.get(plan_hash)
        return plan.reveals if plan else {}

    def sums(self, plan_hash: str) -> Mapping[int, Sum]:
        """Return the published sums of the plan, by round."""
        plan = self.plans.get(plan_hash)
        return plan.sums if plan else {}

    def _component(self, plan_hash: str, component: str) -> ComponentState | None:
        plan = self.plans.get(plan_hash)
        return plan.components.get(component) if plan else None


def fold(state: LedgerState, body: bytes) -> LedgerState:
    """Return the state after ``body``, or refuse it.

    Guarantees: whatever bodies are folded, no component's reserved steps exceed its maximum and
    no account's charges exceed its limits.

    Raises:
        LedgerError: If the body is damaged, out of place, or breaks a rule above.
        BudgetExceededError: If it would spend more than the account or the component has left.
    """
    entry = Entry.from_bytes(body)
    if (entry.seq, entry.previous) != (state.size + 1, state.head):
        raise LedgerCorruptError(
            f"expected entry {state.size + 1} after {state.head[:16]}…, got entry {entry.seq} "
            f"after {entry.previous[:16]}…; an entry was changed, dropped or moved"
        )
    if entry.time < state.time:
        raise LedgerCorruptError(
            f"expected a time of at least {state.time}, got {entry.time} in entry {entry.seq}"
        )
    if (state.size == 0) != isinstance(entry.payload, Genesis):
        raise LedgerCorruptError(
            f"expected exactly one genesis entry, the first; entry {entry.seq} is "
            f"{entry.payload.KIND}"
        )
    after = _apply(entry.payload, state)
    return replace(after, size=entry.seq, head=body_hash(body), time=entry.time)


def fold_all(bodies: Iterable[bytes]) -> LedgerState:
    """Return the state after all ``bodies``, from an empty ledger; see ``fold``."""
    state = LedgerState()
    for body in bodies:
        state = fold(state, body)
    return state


@singledispatch
def _apply(payload: Payload, state: LedgerState) -> LedgerState:
    raise UnknownEntryError(f"no rule for an entry of type {type(payload).__name__}")


@_apply.register
def _(payload: Genesis, state: LedgerState) -> LedgerState:
    return replace(state, region=payload.region)


@_apply.register
def _(payload: Note, state: LedgerState) -> LedgerState:
    return state


@_apply.register
def _(payload: Account, state: LedgerState) -> LedgerState:
    relations = [limit.relation for limit in payload.limits]
    if payload.lineage in state.accounts:
        raise DuplicateEntryError(
            f"the lineage {payload.lineage!r} has its account already; a budget is granted once"
        )
    if not relations or len(set(relations)) != len(relations):
        raise LedgerError("expected one limit for each unit and relation, at least one in all")
    account = AccountState(payload.limits, dict.fromkeys(relations, NOTHING))
    return replace(state, accounts=_with(state.accounts, payload.lineage, account))


@_apply.register
def _(payload: Approval, state: LedgerState) -> LedgerState:
    if payload.plan in state.plans:
        raise DuplicateEntryError(
            f"the plan {payload.plan[:16]}… was approved already and is charged once; "
            "to spend again, make a new plan"
        )
    account = state.accounts.get(payload.lineage)
    if account is None:
        raise UnknownEntryError(f"no account for the lineage {payload.lineage!r}; open it first")
    if not payload.components:
        raise LedgerError("expected a plan with at least one component")
    charged = _charge(account, payload)
    components = {name: ComponentState(event.steps) for name, event in payload.components.items()}
    return replace(
        state,
        accounts=_with(state.accounts, payload.lineage, replace(account, charged=charged)),
        plans=_with(state.plans, payload.plan, PlanState(payload, components)),
    )


def _charge(
    account: AccountState, payload: Approval
) -> Mapping[tuple[Unit, Neighbours], Guarantee]:
    """Add the plan's charges to the account's, one for each limit, or refuse."""
    charges = {charge.relation: charge.guarantee for charge in payload.charges}
    if len(charges) != len(payload.charges) or set(charges) != set(account.charged):
        raise LedgerError(
            "expected one charge for each limit of the account "
            f"({', '.join(map(str, account.limits))}), got {', '.join(map(str, payload.charges))}"
        )
    after = {relation: account.charged[relation] + charges[relation] for relation in charges}
    for limit in account.limits:
        if not limit.guarantee.covers(after[limit.relation]):
            left = limit.guarantee.minus(account.charged[limit.relation])
            raise BudgetExceededError(
                f"the account {payload.lineage!r} grants {limit}; left are ε = {left.epsilon}, "
                f"δ = {left.delta}; the plan costs ε = {charges[limit.relation].epsilon}, "
                f"δ = {charges[limit.relation].delta}; approve a cheaper plan"
            )
    return after


@_apply.register
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


@_apply.register
def _(payload: Reserve, state: LedgerState) -> LedgerState:
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


@_apply.register
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


@_apply.register
def _(payload: Send, state: LedgerState) -> LedgerState:
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


@_apply.register
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


@_apply.register
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
