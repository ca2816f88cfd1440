"""What a report says of the run as a whole: origin, plan, actors, software, signatures.

Each part has a default that says what was not recorded, so that no field is ever left out.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import accumulate
from typing import Self

from privacy.accountant import INTERVAL
from privacy.errors import MalformedDocumentError
from privacy.guarantee import NOTHING, Bound
from privacy.plan import Plan
from privacy.report.declared import NOT_RECORDED


@dataclass(frozen=True, slots=True)
class Origin:
    """Which report this is, and what made it.

    Attributes:
        report: Its name, made of study, plan and time.
        period_start: The first entry of any ledger in the report, Unix seconds; 0 if none is.
        period_end: The last one.
        generator: The software and version that wrote the report.
        language: The language of its sentences.
    """

    report: str
    period_start: int
    period_end: int
    generator: str
    language: str

    @classmethod
    def made(cls, *, plan: str, created_at: str, times: Sequence[int]) -> Self:
        """Return the origin of a report that is made now.

        Args:
            plan: SHA-256 of its plan.
            created_at: Its time.
            times: Of the first and last entries of its ledgers.
        """
        return cls(
            report=f"stillroom-{plan[:16]}-{created_at}",
            period_start=min(times, default=0),
            period_end=max(times, default=0),
            generator=f"stillroom {_version('stillroom')}",
            language="en",
        )


@dataclass(frozen=True, slots=True)
class Accounting:
    """How privacy was accounted for."""

    accountant: str
    version: str
    discretisation: Decimal
    rounding: str
    delta_rule: str
    composition: str
    stopping: str

    @classmethod
    def made(cls) -> Self:
        """Return how this release accounts."""
        return cls(
            accountant=(
                "privacy loss distributions of dp-accounting, held against a second computation: "
                "Rényi orders, or a finer grid where those say nothing; the smaller valid bound "
                "is charged"
            ),
            version=f"dp-accounting {_version('dp-accounting')}",
            discretisation=Decimal(repr(INTERVAL)),
            rounding="every figure is rounded towards more loss, ε up to the next 0.001",
            delta_rule="one δ a plan, at most 1 / public size of each region; δ's add up",
            composition=(
                "within a plan by the accountant, over all its steps at once; over plans, "
                "versions of the data and merged lineages ε and δ add up"
            ),
            stopping=(
                "every step that a plan allows is charged when the plan is approved and never "
                "given back; a count of steps stops it, not a figure of ε"
            ),
        )


@dataclass(frozen=True, slots=True)
class Actor:
    """Who could see what, and what is trusted."""

    name: str
    sees: str
    trusted_for: str


ACTORS = (
    Actor(
        "a region, for its own records",
        "its records, its unmasked updates",
        "its own machine, policy and code; nothing else in the guarantee rests on anybody",
    ),
    Actor(
        "the coordinator",
        "sums of noised updates, masked vectors, who took part and when",
        "availability only; it may choose, drop and repeat messages",
    ),
    Actor(
        "other regions",
        "the same sums, the student after each round",
        "nothing; they may share what they know with the coordinator",
    ),
    Actor(
        "who receives a student",
        "the student, and with it all that the rounds released",
        "nothing; they may know every record but one",
    ),
)


@dataclass(frozen=True, slots=True)
class PlanTerms:
    """What the approved plan fixed for all regions.

    Attributes:
        plan: Its SHA-256.
        promise: What it promised each region's units, slack included.
        rounds: Rounds of the study.
        slack_rounds: Rounds more that retries may burn; charged too.
        local_steps: Noised steps of a region in one round.
        clip_norm: The largest norm of one unit's gradient.
        optimizer: What becomes of the sum.
        threshold: Regions needed to unmask a sum.
        cohort: Regions of the plan.
        encoding: How a vector is written before it is masked.
        sampler: How units enter a step.
        noise: Where the noise comes from.
        artifacts: SHA-256 of what travelled beside the plan, by name.
    """

    plan: str
    promise: Bound
    rounds: int
    slack_rounds: int
    local_steps: int
    clip_norm: Decimal
    optimizer: str
    threshold: int
    cohort: int
    encoding: str
    sampler: str
    noise: str
    artifacts: tuple[Artifact, ...]

    @classmethod
    def of(cls, plan: Plan) -> Self:
        """Return the terms of a plan."""
        how, sums = plan.optimizer, plan.sum
        return cls(
            plan=plan.hash,
            promise=plan.promise,
            rounds=plan.rounds,
            slack_rounds=plan.slack_rounds,
            local_steps=plan.local_steps,
            clip_norm=plan.clip_norm,
            optimizer=f"{how.name}, rate {how.learning_rate:f}, momentum {how.momentum:f}",
            threshold=sums.threshold,
            cohort=len(plan.cohort),
            encoding=(
                f"words of {sums.bits} bits, range {sums.value_range:f}, "
                f"{'rotated' if sums.rotate else 'not rotated'}; the mask is added modulo "
                f"2^{sums.bits}"
            ),
            sampler="Poisson: every unit by its own draw in each step, batches not cut off",
            noise=(
                "Gaussian in float64 from the operating system's randomness, expanded by a "
                "cryptographic generator; added before anything is masked"
            ),
            artifacts=tuple(
                Artifact(name, str(digest)) for name, digest in plan.artifacts.to_json().items()
            ),
        )


@dataclass(frozen=True, slots=True)
class Artifact:
    """Something that is named by its hash."""

    name: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Software:
    """On what it ran, beyond the versions of packages."""

    commit: str = NOT_RECORDED
    lock_file: str = NOT_RECORDED
    container: str = NOT_RECORDED
    hardware: str = NOT_RECORDED
    unit_tests: str = NOT_RECORDED


@dataclass(frozen=True, slots=True)
class SeveralRegions:
    """What holds for somebody with one unit in each of so many regions: charges add up."""

    regions: int
    bound: Bound


def several_regions(charges: Sequence[Bound]) -> tuple[SeveralRegions, ...]:
    """Return the bound for one person in 1, 2, … regions, whichever they are.

    Args:
        charges: What each region was charged, all in one unit and relation.

    Raises:
        InvalidBudgetError: If the δ's add up to 1 or more.
    """
    unit, neighbours = charges[0].relation
    # The m largest ε's and the m largest δ's: they need not be the same regions'.
    epsilons = sorted((one.epsilon for one in charges), reverse=True)
    deltas = sorted((one.delta for one in charges), reverse=True)
    sums = zip(accumulate(epsilons), accumulate(deltas), strict=True)
    return tuple(
        SeveralRegions(number, Bound(unit, neighbours, epsilon, delta))
        for number, (epsilon, delta) in enumerate(sums, start=1)
        if NOTHING.delta < delta < 1
    )


@dataclass(frozen=True, slots=True)
class Signature:
    """A signed note over the report's hash, as whoever signed it gave it.

    Attributes:
        role: ``operator``, ``region``, ``auditor`` or ``expert``.
        name: Who signed.
        note: The signed note.
    """

    role: str
    name: str
    note: str

    def __post_init__(self) -> None:
        if not (self.role and self.name and self.note):
            raise MalformedDocumentError("expected a signature with role, name and note")


def _version(package: str) -> str:
    """Return a package's version; a verifier may run from a folder that is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return NOT_RECORDED
