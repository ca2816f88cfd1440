"""What a plan costs a region's account, what is left then, and how far that goes."""

from collections.abc import Sequence
from dataclasses import dataclass

from client.policy import Policy
from privacy.charging import charge
from privacy.errors import BudgetExceededError, UnknownEntryError
from privacy.guarantee import Bound, Guarantee, describe
from privacy.ledger_state import LedgerState
from privacy.plan import Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one plan costs against one limit of the account.

    Attributes:
        limit: What is granted.
        left: What is left now.
        charge: What the plan costs, once.
        charged_before: Whether it was.
        rounds: Rounds of the plan.
    """

    limit: Bound
    left: Guarantee
    charge: Guarantee
    charged_before: bool
    rounds: int

    @property
    def fits(self) -> bool:
        """Whether the account can pay."""
        return self.charged_before or self.left.covers(self.charge)

    @property
    def after(self) -> Guarantee:
        """What is left once the plan is charged."""
        return self.left if self.charged_before else self.left.minus(self.charge)

    @property
    def further(self) -> int:
        """How many more plans of this kind the rest pays for; ε and δ both have to last."""
        if not self.fits:
            return 0
        return int(
            min(
                self.after.epsilon // self.charge.epsilon,
                self.after.delta // self.charge.delta,
            )
        )

    def sentences(self) -> list[str]:
        """Say it, for a steward."""
        if not self.fits:
            return [f"the plan costs {self._said(self.charge)}; {self._shortage()}"]
        cost, then = ("was charged", "now") if self.charged_before else ("costs", "then")
        return [
            f"the plan {cost} {self._said(self.charge)}; slack for lost rounds is in it",
            f"left of {self._said(self.limit.guarantee)} are {then} {self._said(self.after)}",
            f"that pays for {_count(self.further, 'more plan')} of this kind, new studies or "
            f"refreshes of this one: {_count(self.further * self.rounds, 'more round')}",
        ]

    def _shortage(self) -> str:
        return f"the account has {self._said(self.left)} left: ask for a cheaper plan"

    def require(self) -> None:
        """Check that the account can pay.

        Raises:
            BudgetExceededError: If it cannot; nothing was charged.
        """
        if not self.fits:
            raise BudgetExceededError("; ".join(self.sentences()))

    def to_json(self) -> dict[str, str | int | bool]:
        """Return the figures for machines."""
        return {
            "unit": self.limit.unit.value,
            "neighbours": self.limit.neighbours.value,
            "epsilon": f"{self.charge.epsilon:f}",
            "delta": f"{self.charge.delta:f}",
            "epsilon_left": f"{self.after.epsilon:f}",
            "delta_left": f"{self.after.delta:f}",
            "charged_before": self.charged_before,
            "fits": self.fits,
            "further_plans": self.further,
            "further_rounds": self.further * self.rounds,
        }

    def _said(self, guarantee: Guarantee) -> str:
        return describe(guarantee, unit=self.limit.unit, neighbours=self.limit.neighbours)


def costs(plan: Plan, policy: Policy, state: LedgerState) -> Sequence[Cost]:
    """Return what the plan costs, against each limit of the region's account.

    Raises:
        UnknownEntryError: If the ledger has no account for the policy's data.
        PlanRefusedError: If the plan is not for this region, or cannot be charged here.
    """
    account = state.accounts.get(state.payer(policy.lineage))
    if account is None:
        raise UnknownEntryError(
            f"budget.lineage: the ledger has no account {policy.lineage!r}, it has "
            f"{', '.join(state.accounts) or 'none'}: correct the policy"
        )
    known = state.plans.get(plan.hash)
    before = {one.relation: one.guarantee for one in known.approval.charges} if known else {}
    return [
        Cost(
            limit=limit,
            left=limit.guarantee.minus(account.charged[limit.relation]),
            charge=before.get(limit.relation)
            or charge(plan, policy.region, unit=limit.unit, neighbours=limit.neighbours),
            charged_before=known is not None,
            rounds=plan.rounds,
        )
        for limit in account.limits
    ]


def _count(number: int, what: str) -> str:
    return f"{number or 'no'} {what}{'' if number == 1 else 's'}"
