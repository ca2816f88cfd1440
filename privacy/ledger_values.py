"""What a ledger's entries add up to: accounts, plans, and what was done under them.

Values only, looked up by name; ``ledger_state.fold`` makes the next one from an entry.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from privacy.guarantee import Bound, Guarantee, Neighbours, Unit
from privacy.ledger_entries import NO_HASH
from privacy.ledger_grants import Approval
from privacy.ledger_incidents import Lift
from privacy.ledger_steps import Release, Reserve, Reveal, Send, Sum


@dataclass(frozen=True, slots=True)
class Lifted:
    """A lift that an account relies on, where it stands.

    Attributes:
        lift: What was said and signed.
        previous: SHA-256 of the entry before it, which the signature covers.
    """

    lift: Lift
    previous: str


@dataclass(frozen=True, slots=True)
class AccountState:
    """One lineage's limits and what was charged against each.

    Attributes:
        limits: What the steward granted.
        charged: What is owed, by unit and relation.
        frozen: Why nothing may be spent or leave now; empty if it may.
        lifts: What it relies on if it was frozen before: whoever uses it checks the signatures.
    """

    limits: tuple[Bound, ...]
    charged: Mapping[tuple[Unit, Neighbours], Guarantee]
    frozen: str = ""
    lifts: tuple[Lifted, ...] = ()


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
        merged: The accounts that ended in another one, with that one's lineage.
    """

    region: str = ""
    size: int = 0
    head: str = NO_HASH
    time: int = 0
    accounts: Mapping[str, AccountState] = field(default_factory=dict)
    plans: Mapping[str, PlanState] = field(default_factory=dict)
    merged: Mapping[str, str] = field(default_factory=dict)

    def payer(self, lineage: str) -> str:
        """Return whose account pays for a lineage: its own, or the one that it was merged into."""
        return self.merged.get(lineage, lineage)

    def paid_by(self, lineage: str) -> frozenset[str]:
        """Return the hashes of the plans that the account of a lineage was charged for."""
        payer = self.payer(lineage)
        return frozenset(
            plan
            for plan, known in self.plans.items()
            if self.payer(known.approval.lineage) == payer
        )

    def frozen(self, lineage: str) -> str:
        """Return why the account that pays for a lineage is stopped; empty if it is not."""
        account = self.accounts.get(self.payer(lineage))
        return account.frozen if account else ""

    def lifts(self, lineage: str) -> tuple[Lifted, ...]:
        """Return the lifts that the account that pays for a lineage relies on."""
        account = self.accounts.get(self.payer(lineage))
        return account.lifts if account else ()

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
