"""The check of a pack: V1 to V10, with nothing trusted but what the auditor brought.

V1 decides whether anything inside is looked at. After it every check says all that it finds, so
that one reading shows everything; the worst finding decides. What no check can see is printed
always (``meanings.UNSEEN``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from privacy.pack.container import Container
from privacy.pack.errors import PackRefusedError
from privacy.pack.gathering import Sums
from privacy.plan import Plan
from verify.auditor_keys import AuditorKeys
from verify.case import Case, read_ledgers, read_plan, read_report
from verify.checkpoints_check import Kept, check_checkpoints, coverage_notes
from verify.code_check import check_code, code_notes
from verify.coordinator_record import CoordinatorRecord, read_record
from verify.errors import ContradictedError, MissingEvidenceError
from verify.evidence import ReadLedger
from verify.files import PackFiles
from verify.findings import Check, Finding, Outcome, Result, incomplete, violated
from verify.history import extension_findings, told
from verify.incidents_check import check_declared_audits, check_incidents, incident_notes
from verify.pack_reading import Opened, key_findings, open_whole, unsigned
from verify.plan_check import check_plan, check_teacher
from verify.plan_history import plan_differences
from verify.report_check import check_report, executed_notes
from verify.sums_check import contradictions, missing_rounds, read_rounds
from verify.tests_check import check_tests
from verify.vectors_check import WHERE, check_vectors, uncounted


def check_pack(path: Path, keys: AuditorKeys, given: Sequence[Kept] = ()) -> Result:
    """Check a pack.

    Args:
        path: The file.
        keys: What the auditor trusts.
        given: Checkpoints that the auditor kept from before.

    Raises:
        BadKeysError: If a checkpoint that was given is none.
    """
    try:
        with opened_pack(path) as container:
            opened = open_whole(container, keys)
            return _check(container, opened, keys, given)
    except (ContradictedError, PackRefusedError) as error:
        return Result((violated(Check.WHOLE, str(error), where=path.name),), ())
    except MissingEvidenceError as error:
        return Result((incomplete(Check.WHOLE, str(error), where=path.name),), ())


def compare_packs(earlier: Path, later: Path, keys: AuditorKeys) -> Result:
    """Tell what came to the accounts between two packs; a ledger that does not go on is a finding.

    The later pack is taken as checked (``check_pack``). Of the earlier one its signatures and its
    ledgers are checked here: what it said about them is what is compared.

    Args:
        earlier: The earlier pack.
        later: The later one.
        keys: What the auditor trusts.
    """
    plans, ledgers, findings = list[Plan](), list[dict[str, ReadLedger]](), list[Finding]()
    for path in (earlier, later):
        try:
            with opened_pack(path) as container:
                opened = open_whole(container, keys)
                plans.append(read_plan(container))
                found, wrong = read_ledgers(container, plans[-1], opened)
        except (ContradictedError, PackRefusedError) as error:
            return Result((violated(Check.HISTORY, str(error), where=path.name),), ())
        except MissingEvidenceError as error:
            return Result((incomplete(Check.HISTORY, str(error), where=path.name),), ())
        ledgers.append(found)
        findings += [replace(one, check=Check.HISTORY, where=path.name) for one in wrong]
    findings += extension_findings(*ledgers)
    if any(one.outcome is Outcome.VIOLATED for one in findings):
        return Result(tuple(findings), ())
    notes = (f"since {earlier.name}:", *plan_differences(*plans), *told(*ledgers))
    return Result(tuple(findings), tuple(ledgers[0]), notes)


@contextmanager
def opened_pack(path: Path) -> Iterator[Container]:
    """Open a pack whose records were checked.

    Raises:
        MissingEvidenceError: If the file cannot be read.
        PackRefusedError: If it is no pack.
    """
    try:
        container = Container.open(path)
    except OSError as error:
        raise MissingEvidenceError(
            f"expected a pack at {path}, got: {error.strerror}; name the file"
        ) from error
    with container:
        yield container


def read_case(
    container: Container, opened: Opened, keys: AuditorKeys
) -> tuple[Case, list[Finding]]:
    """Take a whole pack apart; return it and what its parts show by themselves (V2).

    Raises:
        MissingEvidenceError: If plan or report is not there.
        ContradictedError: If one of them cannot be read.
    """
    files, plan = PackFiles(container), read_plan(container)
    ledgers, findings = read_ledgers(container, plan, opened)
    rounds, found = read_rounds(files, opened.registry, sums=Sums.HASHES)
    findings += [replace(one, check=Check.VECTORS, where="rounds") for one in found]
    missing = missing_rounds(files)
    if missing:
        findings.append(incomplete(Check.VECTORS, missing, where="rounds"))
    case = Case(
        files=files,
        keys=keys,
        registry=opened.registry,
        plan=plan,
        report=read_report(container),
        ledgers=ledgers,
        rounds=rounds,
    )
    return case, findings


def _check(
    container: Container, opened: Opened, keys: AuditorKeys, given: Sequence[Kept]
) -> Result:
    case, findings = read_case(container, opened, keys)
    findings = [*key_findings(opened, keys), *unsigned(opened, case.plan.cohort), *findings]
    states = {name: ledger.state for name, ledger in case.ledgers.items()}
    summed = contradictions(case.rounds, case.registry, states)
    findings += [replace(one, check=Check.VECTORS, where="rounds") for one in summed]
    record, found = _record(case)
    findings += found
    findings += check_checkpoints(case, record, given)
    findings += check_report(case)
    findings += check_plan(case)
    findings += check_code(case)
    findings += check_teacher(case)
    findings += check_tests(case)
    findings += [*check_incidents(case), *check_declared_audits(case)]
    notes = [*incident_notes(case), *coverage_notes(case)]
    notes += [*executed_notes(case), *code_notes(case)]
    if record is not None:
        findings += check_vectors(case, record)
        notes += uncounted(case, record)
    return Result(tuple(dict.fromkeys(findings)), tuple(case.ledgers), tuple(notes))


def _record(case: Case) -> tuple[CoordinatorRecord | None, list[Finding]]:
    """Read what the coordinator took down."""
    data = case.files.read(WHERE)
    if data is None:
        text = "expected the coordinator's record, got none: vectors cannot be compared"
        return None, [incomplete(Check.VECTORS, text, where=WHERE)]
    try:
        return read_record(data, case.registry), []
    except ContradictedError as error:
        return None, [violated(Check.VECTORS, str(error), where=WHERE)]
