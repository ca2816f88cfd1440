"""The figures of a report, made anew from ledgers and plan, in the spelling that reports have."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from privacy.canonical import Json
from privacy.events import Composed, Event, SampledGaussian, for_persons
from privacy.fields import decimal_text
from privacy.guarantee import NOTHING, Bound, Unit
from privacy.ledger_values import LedgerState
from privacy.plan import TRAIN, Plan
from verify.evidence import cost_of

PARTS: Mapping[str, Callable[[Plan], Json]] = {
    "study": lambda plan: plan.study,
    "sums.min_survivors": lambda plan: plan.sum.min_survivors,
    "sums.assumed_colluders": lambda plan: plan.sum.assumed_colluders,
    "sums.any_survivors": lambda plan: plan.sum.any_survivors,
    "teacher.declaration.lineage": lambda plan: plan.teacher.lineage.value,
    "teacher.declaration.population": lambda plan: plan.teacher.population,
}
"""What a report says of the run as a whole, by path; held against the plan where it is there."""

_REGION = (
    *("name", "lineage", "charged", "budget", "noise_multiplier", "clip_norm", "sample_rate"),
    *("max_steps", "reserved_steps", "released_steps", "public_size", "sent"),
    "executed_epsilon",
)
KNOWN = frozenset({"plan", *PARTS, *(f"regions.{key}" for key in _REGION)})
"""Every path of a report that a verifier recomputes; what is below one of them counts."""


def figures(state: LedgerState, plan: Plan, region: str) -> Mapping[str, Json]:
    """Return what a report must say of one region; empty if it did not approve the plan.

    Args:
        state: The folded ledger.
        plan: The plan.
        region: One of its cohort.
    """
    approved = state.plans.get(plan.hash)
    if approved is None or TRAIN not in approved.components:
        return {}
    terms, part = plan.region(region), approved.components[TRAIN]
    event = approved.approval.components[TRAIN]
    rate = event.sample_rate if isinstance(event, SampledGaussian) else 1
    return {
        "name": state.region,
        **_account(state, plan),
        "noise_multiplier": decimal_text(event.noise_multiplier),
        "clip_norm": decimal_text(plan.clip_norm),
        "sample_rate": str(rate),
        "max_steps": part.max_steps,
        "reserved_steps": part.reserved_steps,
        "released_steps": part.executed_steps,
        "public_size": terms.public_size,
        "sent": [
            {
                "round": one.round + 1,
                "wire_bytes": one.wire_bytes,
                "wire_sha256": one.wire_sha256,
                "destination": one.destination,
            }
            for one in part.sends.values()
        ],
    }


def _account(state: LedgerState, plan: Plan) -> dict[str, Json]:
    lineage = state.payer(state.plans[plan.hash].approval.lineage)
    account, relation = state.accounts[lineage], plan.promise.relation
    charged = account.charged.get(relation, NOTHING)
    limits = [limit for limit in account.limits if limit.relation == relation]
    return {
        "lineage": lineage,
        "charged": Bound(*relation, charged.epsilon, charged.delta).to_json(),
        "budget": limits[0].to_json() if len(limits) == 1 else "several",
    }


def executed_epsilon(state: LedgerState, plan: Plan) -> float | None:
    """Return the ε of the plan's released steps in its own unit and relation; None without any.

    It is a reading and no guarantee: when to stop may have depended on what was released.
    """
    approved = state.plans.get(plan.hash)
    if approved is None:
        return None
    parts = tuple(
        replace(event, steps=approved.components[name].executed_steps)
        for name, event in approved.approval.components.items()
        if approved.components[name].executed_steps
    )
    if not parts:
        return None
    event: Event = Composed(parts)
    cap = approved.approval.max_records_per_person
    if plan.unit is Unit.PERSON and approved.approval.unit is Unit.RECORD and cap:
        event = for_persons(event, records=cap)
    return float(cost_of(event, plan.delta, plan.neighbours))
