"""V5: does every vector that the coordinator took stand in the ledger of who sent it, and back?

The coordinator's record holds each region's signed message about its vector: its round, its size
and the hash of each piece. The region's ledger holds a send of the same context, size and hash. A
sum that was published stands on both sides too. What a ledger has and the coordinator does not is
sent, charged and not counted: lost on the way, or kept back; it is told and speaks against nobody.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from privacy.ledger_steps import Send
from privacy.ledger_values import LedgerState
from protocol.identity import region_uid
from protocol.messages import Masked
from protocol.outcome import Outcome
from verify.case import Case
from verify.coordinator_record import CoordinatorRecord
from verify.findings import Check, Finding, violated

WHERE = "server/transcript.jsonl"


def check_vectors(case: Case, record: CoordinatorRecord) -> Iterator[Finding]:
    """Yield what the coordinator's record and the ledgers say otherwise than each other."""
    sends = {region_uid(name): _sends(one.state) for name, one in case.ledgers.items()}
    names = {region_uid(name): name for name in case.ledgers}
    for (context, uid), message in record.masked.items():
        if uid in sends:
            for text in _against_ledger(message, sends[uid].get(context.hex())):
                yield violated(Check.VECTORS, text, region=names[uid], where=WHERE)
    yield from _against_rounds(case, record)


def uncounted(case: Case, record: CoordinatorRecord) -> Iterator[str]:
    """Yield what regions sent and no sum or record of the coordinator's has.

    A region's account may have paid for other plans, whose rounds are in packs of their own.
    """
    for name, ledger in case.ledgers.items():
        contexts = {c.hex() for c, uid in record.masked if uid == region_uid(name)}
        for plan in ledger.state.plans:
            sends = _sends(ledger.state, plan)
            lost = [one for context, one in sends.items() if context not in contexts]
            what = f"{name} entered {len(lost)} vectors ({sum(x.wire_bytes for x in lost)} bytes)"
            if lost and plan == case.plan.hash:
                yield (
                    f"{what} that the coordinator has no record of: sent and paid for, not counted "
                    "in any sum"
                )
            elif lost:
                yield (
                    f"{what} under another plan, {plan[:16]}…: paid for by the same account; ask "
                    "for the pack of that plan to see its rounds"
                )


def _sends(state: LedgerState, *plans: str) -> Mapping[str, Send]:
    """Return what left a region under these plans, or under any, by context."""
    return {
        context: one
        for name, plan in state.plans.items()
        if not plans or name in plans
        for part in plan.components.values()
        for context, one in part.sends.items()
    }


def _against_ledger(message: Masked, send: Send | None) -> Iterator[str]:
    context = message.context.hex()[:16]
    if send is None:
        yield (
            f"it signed a vector of the round {context}…, and its ledger has no send of it: "
            "something left that was not entered"
        )
        return
    same = send.wire_bytes == message.size_bytes
    if len(message.chunk_hashes) == 1:  # of several pieces only the size can be compared
        same = same and send.wire_sha256 == message.chunk_hashes[0].hex()
    if not same:
        yield f"its ledger has another vector of the round {context}… than it signed"


def _against_rounds(case: Case, record: CoordinatorRecord) -> Iterator[Finding]:
    """Yield what the record and the published rounds say otherwise than each other."""
    published: dict[bytes, Outcome] = {}
    for one in case.rounds:
        context, outcome = one.checked.config.context(), one.checked.outcome
        published[context] = outcome
        if record.outcomes.get(context) != outcome:
            text = f"round {one.name} was published, and the record has no such sum"
            yield violated(Check.VECTORS, text, where=WHERE)
        for uid in outcome.survivors:
            if (context, uid) not in record.masked:
                (name,) = case.registry.names({uid})
                text = f"its vector is in the sum of round {one.name} and not on the record"
                yield violated(Check.VECTORS, text, region=name, where=WHERE)
    for context in record.outcomes:
        if context not in published:
            text = f"the record has a sum ({context.hex()[:16]}…) that was not published: hidden"
            yield violated(Check.VECTORS, text, where=WHERE)
    yield from _hidden_rounds(case)


def _hidden_rounds(case: Case) -> Iterator[Finding]:
    """Yield which rounds a region stepped its model by, and the pack does not have."""
    numbers = {one.checked.config.round_ for one in case.rounds}
    for name, ledger in case.ledgers.items():
        missing = sorted(set(ledger.state.sums(case.plan.hash)) - numbers)
        if missing:
            text = f"its ledger has the sums of rounds {missing[:8]}, which the pack leaves out"
            yield violated(Check.VECTORS, text, region=name, where="rounds")
