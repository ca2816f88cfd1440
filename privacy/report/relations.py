"""In which units and relations something can be said about a lineage, and what.

The account's own limits come first: those were charged. Beside them stands what follows from the
same plans: replacing a unit, and persons where each plan caps one person's records.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from decimal import Decimal

from privacy.charging import charged_epsilon
from privacy.errors import UnsupportedEventError
from privacy.events import Composed, Event, MixtureOfGaussians
from privacy.guarantee import Bound, Neighbours, Unit
from privacy.ledger_grants import Approval
from privacy.ledger_state import LedgerState
from privacy.plan import Plan
from privacy.report.protection import Basis, Protection, computed, protection_of

_TEACHER = (
    "The charge includes a teacher's guarantee that is one (ε, δ) and no curve; other values of δ "
    "and other relations are not given."
)
_NO_PERSONS = (
    "Nothing is said about persons: a plan speaks of records and declares no cap on the records "
    "of one person."
)
_NO_CURVE = "The bound for replacing a unit of several records is computed at this δ only."


def protections_of(
    state: LedgerState, plan: Plan, paid: Collection[str], *, all_relations: bool
) -> tuple[tuple[Protection, ...], tuple[str, ...]]:
    """Return what the charges mean in each relation, and why something is missing.

    Args:
        state: The folded ledger.
        plan: The reported plan; its own relation comes first.
        paid: Every plan that the account paid for.
        all_relations: Whether to go beyond the account's limits.

    Raises:
        UnsupportedEventError: If the accountants do not agree about it.
    """
    approvals = _approvals(state, plan, paid)
    account = state.accounts[state.payer(approvals[0].lineage)]
    limited = sorted(account.charged, key=lambda one: one != plan.promise.relation)
    whole = all(_is_whole(one) for one in approvals)
    found = []
    for relation in limited:
        owed = account.charged[relation]
        bound = Bound(*relation, owed.epsilon, owed.delta)
        found.append(_protection(bound, Basis.CHARGED, approvals if whole else ()))
    notes = [] if whole else [_TEACHER]
    others = [one for one in _relations(approvals) if one not in account.charged]
    if Unit.PERSON not in {unit for unit, _ in (*limited, *others)}:
        notes.append(_NO_PERSONS)
    if whole and all_relations:
        found += [_computed(approvals, *relation) for relation in others]
    return tuple(found), tuple(notes)


def _approvals(state: LedgerState, plan: Plan, paid: Collection[str]) -> tuple[Approval, ...]:
    """Return the approvals, the reported plan's first."""
    others = [state.plans[name].approval for name in state.plans if name in paid]
    return tuple(sorted(others, key=lambda one: one.plan != plan.hash))


def _relations(approvals: tuple[Approval, ...]) -> Iterator[tuple[Unit, Neighbours]]:
    for unit in Unit:
        if all(one.event_for(unit) is not None for one in approvals):
            yield from ((unit, neighbours) for neighbours in Neighbours)


def _is_whole(approval: Approval) -> bool:
    """Return whether the charges are those of the plan's own steps, and nothing on top."""
    for charge in approval.charges:
        event = approval.event_for(charge.unit)
        if event is None:
            return False
        own = charged_epsilon(event, delta=charge.delta, neighbours=charge.neighbours)
        if own != charge.epsilon:
            return False
    return True


def _computed(approvals: tuple[Approval, ...], unit: Unit, neighbours: Neighbours) -> Protection:
    plans = list(zip(_events(approvals, unit), _deltas(approvals), strict=True))
    bound = computed(plans, unit=unit, neighbours=neighbours)
    return _protection(bound, Basis.COMPUTED, approvals)


def _protection(bound: Bound, basis: Basis, approvals: tuple[Approval, ...]) -> Protection:
    events = _events(approvals, bound.unit)
    if bound.neighbours is Neighbours.REPLACE_ONE and any(map(_has_several, events)):
        return protection_of(bound, basis, (), note=_NO_CURVE)
    return protection_of(bound, basis, events)


def _events(approvals: tuple[Approval, ...], unit: Unit) -> tuple[Event, ...]:
    events = tuple(event for one in approvals if (event := one.event_for(unit)) is not None)
    if len(events) < len(approvals):
        raise UnsupportedEventError(f"expected every plan to say something about each {unit}")
    return events


def _deltas(approvals: tuple[Approval, ...]) -> Iterator[Decimal]:
    """Yield the δ that each plan was charged at; with no teacher on top it is the plan's own."""
    return (one.charges[0].delta for one in approvals)


def _has_several(event: Event) -> bool:
    if isinstance(event, Composed):
        return any(map(_has_several, event.events))
    return isinstance(event, MixtureOfGaussians)
