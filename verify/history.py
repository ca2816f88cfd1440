"""What happened to the accounts between two packs, in words; refused if the later does not go on.

A region's later ledger must begin with the earlier one's entries, byte by byte. Then the entries
after them are the whole story, and it is told in the order of the questions that people ask: what
was granted, what was charged, what was released and sent, what else was noted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

from privacy.guarantee import NOTHING, describe
from privacy.ledger_entries import Entry
from privacy.ledger_grants import Account, Approval, Merge, Note
from privacy.ledger_steps import Release, Reserve, Send
from privacy.ledger_values import LedgerState
from verify.evidence import ReadLedger
from verify.findings import Check, Finding, incomplete, violated


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
    """Yield what came to each account after the earlier pack; call it for ledgers that go on."""
    for name, before in earlier.items():
        after = later[name]
        entries = [Entry.from_bytes(body) for body in after.bodies[len(before.bodies) :]]
        if not entries:
            yield f"{name}: nothing was entered since"
            continue
        first, last = _day(entries[0].time), _day(entries[-1].time)
        yield f"{name}: {len(entries)} entries since, from {first} to {last}"
        yield from (f"{name}: {text}" for text in _added(entries))
        yield from (f"{name}: {text}" for text in _charged(before.state, after.state))
        yield from (f"{name}: {text}" for text in _released(entries))


def _added(entries: Sequence[Entry]) -> Iterator[str]:
    """Yield accounts, mergers, plans and notes."""
    for entry in entries:
        match entry.payload:
            case Account(lineage=lineage, limits=limits):
                yield f"opened the account {lineage}, granted {'; '.join(map(str, limits))}"
            case Merge(lineage=lineage, absorbed=absorbed, approved_by=who):
                yield f"merged the account {absorbed} into {lineage} ({who})"
            case Approval(plan=plan, charges=charges, approved_by=who):
                cost = "; ".join(map(str, charges))
                yield f"approved the plan {plan[:16]}… ({who}), charged {cost}"
            case Note(topic=topic):
                yield f"noted {topic} on {_day(entry.time)}"


def _charged(before: LedgerState, after: LedgerState) -> Iterator[str]:
    """Yield what each account has been charged in all, then and now."""
    for lineage, account in after.accounts.items():
        known = before.accounts.get(lineage)
        for limit in account.limits:
            now = account.charged.get(limit.relation, NOTHING)
            then = known.charged.get(limit.relation, NOTHING) if known else NOTHING
            unit, neighbours = limit.relation
            words = describe(now, unit=unit, neighbours=neighbours)
            if now != then:
                then_words = describe(then, unit=unit, neighbours=neighbours)
                yield f"{lineage} was charged {then_words}, and is now charged {words}"
            else:
                yield f"{lineage} was charged nothing more: {words}"


def _released(entries: Sequence[Entry]) -> Iterator[str]:
    payloads = [entry.payload for entry in entries]
    steps = sum(one.steps for one in payloads if isinstance(one, Reserve))
    releases = [one for one in payloads if isinstance(one, Release)]
    sends = [one for one in payloads if isinstance(one, Send)]
    size = sum(one.wire_bytes for one in sends)
    yield (
        f"spent {steps} steps, fixed {len(releases)} releases and sent {len(sends)} vectors "
        f"({size} bytes)"
    )


def _day(time: int) -> str:
    try:
        return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (OverflowError, ValueError, OSError):
        return f"Unix time {time}"  # a stranger's ledger may name a year that no calendar has
