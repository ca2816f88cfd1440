"""Do the regions' ledgers say what the report says? The auditor's own fold decides.

Given a run's folder, every ``regions/*/ledger.db`` (or an exported ``ledger.jsonl``, one body a
line) is folded by the rules its writer had to keep, each charge is computed anew from the plan's
events, and what comes out is compared with ``report.json``: charged ε and δ, budget, mechanism,
steps, and every vector that left. Nothing in the folder is changed; a database is read from a copy.

The checkpoints that a run leaves are held against the ledgers too (``checkpoint_check``): one that
the region signed shows an end that was cut off. Three things are not seen: whether the noise was
added, whether the data are what was declared, and a cut together with every checkpoint of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

from privacy.errors import PrivacyError
from privacy.events import Mechanism, SampledGaussian
from privacy.guarantee import NOTHING, describe
from privacy.ledger_state import ComponentState, LedgerState
from privacy.plan import TRAIN
from privacy.report.model import Report
from privacy.report.parts import Region
from protocol.errors import ProtocolError
from protocol.identity import Registry
from verify.checkpoint_check import checkpoint_differences, checkpoints_of
from verify.errors import ContradictedError, MissingEvidenceError
from verify.evidence import read_bodies, read_state, region_folder
from verify.findings import Finding, Outcome, Result


def check_ledgers(folder: Path) -> Result:
    """Compare the ledgers of a run with its report.

    Args:
        folder: The run's folder, with ``report.json`` and ``regions/``.
    """
    try:
        report = _report(folder / "report.json")
    except MissingEvidenceError as error:
        return Result((Finding(Outcome.INCOMPLETE, "", str(error)),), ())
    findings = list(_unreported(folder, report))
    compared = []
    for region in report.regions:
        try:
            home = region_folder(folder, region.name)
            state, bodies = read_state(home), read_bodies(home)
        except MissingEvidenceError as error:
            findings.append(Finding(Outcome.INCOMPLETE, region.name, str(error)))
            continue
        except ContradictedError as error:
            findings.append(Finding(Outcome.VIOLATED, region.name, str(error)))
            continue
        compared.append(region.name)
        differences = _differences(region, report.plan, state)
        findings += [Finding(Outcome.VIOLATED, region.name, text) for text in differences]
        findings += _checkpoints(folder, region.name, bodies)
    return Result(tuple(findings), tuple(compared))


def _report(path: Path) -> Report:
    try:
        return Report.from_json(path.read_bytes())
    except OSError as error:
        raise MissingEvidenceError(
            f"expected a report at {path}, got: {error.strerror}; name the run's folder"
        ) from error
    except PrivacyError as error:
        raise MissingEvidenceError(f"{path.name} is no report of this release: {error}") from error


def _unreported(folder: Path, report: Report) -> Iterator[Finding]:
    """Yield each region that has a folder and is left out of the report."""
    known = {region.name for region in report.regions}
    for path in sorted((folder / "regions").glob("*/ledger.*")):
        if path.parent.name not in known and path.name in ("ledger.db", "ledger.jsonl"):
            yield Finding(
                Outcome.VIOLATED,
                path.parent.name,
                f"expected only the report's regions, got a ledger of {path.parent.name}; "
                "its charges and releases are missing from the report",
            )


def _differences(region: Region, plan: str, state: LedgerState) -> Iterator[str]:
    """Yield what the report says otherwise than the ledger."""
    if state.region != region.name:
        yield _expected("a ledger of", state.region, region.name)
    account = state.accounts.get(state.payer(region.lineage))
    approved = state.plans.get(plan)
    if account is None or approved is None or TRAIN not in approved.components:
        yield (
            f"the report names the account {region.lineage} and the plan {plan[:16]}…, "
            "which this ledger does not have"
        )
        return
    charged = account.charged.get(region.charged.relation, NOTHING)
    limits = [limit for limit in account.limits if limit.relation == region.charged.relation]
    if charged != region.charged.guarantee:
        unit, neighbours = region.charged.relation
        recorded = describe(charged, unit=unit, neighbours=neighbours)
        yield _expected("a charge of", recorded, region.charged)
    if limits != [region.budget]:
        yield _expected("a budget of", "; ".join(map(str, limits)) or "none", region.budget)
    yield from _mechanism(region, approved.approval.components[TRAIN], approved.components[TRAIN])
    yield from _vectors(region, approved.components[TRAIN])


def _checkpoints(folder: Path, region: str, bodies: Sequence[bytes]) -> Iterator[Finding]:
    """Yield what the run's checkpoints of a ledger say otherwise than the ledger."""
    if not any(checkpoints_of(folder, region)):
        return
    path = folder / "server" / "registry.bin"
    try:
        registry = Registry.from_bytes(path.read_bytes())
    except (OSError, ProtocolError) as error:
        text = f"expected the registry at {path}, to check {region}'s checkpoints: {error}"
        yield Finding(Outcome.INCOMPLETE, region, text)
        return
    for text in checkpoint_differences(folder, region, bodies, registry):
        yield Finding(Outcome.VIOLATED, region, text)


def _mechanism(region: Region, event: Mechanism, part: ComponentState) -> Iterator[str]:
    rate = event.sample_rate if isinstance(event, SampledGaussian) else Fraction(1)
    recorded = f"{event.noise_multiplier} and {rate}"
    reported = f"{region.noise_multiplier} and {region.sample_rate}"
    if recorded != reported:
        yield _expected("noise multiplier and sample rate", recorded, reported)
    steps = (part.executed_steps, part.reserved_steps, part.max_steps)
    claimed = (region.released_steps, region.reserved_steps, region.max_steps)
    if steps != claimed:
        yield _expected("released, reserved and allowed steps", steps, claimed)


def _vectors(region: Region, part: ComponentState) -> Iterator[str]:
    recorded = Counter(
        (one.round + 1, one.wire_bytes, one.wire_sha256, one.destination)
        for one in part.sends.values()
    )
    reported = Counter(
        (one.round, one.wire_bytes, one.wire_sha256, one.destination) for one in region.sent
    )
    for round_, size, digest, to in sorted(recorded - reported):
        yield f"round {round_}: {size} bytes ({digest[:16]}…) left for {to}, unreported"
    for round_, size, digest, to in sorted(reported - recorded):
        yield f"round {round_}: {size} bytes ({digest[:16]}…) for {to} reported, not in the ledger"


def _expected(what: str, ledger: object, report: object) -> str:
    return f"the ledger has {what} {ledger}; the report says {report}"
