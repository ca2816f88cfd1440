"""What a region's ledger says, as values of a report.

Every field can be recomputed from the ledger and the plan; ``from_ledger`` makes them. Times
are Unix seconds, rounds are counted from 1 as people do.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from privacy.errors import MalformedDocumentError
from privacy.guarantee import Bound, Guarantee, Unit
from privacy.report.declared import NOT_RECORDED
from privacy.report.protection import Protection


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit of the account, what was charged against it, and what is left."""

    granted: Bound
    charged: Guarantee
    left: Guarantee


@dataclass(frozen=True, slots=True)
class ApprovedPlan:
    """A plan that the account paid for.

    Attributes:
        plan: SHA-256 of the plan.
        lineage: The account as it was named then; accounts may have been merged since.
        unit: The plan's unit.
        approved_by: Who read it, or ``simulation``.
        approved_at: When it was entered.
        charges: What it was charged, one for each limit.
    """

    plan: str
    lineage: str
    unit: Unit
    approved_by: str
    approved_at: int
    charges: tuple[Bound, ...]


@dataclass(frozen=True, slots=True)
class Contribution:
    """How much one unit can contribute.

    Attributes:
        unit: What one clip norm bounds.
        max_records_per_unit: The cap on its records.
        max_records_per_person: The declared cap on one person's records; None if nothing is said.
    """

    unit: Unit
    max_records_per_unit: int
    max_records_per_person: int | None


@dataclass(frozen=True, slots=True)
class Mechanism:
    """One component of one plan.

    Attributes:
        plan: SHA-256 of the plan.
        component: Its name.
        kind: The event, as the accountant knows it.
        noise_multiplier: Standard deviation of the noise over the clip norm.
        sample_rate: Chance that one unit is in one step; 1 where nothing is sampled.
        max_steps: Steps that the plan allows; all are charged.
        reserved_steps: Steps that were begun.
        released_steps: Steps whose result was released.
    """

    plan: str
    component: str
    kind: str
    noise_multiplier: Decimal
    sample_rate: Fraction
    max_steps: int
    reserved_steps: int
    released_steps: int


@dataclass(frozen=True, slots=True)
class Executed:
    """What the steps released up to a round come to: for information, no guarantee."""

    round: int
    steps: int
    epsilon: Decimal


@dataclass(frozen=True, slots=True)
class Released:
    """One noised payload, fixed before it was masked."""

    plan: str
    round: int
    component: str
    payload_bytes: int
    payload_sha256: str


@dataclass(frozen=True, slots=True)
class Message:
    """Bytes that left, and under which context."""

    plan: str
    round: int
    component: str
    context: str
    wire_bytes: int
    wire_sha256: str
    destination: str


@dataclass(frozen=True, slots=True)
class SelfTest:
    """One self-test of the trainer, as the ledger noted it."""

    at: int
    plan: str
    code: str
    subject: str
    passed: tuple[str, ...]
    failed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Noted:
    """Another note: a new version of the data, a halt, an incident."""

    at: int
    topic: str
    detail: str


@dataclass(frozen=True, slots=True)
class Witnessed:
    """A checkpoint of the ledger that somebody else vouches for.

    Attributes:
        size: Entries that it covers.
        root: Root over them, in hexadecimal.
        witnesses: Who cosigned it; empty if only the region signed it.
        at: When the latest witness signed; 0 if none did.
    """

    size: int
    root: str
    witnesses: tuple[str, ...]
    at: int

    def __post_init__(self) -> None:
        if self.size < 1 or (self.at > 0) != bool(self.witnesses):
            raise MalformedDocumentError(
                "expected a checkpoint of at least one entry, with a time if a witness signed it"
            )


@dataclass(frozen=True, slots=True)
class Integrity:
    """How the ledger can be told from another one.

    Attributes:
        entries: How many it has.
        root: Root of the tree over them, in hexadecimal.
        head: SHA-256 of the last one.
        first_at: When the first was written.
        last_at: When the last was.
        key: The key that signs its checkpoints, in hexadecimal.
        checkpoints: Those that come with the report, the largest last.
    """

    entries: int
    root: str
    head: str
    first_at: int
    last_at: int
    key: str = NOT_RECORDED
    checkpoints: tuple[Witnessed, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionEvidence:
    """What one region's ledger says beyond its part of the claim.

    Attributes:
        region: The region.
        lineage: The account that pays.
        absorbed: Accounts that were merged into it.
        contribution: How much one unit can contribute.
        limits: The account's limits, and what became of them.
        protection: What all charges mean, first in the plan's own unit and relation.
        notes: Why a figure is missing.
        executed: What the plan's released steps come to; no guarantee.
        plans: Every plan that the account paid for.
        mechanisms: Every component of those plans.
        released: Every payload.
        messages: Every message that carried a release.
        self_tests: Of the trainer.
        noted: Other notes.
        integrity: How the ledger can be told from another one.
    """

    region: str
    lineage: str
    absorbed: tuple[str, ...]
    contribution: Contribution
    limits: tuple[Limit, ...]
    protection: tuple[Protection, ...]
    notes: tuple[str, ...]
    executed: tuple[Executed, ...]
    plans: tuple[ApprovedPlan, ...]
    mechanisms: tuple[Mechanism, ...]
    released: tuple[Released, ...]
    messages: tuple[Message, ...]
    self_tests: tuple[SelfTest, ...]
    noted: tuple[Noted, ...]
    integrity: Integrity

    def __post_init__(self) -> None:
        if not self.limits or not self.plans or not self.protection:
            raise MalformedDocumentError(
                f"{self.region}: expected an account with a limit, a plan and what it means"
            )

    @property
    def bytes_out(self) -> int:
        """All bytes that left under the account's plans."""
        return sum(message.wire_bytes for message in self.messages)
