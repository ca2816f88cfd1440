"""``stillroom region approve``: what is charged, the steward's yes, the charge, the signature."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from client.approval import approve, approved_plan, check_policy, pinned_registry
from client.errors import NotApprovedError
from client.folder import RegionFolder
from client.policy import Policy
from privacy.ledger import Ledger
from privacy.plan import Plan
from stillroom.region_checking import require_pinned
from stillroom.region_costs import Cost, costs
from stillroom.region_opening import open_ledger, read_plan, require_artifacts


@dataclass(frozen=True, slots=True)
class Approved:
    """How an approval ended.

    Attributes:
        plan: The plan.
        costs: What it costs, against each limit of the account.
        before: Whether it was approved already, and nothing happened.
    """

    plan: Plan
    costs: Sequence[Cost]
    before: bool


def approve_plan(
    folder: RegionFolder,
    plan_file: Path,
    *,
    by: str,
    confirm: Callable[[Policy, Plan, Sequence[Cost]], None],
) -> Approved:
    """Approve a plan once; what can refuse without the artifacts does so before anybody is asked.

    Args:
        folder: The region's folder.
        plan_file: The plan.
        by: Who approves.
        confirm: Shows the costs and asks; leaves if the answer is no.

    Raises:
        ClientError: If policy, registry or artifacts refuse.
        PrivacyError: If the budget, the teacher's lineage or the ledger refuses.
        DistillationError: If the records are not usable under this plan.
    """
    policy = Policy.load(folder.policy)
    plan, data = read_plan(plan_file)
    with open_ledger(folder) as ledger:
        check_policy(policy, plan, paid=ledger.state.paid_by(policy.lineage))
        require_pinned(folder, policy)
        pinned_registry(folder, policy)
        price = costs(plan, policy, ledger.state)
        if _is_approved(folder, ledger, plan):
            return Approved(plan, price, before=True)
        for one in price:
            one.require()
        require_artifacts(folder, plan_file)
        confirm(policy, plan, price)
        approve(folder, data, ledger=ledger, approved_by=_approver(ledger, plan, by))
        return Approved(plan, price, before=False)


def _is_approved(folder: RegionFolder, ledger: Ledger, plan: Plan) -> bool:
    """Return whether this very plan is the one in force, charged and signed."""
    try:
        return approved_plan(folder, ledger).hash == plan.hash
    except NotApprovedError:
        return False


def _approver(ledger: Ledger, plan: Plan, by: str) -> str:
    """Return who signs: for a plan that was charged before, who approved it then.

    The signature is checked against the name in the ledger, which never changes.
    """
    known = ledger.state.plans.get(plan.hash)
    return known.approval.approved_by if known else by
