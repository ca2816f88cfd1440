"""Values that many tests of this package start from."""

from __future__ import annotations

import hashlib
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

from privacy.guarantee import Limit, Neighbours, Unit
from privacy.ledger import Ledger
from privacy.lineage import Declaration, TeacherLineage
from privacy.plan import (
    Artifacts,
    Component,
    OptimizerName,
    OptimizerTerms,
    Plan,
    RegionTerms,
    SumTerms,
    slack_rounds,
)

DIGEST = hashlib.sha256(b"artifact").hexdigest()
NOON = 1_800_000_000
RECORD_LIMIT = Limit(
    Unit.RECORD, Neighbours.ADD_OR_REMOVE_ONE, epsilon=Decimal(8), delta=Decimal("0.0001")
)


def region_terms(name: str, *, max_steps: int, noise_multiplier: str) -> RegionTerms:
    """A region of 600 units, one of three."""
    train = Component("train", Decimal(noise_multiplier), Fraction(1, 10), max_steps)
    return RegionTerms(
        name=name,
        public_size=600,
        max_records_per_unit=1,
        weight=Fraction(1, 3),
        components=(train,),
    )


def small_plan(
    *,
    study: str = "study",
    rounds: int = 4,
    local_steps: int = 2,
    epsilon: str = "3",
    delta: str = "0.00001",
    unit: Unit = Unit.RECORD,
    teacher: Declaration | None = None,
    noise_multiplier: str = "8",
) -> Plan:
    """A valid plan of three regions whose charge takes milliseconds."""
    slack = slack_rounds(rounds)
    regions = tuple(
        region_terms(
            name, max_steps=(rounds + slack) * local_steps, noise_multiplier=noise_multiplier
        )
        for name in ("east", "north", "west")
    )
    return Plan(
        study=study,
        unit=unit,
        neighbours=Neighbours.ADD_OR_REMOVE_ONE,
        epsilon=Decimal(epsilon),
        delta=Decimal(delta),
        clip_norm=Decimal(1),
        rounds=rounds,
        slack_rounds=slack,
        local_steps=local_steps,
        regions=regions,
        sum=SumTerms(threshold=2, min_survivors=3, bits=32, value_range=Decimal("0.5")),
        optimizer=OptimizerTerms(OptimizerName.SGD, Decimal(1), Decimal("0.9")),
        artifacts=Artifacts(*[DIGEST] * 7),
        teacher=teacher or Declaration(TeacherLineage.PUBLIC),
    )


def noon() -> int:
    """A clock that stands still."""
    return NOON


def ready_ledger(path: Path, plan: Plan) -> Ledger:
    """A ledger of the region north with an account and an approved plan."""
    ledger = Ledger.create(path, region="north", clock=noon)
    ledger.open_account("patients", [RECORD_LIMIT])
    ledger.admit_plan(plan, "north", "a steward")
    return ledger
