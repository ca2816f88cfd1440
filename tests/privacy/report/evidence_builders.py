"""A report with the evidence of two ledgers, made by hand so that no accountant has to run."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

from privacy.guarantee import Bound, Neighbours, Unit
from privacy.report.audits import Audit
from privacy.report.declared import Declarations, DeclaredIdentity
from privacy.report.dossier import PlanTerms
from privacy.report.evidence import (
    ApprovedPlan,
    Contribution,
    Executed,
    Integrity,
    Limit,
    Mechanism,
    Message,
    Noted,
    RegionEvidence,
    Released,
    SelfTest,
    Witnessed,
)
from privacy.report.model import Report
from privacy.report.parts import Region
from privacy.report.protection import (
    DELTAS,
    FALSE_POSITIVES,
    Basis,
    Odds,
    Opinion,
    Point,
    Protection,
)
from tests.privacy.builders import NOON, small_plan
from tests.privacy.report.builders import region, sample

PLAN = small_plan(study="chapters")
DIGEST = hashlib.sha256(b"something").hexdigest()


def protection(bound: Bound, basis: Basis = Basis.CHARGED) -> Protection:
    """What a charge means, with figures of the right form."""
    return Protection(
        bound=bound,
        basis=basis,
        opinions=(Opinion("PLD", bound.epsilon),),
        profile=tuple(Point(delta, bound.epsilon + i) for i, delta in enumerate(DELTAS)),
        mu=Decimal("0.8"),
        odds=tuple(Odds(rate, min(Decimal(1), rate * 4)) for rate in FALSE_POSITIVES),
        right_guesses=Decimal("0.64"),
        tier="tier 2 of 3 (ε at most 10)",
        note="",
    )


def evidence(one: Region, *, checkpoints: tuple[Witnessed, ...] = ()) -> RegionEvidence:
    """What the ledger of a region of ``builders`` would say."""
    other = Bound(Unit.PERSON, Neighbours.REPLACE_ONE, Decimal(9), one.charged.delta)
    left = one.budget.guarantee.minus(one.charged.guarantee)
    return RegionEvidence(
        region=one.name,
        lineage=one.lineage,
        absorbed=("older titles",),
        contribution=Contribution(Unit.RECORD, 1, 3),
        limits=(Limit(one.budget, one.charged.guarantee, left),),
        protection=(protection(one.charged), protection(other, Basis.COMPUTED)),
        notes=("A note.",),
        executed=(Executed(1, 2, Decimal("0.5")), Executed(3, 6, Decimal("1.25"))),
        plans=(ApprovedPlan(DIGEST, one.lineage, Unit.RECORD, "a steward", NOON, (one.charged,)),),
        mechanisms=(
            Mechanism(
                DIGEST,
                "train",
                "sampled-gaussian",
                one.noise_multiplier,
                Fraction(1, 2),
                44,
                41,
                40,
            ),
        ),
        released=(Released(DIGEST, 1, "train", 80, DIGEST),),
        messages=(Message(DIGEST, 1, "train", DIGEST, 120, DIGEST, "=coordinator"),),
        self_tests=(SelfTest(NOON, DIGEST, DIGEST, DIGEST, ("payload",), ()),),
        noted=(Noted(NOON, "data-version", "{}"),),
        integrity=Integrity(9, DIGEST, DIGEST, NOON, NOON + 60, checkpoints=checkpoints),
    )


def audit(**changes: object) -> Audit:
    """An audit that found nothing, with ``changes``."""
    one = Audit(
        method="mahloujifar-2024-gaussian",
        access="white-box",
        canaries=1000,
        guesses=100,
        right=60,
        delta=Decimal("0.00001"),
        confidence=Decimal("0.95"),
        lower_bound=Decimal("0.4"),
        cap=Decimal("7.8"),
        power="0.4",
        claim=Decimal("2.999"),
        date="2026-11-24",
        who="an auditor",
        verdict="no evidence against the claim",
        sentence="found no evidence against the claim (lower bound 0.400 <= ε = 2.999)",
    )
    return replace(one, **changes)  # type: ignore[arg-type]


def full(**changes: object) -> Report:
    """A report with ledgers, plan, audit and one declaration, with ``changes``."""
    regions = (region("north"), region("south"))
    parts: dict[str, object] = {
        "regions": regions,
        "ledgers": tuple(map(evidence, regions)),
        "plans": (PlanTerms.of(PLAN),),
        "audits": (audit(),),
        "declared": Declarations(identity=DeclaredIdentity(controllers="A <hospital> & others")),
        "created_at": "2027-01-16T12:00:00Z",
    }
    return sample(**{**parts, **changes})
