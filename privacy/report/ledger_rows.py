"""A ledger's entries as the rows of a report: plans, mechanisms, releases, messages, notes."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from privacy.canonical import Json, dumps
from privacy.errors import MalformedDocumentError
from privacy.events import Gaussian
from privacy.fields import Fields
from privacy.ledger_entries import Entry
from privacy.ledger_grants import Approval, Note
from privacy.ledger_incidents import Freeze, Lift
from privacy.ledger_state import LedgerState
from privacy.ledger_steps import Release, Send
from privacy.report.evidence import (
    ApprovedPlan,
    Mechanism,
    Message,
    Noted,
    Released,
    SelfTest,
)

SELF_TEST = "conformance"


def plans_of(entries: Sequence[Entry], paid: frozenset[str]) -> tuple[ApprovedPlan, ...]:
    """Return every plan of ``paid``, in the order in which they were approved."""
    return tuple(
        ApprovedPlan(
            plan=entry.payload.plan,
            lineage=entry.payload.lineage,
            unit=entry.payload.unit,
            approved_by=entry.payload.approved_by,
            approved_at=entry.time,
            charges=entry.payload.charges,
        )
        for entry in entries
        if isinstance(entry.payload, Approval) and entry.payload.plan in paid
    )


def mechanisms_of(state: LedgerState, paid: frozenset[str]) -> tuple[Mechanism, ...]:
    """Return every component of the plans of ``paid``."""
    found = []
    for plan, approved in state.plans.items():
        if plan not in paid:
            continue
        for name, event in approved.approval.components.items():
            part = approved.components[name]
            rate = Fraction(1) if isinstance(event, Gaussian) else event.sample_rate
            found.append(
                Mechanism(
                    plan=plan,
                    component=name,
                    kind=str(event.to_json()["kind"]),
                    noise_multiplier=event.noise_multiplier,
                    sample_rate=rate,
                    max_steps=part.max_steps,
                    reserved_steps=part.reserved_steps,
                    released_steps=part.executed_steps,
                )
            )
    return tuple(found)


def released_of(entries: Sequence[Entry], paid: frozenset[str]) -> tuple[Released, ...]:
    """Return every payload that was released under ``paid``."""
    return tuple(
        Released(one.plan, one.round + 1, one.component, one.payload_bytes, one.payload_sha256)
        for one in (entry.payload for entry in entries)
        if isinstance(one, Release) and one.plan in paid
    )


def messages_of(entries: Sequence[Entry], paid: frozenset[str]) -> tuple[Message, ...]:
    """Return everything that left under ``paid``."""
    return tuple(
        Message(
            plan=one.plan,
            round=one.round + 1,
            component=one.component,
            context=one.context,
            wire_bytes=one.wire_bytes,
            wire_sha256=one.wire_sha256,
            destination=one.destination,
        )
        for one in (entry.payload for entry in entries)
        if isinstance(one, Send) and one.plan in paid
    )


def self_tests_of(entries: Sequence[Entry]) -> tuple[SelfTest, ...]:
    """Return every self-test of the trainer, in order.

    Raises:
        MalformedDocumentError: If a note of that topic is none.
    """
    return tuple(
        _self_test(entry.time, entry.payload)
        for entry in entries
        if isinstance(entry.payload, Note) and entry.payload.topic == SELF_TEST
    )


def noted_of(entries: Sequence[Entry]) -> tuple[Noted, ...]:
    """Return every other note, freeze and lift, with its content as text."""
    found = []
    for entry in entries:
        payload = entry.payload
        if isinstance(payload, Note) and payload.topic != SELF_TEST:
            found.append(Noted(entry.time, payload.topic, dumps(payload.content).decode()))
        elif isinstance(payload, Freeze | Lift):
            found.append(Noted(entry.time, payload.KIND, dumps(payload.to_json()).decode()))
    return tuple(found)


def _self_test(at: int, note: Note) -> SelfTest:
    fields = Fields(note.content, where="self-test")
    found = SelfTest(
        at=at,
        plan=fields.hex_bytes("plan", size=32),
        code=fields.hex_bytes("code", size=32),
        subject=fields.hex_bytes("subject", size=32),
        passed=_texts(note.content.get("passed")),
        failed=_texts(note.content.get("failed")),
    )
    return found


def _texts(value: Json | None) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise MalformedDocumentError(f"self-test: expected a list of texts, got {str(value)[:80]}")
    return tuple(map(str, value))
