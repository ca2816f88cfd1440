"""What happened to the accounts between two packs, in words; refused if the later does not go on.

A region's later ledger must begin with the earlier one's entries, byte by byte. Then the entries
after them are the whole story, and it is told in the order of the questions that people ask: what
was granted, what was charged, what was released and sent, what else was noted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from privacy.guarantee import NOTHING, describe
from privacy.ledger_entries import Entry
from privacy.ledger_grants import Account, Approval, Merge, Note
from privacy.ledger_incidents import Freeze, Lift
from privacy.ledger_steps import Release, Reserve, Send
from privacy.ledger_values import LedgerState
from verify.evidence import ReadLedger
from verify.findings import Check, Finding, incomplete, violated
from verify.wording import day, short

_SELF_TEST = "conformance"


def extension_findings(
    earlier: Mapping[str, ReadLedger], later: Mapping[str, ReadLedger]
) -> Iterator[Finding]:
    """Yield which ledgers of the earlier pack the later one does not go on with."""
    for name, before in earlier.items():
        after = later.get(name)
        if after is None:
            text = "the earlier pack has its ledger, and the later one does not"
            yield violated(Check.HISTORY, text, region=name)
        elif list(after.bodies[: len(before.bodies)]) != list(before.bodies):
            text = (
                f"the later ledger ({len(after.bodies)} entries) does not begin with the "
                f"{len(before.bodies)} entries of the earlier one: it was cut, rewritten or "
                "exchanged"
            )
            yield violated(Check.HISTORY, text, region=name)
    for name in sorted(set(later) - set(earlier)):
        text = "only the later pack has its ledger: there is nothing to compare it with"
        yield incomplete(Check.HISTORY, text, region=name)


def told(earlier: Mapping[str, ReadLedger], later: Mapping[str, ReadLedger]) -> Iterator[str]:
    """Yield what came to each account after the earlier pack; call it for ledgers that go on.

    What came alike to several regions is told once, with all their names before it.
    """
    whose: dict[str, list[str]] = {}
    for name, before in earlier.items():
        for text in _told_of(before, later[name]):
            whose.setdefault(text, []).append(name)
    yield from (f"{', '.join(names)}: {text}" for text, names in whose.items())


def _told_of(before: ReadLedger, after: ReadLedger) -> Iterator[str]:
    entries = [Entry.from_bytes(body) for body in after.bodies[len(before.bodies) :]]
    if not entries:
        yield "nothing was entered since"
        return
    first, last = day(entries[0].time), day(entries[-1].time)
    when = f"from {first} to {last}" if first != last else f"on {first}"
    yield f"{len(entries)} entries since, {when}"
    yield from _added(entries)
    yield from _charged(before.state, after.state)
    yield from _released(entries, known=before.state)


def _added(entries: Sequence[Entry]) -> Iterator[str]:
    """Yield accounts, mergers, plans, incidents and notes."""
    for entry in entries:
        match entry.payload:
            case Account(lineage=lineage, limits=limits):
                yield f"opened the account {lineage}, granted {'; '.join(map(str, limits))}"
            case Merge(lineage=lineage, absorbed=absorbed, approved_by=who):
                yield f"merged the account {absorbed} into {lineage} ({who})"
            case Approval(plan=plan, charges=charges, approved_by=who):
                cost = "; ".join(map(str, charges))
                yield f"approved the plan {plan[:16]}… ({who}), for which it was charged {cost}"
            case Freeze(lineage=lineage, reason=reason, frozen_by=who):
                yield f"froze the account {lineage} on {day(entry.time)} ({who}): {reason}"
            case Lift(lineage=lineage, charges=charges, reason=reason, lifted_by=who):
                cost = "; ".join(map(str, charges)) or "nothing"
                yield (
                    f"took the account {lineage} into use again on {day(entry.time)} ({who}), for "
                    f"which it was charged {cost}: {reason}"
                )
            case Note():
                yield _noted(entry.payload, entry.time)


def _noted(note: Note, time: int) -> str:
    """Tell a note; of a self-test its result, of another topic what it says."""
    said = note.content
    if note.topic == _SELF_TEST:
        failed, plan = said.get("failed"), short(said.get("plan", ""))
        result = "passed" if failed == [] else f"failed ({short(failed or '')})"
        code = short(said.get("code", ""))
        return f"tested the trainer for the plan {plan} on {day(time)}: {result}, code {code}"
    content = ", ".join(f"{key} {short(value)}" for key, value in said.items())
    return f"noted {note.topic} on {day(time)}: {content or 'nothing more'}"


def _charged(before: LedgerState, after: LedgerState) -> Iterator[str]:
    """Yield what each account has been charged in all, then and now, and what it has left."""
    for lineage, account in after.accounts.items():
        known = before.accounts.get(lineage)
        for limit in account.limits:
            now = account.charged.get(limit.relation, NOTHING)
            then = known.charged.get(limit.relation, NOTHING) if known else NOTHING
            unit, neighbours = limit.relation
            words = describe(now, unit=unit, neighbours=neighbours)
            rest = limit.guarantee.minus(now)
            left = f"ε = {rest.epsilon} of {limit.guarantee.epsilon} is left"
            if now != then:
                was = describe(then, unit=unit, neighbours=neighbours)
                yield f"the account {lineage} had been charged {was}, and now {words}; {left}"
            else:
                yield f"the account {lineage} was charged nothing more: {words} in all; {left}"


def _released(entries: Sequence[Entry], *, known: LedgerState) -> Iterator[str]:
    """Yield what was done under each plan."""
    payloads = [one.payload for one in entries]
    steps = [one for one in payloads if isinstance(one, Reserve | Release | Send)]
    for plan in dict.fromkeys(one.plan for one in steps):
        ours = [one for one in steps if one.plan == plan]
        begun = sum(one.steps for one in ours if isinstance(one, Reserve))
        releases = sum(isinstance(one, Release) for one in ours)
        sends = [one for one in ours if isinstance(one, Send)]
        size = sum(one.wire_bytes for one in sends)
        which = "going on with" if plan in known.plans else "under"
        yield (
            f"{which} the plan {plan[:16]}… it began {begun} steps, fixed {releases} releases and "
            f"sent {len(sends)} vectors ({size} bytes)"
        )
    if not steps:
        yield "nothing was begun, released or sent"
