"""A region's part of a report, read off its ledger and the plan: no figure is typed by hand."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

from privacy.accountant import PldAccountant
from privacy.accounting_terms import round_down
from privacy.errors import UnknownEntryError
from privacy.events import Event, SampledGaussian
from privacy.guarantee import Bound, Neighbours, round_up
from privacy.ledger_entries import Entry
from privacy.ledger_state import LedgerState, fold_all
from privacy.plan import TRAIN, Plan
from privacy.report.declared import NOT_RECORDED
from privacy.report.evidence import (
    Contribution,
    Executed,
    Integrity,
    Limit,
    RegionEvidence,
    Witnessed,
)
from privacy.report.ledger_rows import (
    mechanisms_of,
    messages_of,
    noted_of,
    plans_of,
    released_of,
    self_tests_of,
)
from privacy.report.parts import Region, Sent
from privacy.report.relations import protections_of
from privacy.tree import leaf_hash, root

_MOST_EXECUTED = 12  # rounds at which the released steps are accounted for, spread evenly


def region_of(state: LedgerState, plan: Plan) -> Region:
    """Return what the ledger's region promised and sent under ``plan``.

    Args:
        state: The folded ledger.
        plan: A plan that was approved in it.

    Raises:
        UnknownEntryError: If the plan was not approved there.
        PlanRefusedError: If the region is not in the plan.
    """
    lineage = _payer(state, plan)
    terms = plan.region(state.region)
    account, part = state.accounts[lineage], state.plans[plan.hash].components[TRAIN]
    charged = account.charged[plan.promise.relation]
    (budget,) = (limit for limit in account.limits if limit.relation == plan.promise.relation)
    return Region(
        name=state.region,
        lineage=lineage,
        charged=Bound(*budget.relation, charged.epsilon, charged.delta),
        budget=budget,
        noise_multiplier=terms.component(TRAIN).noise_multiplier,
        clip_norm=plan.clip_norm,
        sample_rate=terms.component(TRAIN).sample_rate,
        max_steps=part.max_steps,
        reserved_steps=part.reserved_steps,
        released_steps=part.executed_steps,
        public_size=terms.public_size,
        sent=tuple(
            Sent(one.round + 1, one.wire_bytes, one.wire_sha256, one.destination)
            for one in part.sends.values()
        ),
    )


def evidence_of(
    bodies: Sequence[bytes],
    plan: Plan,
    *,
    key: str = NOT_RECORDED,
    checkpoints: Sequence[Witnessed] = (),
    all_relations: bool = True,
    state: LedgerState | None = None,
) -> RegionEvidence:
    """Return what the region's ledger says beyond its part of the claim.

    Args:
        bodies: Every entry of the ledger, as it is stored.
        plan: A plan that was approved in it.
        key: The key that signs the ledger's checkpoints, in hexadecimal.
        checkpoints: Those that come with the report; whoever passes them has checked signatures.
        all_relations: Whether to compute what the account does not limit too: replacing a unit,
            and persons where the plans cap their records. That can take minutes.
        state: What the bodies add up to, for a caller that has folded them already.

    Raises:
        LedgerError: If the bodies are no ledger.
        UnknownEntryError: If the plan was not approved there.
        PlanRefusedError: If the region is not in the plan.
        UnsupportedEventError: If the accountants do not agree about what is computed.
    """
    state = fold_all(bodies) if state is None else state
    entries = [Entry.from_bytes(body) for body in bodies]
    lineage = _payer(state, plan)
    terms, account = plan.region(state.region), state.accounts[lineage]
    paid = frozenset(
        name
        for name, found in state.plans.items()
        if state.payer(found.approval.lineage) == lineage
    )
    protection, notes = protections_of(state, plan, paid, all_relations=all_relations)
    return RegionEvidence(
        region=state.region,
        lineage=lineage,
        absorbed=tuple(sorted(name for name in state.merged if state.payer(name) == lineage)),
        contribution=Contribution(
            plan.unit, terms.max_records_per_unit, terms.max_records_per_person
        ),
        limits=tuple(
            Limit(limit, charged, limit.guarantee.minus(charged))
            for limit in account.limits
            for charged in (account.charged[limit.relation],)
        ),
        protection=protection,
        notes=notes,
        executed=_executed(state, plan),
        plans=plans_of(entries, paid),
        mechanisms=mechanisms_of(state, paid),
        released=released_of(entries, paid),
        messages=messages_of(entries, paid),
        self_tests=self_tests_of(entries),
        noted=noted_of(entries),
        integrity=Integrity(
            entries=state.size,
            root=root([leaf_hash(body) for body in bodies]).hex(),
            head=state.head,
            first_at=entries[0].time,
            last_at=state.time,
            key=key,
            checkpoints=tuple(sorted(checkpoints, key=lambda one: (one.size, one.at))),
        ),
    )


def _payer(state: LedgerState, plan: Plan) -> str:
    approved = state.plans.get(plan.hash)
    if approved is None:
        raise UnknownEntryError(
            f"expected the plan {plan.hash[:16]}… in the ledger of {state.region}, it is not "
            "there; report the plan that the region approved"
        )
    return state.payer(approved.approval.lineage)


def _executed(state: LedgerState, plan: Plan) -> tuple[Executed, ...]:
    """Return the odometer of the plan's training: its released steps, round after round."""
    part = state.plans[plan.hash].components[TRAIN]
    event = state.plans[plan.hash].approval.components[TRAIN]
    if not isinstance(event, SampledGaussian):
        return ()
    steps, totals = 0, []
    for number in sorted(part.releases):
        draw = part.releases[number].draw
        steps += next(one.steps for one in part.reserves[number] if one.draw == draw)
        totals.append((number + 1, steps))
    every = -(-len(totals) // _MOST_EXECUTED) or 1
    kept = sorted({*totals[::every], *totals[-1:]})
    delta = round_down(Fraction(plan.delta))
    return tuple(
        Executed(number, done, _epsilon(_steps(event, done), plan.neighbours, delta))
        for number, done in kept
    )


def _steps(event: SampledGaussian, steps: int) -> SampledGaussian:
    return SampledGaussian(event.noise_multiplier, event.sample_rate, steps)


def _epsilon(event: Event, neighbours: Neighbours, delta: float) -> Decimal:
    return round_up(PldAccountant(neighbours).epsilon(event, delta))
