"""The parts of a report of this release's schema, made anew by the code that makes reports.

``recomputed`` makes the figures of every report ever written, on its own. A report of the current
schema says much more about each ledger; that is made again here and compared part by part. Keys
and checkpoints in it are taken as they are: they are checked against the registry elsewhere.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping

from privacy.canonical import Json
from privacy.errors import PrivacyError
from privacy.report.codec import to_json
from privacy.report.declared import NOT_RECORDED
from privacy.report.dossier import PlanTerms
from privacy.report.evidence import RegionEvidence
from privacy.report.from_ledger import evidence_of, region_of
from privacy.report.model import SCHEMA, Report
from privacy.report.recomputed import PARTS
from verify.case import Case
from verify.findings import Check, Finding, incomplete, violated

CURRENT_PARTS = frozenset(PARTS)
_WHERE = "report.json"


def is_current(report: Mapping[str, Json]) -> bool:
    """Return whether a report is of the schema that this release writes."""
    return report.get("schema") == SCHEMA


def check_current(case: Case) -> Iterator[Finding]:
    """Yield which parts of a report of the current schema do not follow from its evidence."""
    if not is_current(case.report):
        return
    if set(case.ledgers) != set(case.plan.cohort):
        text = "without every region's ledger its parts cannot be made anew"
        yield incomplete(Check.FIGURES, text, where=_WHERE)
        return
    try:
        report = Report.from_json(case.files.read(_WHERE) or b"")
        anew = _anew(case, report)
    except PrivacyError as error:
        text = f"it does not fit together, or not to its ledgers: {error}"
        yield violated(Check.FIGURES, text, where=_WHERE)
        return
    for part in PARTS:
        # Against what was published: reading fills in what a report left empty.
        if to_json(getattr(anew, part)) != case.report.get(part):
            text = f"{part} does not follow from the plan and the ledgers"
            yield violated(Check.FIGURES, text, where=_WHERE)
    yield from _keys(case, report)


def _anew(case: Case, report: Report) -> Report:
    """Return the report with all that follows from plan and ledgers made again."""
    states = {name: ledger.state for name, ledger in case.ledgers.items()}
    regions = tuple(region_of(states[name], case.plan) for name in case.plan.cohort)
    ledgers = tuple(_evidence(case, one) for one in report.ledgers)
    return dataclasses.replace(
        report,
        study=case.plan.study,
        plan=case.plan.hash,
        regions=regions,
        plans=(PlanTerms.of(case.plan),) if report.plans else (),
        ledgers=ledgers,
        several=(),
        # A report that read no ledgers has claims of its own making: they say less.
        claims=() if ledgers else report.claims,
    )


def _evidence(case: Case, told: RegionEvidence) -> RegionEvidence:
    return evidence_of(
        case.ledgers[told.region].bodies,
        case.plan,
        key=told.integrity.key,
        checkpoints=told.integrity.checkpoints,
        all_relations=len(told.protection) > len(told.limits),
        state=case.ledgers[told.region].state,
    )


def _keys(case: Case, report: Report) -> Iterator[Finding]:
    """Yield where a report names another ledger key than the registry."""
    registered = {record.name: record.ledger_key.hex() for record in case.registry.regions}
    for one in report.ledgers:
        if one.integrity.key not in (registered.get(one.region), NOT_RECORDED):
            text = "the report names another key of its ledger than the registry"
            yield violated(Check.FIGURES, text, region=one.region, where=_WHERE)
