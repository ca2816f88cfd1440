"""A report made anew from ledgers and plan, and how a given one differs from that.

The same function completes a report when it is written and checks it when it is verified: what
the schema marks ``x-recomputed`` follows from the plan and the ledgers' entries alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from privacy.errors import MalformedDocumentError
from privacy.ledger_state import fold_all
from privacy.plan import Plan
from privacy.report.audits import Audit
from privacy.report.codec import to_json
from privacy.report.declared import NOT_RECORDED, Declarations
from privacy.report.dossier import Origin, PlanTerms, Software
from privacy.report.evidence import Integrity, Witnessed
from privacy.report.from_ledger import evidence_of, region_of
from privacy.report.model import Report
from privacy.report.parts import Sums

PARTS = ("study", "plan", "claims", "plans", "ledgers", "several", "regions", "sums")
"""The parts of a report that follow from plan and ledgers; what is below them counts."""


@dataclasses.dataclass(frozen=True, slots=True)
class LedgerCopy:
    """A region's ledger as a report was made from it.

    Attributes:
        bodies: Every entry, as it is stored.
        key: The key that signs its checkpoints, in hexadecimal.
        checkpoints: Those that come with the report, their signatures checked.
    """

    bodies: Sequence[bytes]
    key: str = NOT_RECORDED
    checkpoints: tuple[Witnessed, ...] = ()


def completed(
    report: Report,
    plan: Plan,
    ledgers: Mapping[str, LedgerCopy],
    *,
    created_at: str | None = None,
    declared: Declarations | None = None,
    audits: Sequence[Audit] | None = None,
    software: Software | None = None,
    all_relations: bool = True,
) -> Report:
    """Return the report with all that ledgers, plan, audits and people say.

    Args:
        report: The run's report, with quality and comparisons.
        plan: Its plan.
        ledgers: By region, each of the cohort.
        created_at: When the ledgers were read; the report's own time if left out.
        declared: What people declare; the report's own if left out.
        audits: What audits found; the report's own if left out.
        software: On what it ran; the report's own if left out.
        all_relations: Whether to compute relations that the accounts do not limit.

    Raises:
        MalformedDocumentError: If a region's ledger is missing, or the parts contradict.
        LedgerError: If a ledger is none.
        UnknownEntryError: If the plan was not approved in one of them.
        UnsupportedEventError: If the accountants do not agree about what is computed.
    """
    missing = ", ".join(name for name in plan.cohort if name not in ledgers)
    if missing:
        raise MalformedDocumentError(f"expected the ledger of each region, got none of {missing}")
    copies = [ledgers[name] for name in plan.cohort]
    evidence = tuple(
        evidence_of(
            one.bodies,
            plan,
            key=one.key,
            checkpoints=one.checkpoints,
            all_relations=all_relations,
        )
        for one in copies
    )
    created_at = created_at or report.created_at
    times = [at for one in evidence for at in (one.integrity.first_at, one.integrity.last_at)]
    return dataclasses.replace(
        report,
        study=plan.study,
        created_at=created_at,
        plan=plan.hash,
        sums=Sums(plan.sum.min_survivors, plan.sum.assumed_colluders, plan.sum.any_survivors),
        regions=tuple(region_of(fold_all(one.bodies), plan) for one in copies),
        claims=(),
        origin=Origin.made(plan=plan.hash, created_at=created_at, times=times),
        plans=(PlanTerms.of(plan),),
        ledgers=evidence,
        several=(),
        declared=report.declared if declared is None else declared,
        audits=report.audits if audits is None else tuple(audits),
        software=report.software if software is None else software,
    )


def differences(
    report: Report, plan: Plan, ledgers: Mapping[str, Sequence[bytes]]
) -> tuple[str, ...]:
    """Return which parts of a report do not follow from plan and ledgers; none if all do.

    Keys and checkpoints are taken as the report has them: whoever calls this has checked them. A
    part that the report leaves empty, because ledgers were not read, is not a difference.

    Args:
        report: The report.
        plan: The plan, by the hash that was approved.
        ledgers: Every entry of each region's ledger.

    Raises:
        LedgerError: If a ledger is none.
        UnknownEntryError: If the plan was not approved in one of them.
        MalformedDocumentError: If a region's ledger is missing.
    """
    copies = {}
    for name, bodies in ledgers.items():
        known = report.ledger(name)
        sealed = known.integrity if known else Integrity(0, "", "", 0, 0)
        copies[name] = LedgerCopy(bodies, sealed.key, sealed.checkpoints)
    beyond = any(len(one.protection) > len(one.limits) for one in report.ledgers)
    anew = completed(report, plan, copies, all_relations=beyond)
    if not report.ledgers:
        anew = dataclasses.replace(anew, ledgers=(), claims=())
    if not report.plans:
        anew = dataclasses.replace(anew, plans=())
    return tuple(
        f"{part} does not follow from the plan and the ledgers"
        for part in PARTS
        if to_json(getattr(anew, part)) != to_json(getattr(report, part))
    )
