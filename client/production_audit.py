"""A region audits its own finished training, once, and stops its account if more left than charged.

The attack reads the region's own releases; nothing is trained, charged or sent. The result is a
note in the ledger. A bound above the claim freezes the account first and is noted second, so that
a crash between the two leaves the account stopped.
"""

from collections.abc import Sequence

import numpy as np

from client.canaries import coins_of, weights_file
from client.errors import ApprovalRefusedError, RegionFolderError
from client.folder import RegionFolder
from client.materials import Materials
from client.training import step_terms
from distillation.audit.production import Production, RoundSeen, judge, production_scores
from distillation.audit.response import incident
from distillation.audit.result import AuditResult
from distillation.workbench import Workbench
from privacy.canonical import Json, dumps
from privacy.charging import charge
from privacy.ledger import Ledger
from privacy.ledger_entries import Note
from privacy.plan import TRAIN, Plan

TOPIC = "audit"
_CONFIDENCE = 0.95
"""Of all regions of a plan together, for each method."""


def audit_region(
    folder: RegionFolder,
    ledger: Ledger,
    plan: Plan,
    materials: Materials,
    records: Workbench,
    *,
    date: str,
    who: str,
) -> tuple[AuditResult, ...]:
    """Audit a plan's releases and act on the result; one that is on record is returned as it is.

    Guarantees: coins and scores stay in memory; a sound trainer is accused in any of the plan's
    regions with probability at most 5 % by each method; whatever is returned is on record.

    Args:
        folder: The region's folder.
        ledger: Its ledger.
        plan: The plan, approved and run to its last round.
        materials: Recipe and trained part.
        records: The region's labelled records, without canaries.
        date: The day, as 2026-01-31.
        who: Who runs it.

    Raises:
        ApprovalRefusedError: If the plan declares no audit, or has rounds to go.
        RegionFolderError: If coins, deltas or weights are not those on record.
        AuditError: If the audit would mean nothing.
        LedgerError: If the ledger cannot be written.
    """
    if plan.audit is None:
        raise ApprovalRefusedError(
            "the plan declares no audit, so no canary was trained with: attack the trainer with "
            "stillroom audit STUDY instead"
        )
    known = _on_record(ledger, plan)
    if known:
        return known
    rounds = _rounds(folder, ledger, plan)
    coins = coins_of(folder, plan, ledger)
    scores = production_scores(
        materials.part,
        records,
        materials.recipe,
        rounds,
        canaries=plan.audit.canaries,
        clip_norm=float(plan.clip_norm),
    )
    production = Production(
        claim=charge(plan, ledger.state.region),
        terms=step_terms(plan, ledger.state.region),
        steps=len(rounds) * plan.local_steps,
        confidence=1 - (1 - _CONFIDENCE) / len(plan.regions),
        date=date,
        who=who,
    )
    results = judge(scores, coins.bits, production)
    _act(ledger, plan, results, who=who)
    return results


def _act(ledger: Ledger, plan: Plan, results: Sequence[AuditResult], *, who: str) -> None:
    """Freeze if need be, then note."""
    lineage = ledger.state.plans[plan.hash].approval.lineage
    found = incident(results, lineage=lineage)
    if found is not None:
        reason = f"the audit of the plan {plan.hash[:16]} found more than was charged"
        ledger.freeze(lineage, reason, evidence=found.note, frozen_by=who)
    content: dict[str, Json] = {
        "plan": plan.hash,
        "results": [result.to_json() for result in results],
    }
    ledger.note(TOPIC, content)


def _on_record(ledger: Ledger, plan: Plan) -> tuple[AuditResult, ...]:
    for entry in ledger.entries():
        note = entry.payload
        if isinstance(note, Note) and note.topic == TOPIC and note.content.get("plan") == plan.hash:
            found = note.content.get("results")
            if isinstance(found, list):
                return tuple(AuditResult.from_bytes(dumps(one)) for one in found)
    return ()


def _rounds(folder: RegionFolder, ledger: Ledger, plan: Plan) -> list[RoundSeen]:
    """Return every round's release with the weights that it began from.

    An audit is made once, so it waits for the last round: one that could be made after each would
    accuse more often than it says.
    """
    state = ledger.state
    if len(state.sums(plan.hash)) < plan.rounds:
        raise ApprovalRefusedError(
            f"the plan has {plan.rounds} rounds and {len(state.sums(plan.hash))} of them are "
            "finished: its audit is made once, after the last"
        )
    found = []
    for round_ in range(plan.rounds):
        release = state.released(plan.hash, round_, TRAIN)
        if release is not None:  # a region may have been lost to a round
            weights = _vector(weights_file(folder, round_, release.draw).name, folder)
            delta = _vector(folder.delta(round_, release.draw).name, folder)
            found.append(RoundSeen(weights, delta))
    return found


def _vector(name: str, folder: RegionFolder) -> "np.ndarray[tuple[int], np.dtype[np.float32]]":
    try:
        data = (folder.root / "deltas" / name).read_bytes()
    except FileNotFoundError:
        raise RegionFolderError(
            f"{name} is missing: restore it from the region's own backup; without it the audit "
            "would be of something else"
        ) from None
    return np.frombuffer(data, dtype="<f4").astype(np.float32)
