"""V7 and V8: are plan, approvals, rounds and report about one plan, and about its teacher?"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from privacy.errors import PrivacyError
from privacy.ledger_grants import Approval
from privacy.lineage import admit
from privacy.pack import layout
from protocol.config import RoundConfig
from protocol.errors import ProtocolError
from protocol.identity import region_uid, verify
from verify.case import Case
from verify.findings import Check, Finding, all_violated, incomplete, violated


def check_plan(case: Case) -> Iterator[Finding]:
    """Yield what was approved, run or configured otherwise than the plan says."""
    for name, ledger in case.ledgers.items():
        approved = ledger.state.plans.get(case.plan.hash)
        if approved is None:
            text = "its ledger has no approval of the plan in the pack"
            yield violated(Check.PLAN, text, region=name, where=layout.ledger_path(name))
            continue
        texts = list(_approval_differences(case, name, approved.approval))
        yield from all_violated(Check.PLAN, texts, region=name, where=layout.ledger_path(name))
        yield from _signed_approval(case, name, approved.approval.approved_by)
    for one in case.rounds:
        where = f"rounds/{one.name}.transcript"
        yield from all_violated(
            Check.PLAN, _round_differences(case, one.checked.config), where=where
        )
    recipe = case.files.read("config/recipe.json")
    if recipe is not None and hashlib.sha256(recipe).hexdigest() != case.plan.artifacts.recipe:
        text = "it is not the recipe whose hash the plan has"
        yield violated(Check.PLAN, text, where="config/recipe.json")


def check_teacher(case: Case) -> Iterator[Finding]:
    """Yield where the teacher's origin does not admit the plan."""
    for name, ledger in case.ledgers.items():
        approved = ledger.state.plans.get(case.plan.hash)
        if approved is None:
            continue
        before = ledger.state.paid_by(approved.approval.lineage) - {case.plan.hash}
        try:
            admit(case.plan.teacher, plans_on_record=before)
        except PrivacyError as error:
            yield violated(Check.TEACHER, str(error), region=name, where="plan.json")


def _approval_differences(case: Case, name: str, approval: Approval) -> Iterator[str]:
    terms = case.plan.region(name)
    events = {part.name: part.event for part in terms.components}
    if dict(approval.components) != events:
        yield "it approved other mechanisms under the plan's hash than the plan has"
    if approval.unit is not case.plan.unit:
        yield f"it approved the unit {approval.unit}, the plan has {case.plan.unit}"
    if approval.max_records_per_person != terms.max_records_per_person:
        yield "it approved another cap on the records of one person than the plan has"


def _signed_approval(case: Case, name: str, approved_by: str) -> Iterator[Finding]:
    where, uid = layout.approval_path(name), region_uid(name)
    signature = case.files.read(where)
    if signature is None:
        text = "expected its signature of the plan, got none"
        yield incomplete(Check.PLAN, text, region=name, where=where)
        return
    try:
        verify(
            case.registry.record(uid).identity_key,
            signature,
            "approval",
            context=bytes.fromhex(case.plan.hash),
            uid=uid,
            body=approved_by.encode(),
        )
    except ProtocolError as error:
        yield violated(Check.PLAN, str(error), region=name, where=where)


def _round_differences(case: Case, config: RoundConfig) -> Iterator[str]:
    """Yield what a round was run with otherwise than the plan says."""
    plan = case.plan
    weights = {region_uid(region.name): region.weight for region in plan.regions}
    pairs = (
        ("plan", config.plan_hash.hex(), plan.hash),
        ("layout", config.layout_hash.hex(), plan.artifacts.layout),
        ("weights", dict(zip(config.cohort, config.weights, strict=True)), weights),
        ("threshold", config.threshold, plan.sum.threshold),
        ("least survivors", config.min_survivors, plan.sum.min_survivors),
        ("assumed colluders", config.assumed_colluders, plan.sum.assumed_colluders),
        ("bits", config.encoding.bits, plan.sum.bits),
    )
    for what, came, expected in pairs:
        if came != expected:
            yield f"the round was run with another {what} than the plan has"
    if config.round_ >= plan.rounds:
        yield f"the plan has {plan.rounds} rounds, this is number {config.round_ + 1}"
