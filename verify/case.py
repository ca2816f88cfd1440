"""A pack taken apart for the checks: registry, plan, report, ledgers, rounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from privacy.canonical import Json, loads
from privacy.errors import PrivacyError
from privacy.pack import layout
from privacy.pack.bodies import from_lines
from privacy.pack.container import Container
from privacy.plan import Plan
from protocol.identity import Registry
from verify.auditor_keys import AuditorKeys
from verify.errors import ContradictedError, MissingEvidenceError
from verify.evidence import ReadLedger, read_ledger
from verify.files import PackFiles
from verify.findings import Check, Finding, incomplete, violated
from verify.pack_reading import Opened, require
from verify.sums_check import ReadRound


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What the checks of a pack look at.

    Attributes:
        files: The pack's files.
        keys: What the auditor trusts.
        registry: Everybody's keys, by the hash that the auditor gave.
        plan: The plan in the pack.
        report: ``report.json`` as it is.
        ledgers: The ledgers that keep their rules, by region, ascending.
        rounds: The rounds whose transcripts hold by themselves.
    """

    files: PackFiles
    keys: AuditorKeys
    registry: Registry
    plan: Plan
    report: Mapping[str, Json]
    ledgers: Mapping[str, ReadLedger]
    rounds: Sequence[ReadRound]


def read_plan(container: Container) -> Plan:
    """Return the plan.

    Raises:
        MissingEvidenceError: If it is not there.
        ContradictedError: If it is none.
    """
    try:
        return Plan.from_bytes(require(container, "plan.json"))
    except PrivacyError as error:
        raise ContradictedError(f"plan.json is no plan: {error}") from error


def read_report(container: Container) -> Mapping[str, Json]:
    """Return the report as plain values; what they mean is for the checks.

    Raises:
        MissingEvidenceError: If it is not there.
        ContradictedError: If it is no canonical JSON object.
    """
    try:
        report = loads(require(container, "report.json"))
    except PrivacyError as error:
        raise ContradictedError(f"report.json cannot be read: {error}") from error
    if not isinstance(report, Mapping):
        raise ContradictedError("expected report.json to be an object")
    return report


def read_ledgers(
    container: Container, plan: Plan, opened: Opened
) -> tuple[dict[str, ReadLedger], list[Finding]]:
    """Read the ledger of every region of the plan (V2); one that is not there is a finding."""
    ledgers, findings = dict[str, ReadLedger](), list[Finding]()
    registered = {record.name for record in opened.registry.regions}
    for region in plan.cohort:
        where = layout.ledger_path(region)
        try:
            if region not in registered:
                raise ContradictedError("the plan has this region, and the registry does not")
            ledger = read_ledger(from_lines(require(container, where)))
            if ledger.state.region != region:
                raise ContradictedError(
                    f"expected a ledger of {region}, got one of {ledger.state.region!r}"
                )
            ledgers[region] = ledger
        except MissingEvidenceError as error:
            findings.append(incomplete(Check.LEDGERS, str(error), region=region, where=where))
        except ContradictedError as error:
            findings.append(violated(Check.LEDGERS, str(error), region=region, where=where))
    findings += _strangers(container, plan)
    return ledgers, findings


def _strangers(container: Container, plan: Plan) -> list[Finding]:
    """Return a finding for each ledger that no region of the plan has."""
    known = {layout.ledger_path(region) for region in plan.cohort}
    return [
        violated(Check.LEDGERS, "expected ledgers of the plan's regions only", where=path)
        for path in container.items
        if path.startswith("ledger/") and path.endswith(".jsonl") and path not in known
    ]
