"""A region's part of a report, read off its ledger and the plan: no figure is typed by hand."""

from __future__ import annotations

from privacy.errors import UnknownEntryError
from privacy.guarantee import Bound
from privacy.ledger_state import LedgerState
from privacy.plan import TRAIN, Plan
from privacy.report.parts import Region, Sent


def region_of(state: LedgerState, plan: Plan) -> Region:
    """Return what the ledger's region promised and sent under ``plan``.

    Args:
        state: The folded ledger.
        plan: A plan that was approved in it.

    Raises:
        UnknownEntryError: If the plan was not approved there.
        PlanRefusedError: If the region is not in the plan.
    """
    approved = state.plans.get(plan.hash)
    if approved is None:
        raise UnknownEntryError(
            f"expected the plan {plan.hash[:16]}… in the ledger of {state.region}, it is not "
            "there; report the plan that the region approved"
        )
    terms = plan.region(state.region)
    lineage = state.payer(approved.approval.lineage)
    account, part = state.accounts[lineage], approved.components[TRAIN]
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
