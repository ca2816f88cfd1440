"""The plan: every release that a study may ever make, fixed before any data is touched.

A plan is what a steward approves, what an account is charged for, and what the client runs; all
of it is named by one hash. It is canonical JSON, so there is one spelling of it, and an edited
plan is another plan. It holds no path, no address and no code.

Its rounds include slack: a crash after a reserve burns that reserve (see ``ledger``), and the
slack pays for it, inside the promised ε.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Self

from privacy.canonical import Json, dumps, loads
from privacy.errors import MalformedDocumentError, PlanRefusedError
from privacy.fields import Fields, decimal_text
from privacy.guarantee import Bound, Neighbours, Unit
from privacy.lineage import Declaration
from privacy.plan_audit import PlannedAudit
from privacy.plan_builder import TRAIN, DeclaredRelease, slack_rounds, solve_components
from privacy.plan_checks import (
    check_audit,
    check_components,
    check_promise,
    check_regions,
    check_schedule,
)
from privacy.plan_components import Component, ComponentKind
from privacy.plan_terms import (
    Artifacts,
    OptimizerName,
    OptimizerTerms,
    RegionTerms,
    SumTerms,
    require_positive,
)

__all__ = [
    "TRAIN",
    "Artifacts",
    "Component",
    "ComponentKind",
    "DeclaredRelease",
    "OptimizerName",
    "OptimizerTerms",
    "Plan",
    "PlannedAudit",
    "RegionTerms",
    "SumTerms",
    "slack_rounds",
]

FORMAT = "stillroom-plan/2"


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that a study may release, and the promise about it.

    Attributes:
        study: Its name.
        unit: What is protected.
        neighbours: The relation of the promise.
        epsilon: The promise for each region's units, slack included; > 0.
        delta: Its δ; at most 1 / public size of every region.
        clip_norm: C, the largest norm of one unit's gradient.
        rounds: Rounds of the study.
        slack_rounds: Rounds more that retries may burn.
        local_steps: Noised steps of a region in one round.
        regions: The cohort, ascending by name; the weights add up to 1.
        sum: How updates are added up.
        optimizer: What becomes of the sum.
        artifacts: What travels beside the plan.
        teacher: Where the teacher comes from.
        audit: What every region adds to its training to audit it; None: nothing.
    """

    study: str
    unit: Unit
    neighbours: Neighbours
    epsilon: Decimal
    delta: Decimal
    clip_norm: Decimal
    rounds: int
    slack_rounds: int
    local_steps: int
    regions: tuple[RegionTerms, ...]
    sum: SumTerms
    optimizer: OptimizerTerms
    artifacts: Artifacts
    teacher: Declaration
    audit: PlannedAudit | None = None

    def __post_init__(self) -> None:
        require_positive("the clip norm", self.clip_norm)
        check_regions(self)
        check_components(self)
        check_promise(self)
        check_schedule(self)
        check_audit(self)

    @classmethod
    def create(
        cls,
        *,
        study: str,
        unit: Unit,
        neighbours: Neighbours,
        epsilon: Decimal,
        delta: Decimal,
        clip_norm: Decimal,
        rounds: int,
        local_steps: int,
        sample_rate: Fraction,
        public_sizes: Mapping[str, int],
        weights: Mapping[str, Fraction],
        max_records_per_unit: Mapping[str, int],
        sum_terms: SumTerms,
        optimizer: OptimizerTerms,
        artifacts: Artifacts,
        teacher: Declaration,
        runs: int = 1,
        releases: Sequence[DeclaredRelease] = (),
        max_records_per_person: Mapping[str, int] | None = None,
    ) -> Self:
        """Make a plan and solve the noise multiplier of its training.

        Guarantees: all components of a region together keep the promise.

        Args:
            study: Its name.
            unit: What is protected.
            neighbours: The relation of the promise.
            epsilon: The promise, for rounds and slack together.
            delta: Its δ.
            clip_norm: C, the largest norm of one unit's gradient.
            rounds: Rounds of the study; 5 % more, at least one, are added as slack.
            local_steps: Noised steps of a region in one round.
            sample_rate: Chance that one unit is in one step.
            public_sizes: By region.
            weights: Each region's share of the mean; they add up to 1.
            max_records_per_unit: By region; 1 where it is not named.
            sum_terms: How updates are added up.
            optimizer: What becomes of the sum.
            artifacts: What travels beside the plan.
            teacher: Where the teacher comes from.
            runs: Training runs of a declared sweep: ``train``, ``train-2``, ….
            releases: Scalars and counts that are released beside the training.
            max_records_per_person: Where the unit is the record: declared caps, by region.

        Raises:
            PlanRefusedError: If the plan contradicts itself.
            InvalidBudgetError: If the promise is none, or no noise multiplier keeps it.
            UnsupportedEventError: If a rate or a number of steps is out of range.
        """
        slack = slack_rounds(rounds)
        components = solve_components(
            epsilon=epsilon,
            delta=delta,
            neighbours=neighbours,
            sample_rate=sample_rate,
            steps=(rounds + slack) * local_steps,
            runs=runs,
            releases=releases,
        )
        regions = tuple(
            RegionTerms(
                name=name,
                public_size=public_sizes[name],
                max_records_per_unit=max_records_per_unit.get(name, 1),
                weight=weights[name],
                components=components,
                max_records_per_person=(max_records_per_person or {}).get(name),
            )
            for name in sorted(public_sizes)
        )
        return cls(
            study=study,
            unit=unit,
            neighbours=neighbours,
            epsilon=epsilon,
            delta=delta,
            clip_norm=clip_norm,
            rounds=rounds,
            slack_rounds=slack,
            local_steps=local_steps,
            regions=regions,
            sum=sum_terms,
            optimizer=optimizer,
            artifacts=artifacts,
            teacher=teacher,
        )

    @property
    def cohort(self) -> tuple[str, ...]:
        """The regions' names, ascending."""
        return tuple(region.name for region in self.regions)

    @property
    def promise(self) -> Bound:
        """(ε, δ) with unit and relation."""
        return Bound(self.unit, self.neighbours, self.epsilon, self.delta)

    @property
    def hash(self) -> str:
        """SHA-256 of the canonical bytes, in hexadecimal."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

    def region(self, name: str) -> RegionTerms:
        """Return one region's terms.

        Raises:
            PlanRefusedError: If the region is not in the cohort.
        """
        for region in self.regions:
            if region.name == name:
                return region
        raise PlanRefusedError(
            f"the plan is for {', '.join(self.cohort)}, not for {name!r}; ask for one that is"
        )

    def to_json(self) -> dict[str, Json]:
        """Return the plan as plain values."""
        audit: dict[str, Json] = {} if self.audit is None else {"audit": self.audit.to_json()}
        return {
            **audit,
            "format": FORMAT,
            "study": self.study,
            "promise": self.promise.to_json(),
            "clip_norm": decimal_text(self.clip_norm),
            "rounds": self.rounds,
            "slack_rounds": self.slack_rounds,
            "local_steps": self.local_steps,
            "regions": [region.to_json() for region in self.regions],
            "sum": self.sum.to_json(),
            "optimizer": self.optimizer.to_json(),
            "artifacts": self.artifacts.to_json(),
            "teacher": self.teacher.to_json(),
        }

    def to_bytes(self) -> bytes:
        """Return the canonical bytes, which the hash is over."""
        return dumps(self.to_json())

    @classmethod
    def from_bytes(cls, data: bytes, *, expected_hash: str | None = None) -> Self:
        """Read a plan that somebody else wrote.

        Args:
            data: Canonical bytes.
            expected_hash: The hash that was approved, in hexadecimal; None to accept any.

        Raises:
            PlanRefusedError: If the hash is another, or the plan contradicts itself.
            MalformedDocumentError: If the bytes are no plan of this version.
            InvalidBudgetError: If the promise is none.
            UnsupportedEventError: If a component cannot be accounted for.
        """
        found = hashlib.sha256(data).hexdigest()
        if expected_hash is not None and found != expected_hash:
            raise PlanRefusedError(
                f"expected the plan {expected_hash[:16]}…, got {found[:16]}…: it was edited after "
                "its approval; restore the approved file, or have this one approved"
            )
        return cls._from_fields(Fields(loads(data), where="plan"))

    @classmethod
    def _from_fields(cls, fields: Fields) -> Self:
        found = fields.text("format")
        if found != FORMAT:
            raise MalformedDocumentError(
                f"expected a plan of the format {FORMAT}, got {found[:40]!r}; update stillroom"
            )
        promise = Bound.from_fields(fields.object("promise"))
        audit = fields.optional_object("audit")
        plan = cls(
            study=fields.text("study"),
            unit=promise.unit,
            neighbours=promise.neighbours,
            epsilon=promise.epsilon,
            delta=promise.delta,
            clip_norm=fields.decimal("clip_norm"),
            rounds=fields.integer("rounds", least=1),
            slack_rounds=fields.integer("slack_rounds"),
            local_steps=fields.integer("local_steps", least=1),
            regions=tuple(map(RegionTerms.from_fields, fields.objects("regions"))),
            sum=SumTerms.from_fields(fields.object("sum")),
            optimizer=OptimizerTerms.from_fields(fields.object("optimizer")),
            artifacts=Artifacts.from_fields(fields.object("artifacts")),
            teacher=Declaration.from_fields(fields.object("teacher")),
            audit=None if audit is None else PlannedAudit.from_fields(audit),
        )
        fields.close()
        return plan
