"""V3: do the ledgers hold what any checkpoint of them says, whoever kept it?

Checkpoints come from five sides: the region's own over the whole ledger, the one that the witness
cosigned, those that other regions and the coordinator signed into the rounds, those that came with
each vector, and those that the auditor kept from before. A ledger that was cut off, rewritten or
exchanged contradicts each that is later than the change.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from privacy.cosignatures import COSIGNER_NAME, cosigned_at, ledger_origin
from privacy.errors import PrivacyError
from privacy.notes import Checkpoint, open_note, read_note
from privacy.pack import layout
from protocol.identity import region_uid
from verify.case import Case
from verify.coordinator_record import CoordinatorRecord
from verify.errors import BadKeysError, ContradictedError
from verify.findings import Check, Finding, incomplete, violated
from verify.log_roots import roots_at
from verify.wording import day


@dataclass(frozen=True, slots=True)
class Kept:
    """One checkpoint that somebody kept.

    Attributes:
        note: As it was signed.
        where: Who or what kept it.
        given: Whether the auditor kept it, so that a bad one is no finding against the run.
    """

    note: bytes
    where: str
    given: bool = False


def check_checkpoints(
    case: Case, record: CoordinatorRecord | None, given: Sequence[Kept]
) -> Iterator[Finding]:
    """Yield what checkpoints say otherwise than the ledgers.

    Args:
        case: The pack.
        record: The coordinator's record, if there is one.
        given: What the auditor kept from before.
    """
    origins = {ledger_origin(region_uid(name)): name for name in case.plan.cohort}
    yield from _strangers(given, origins)
    kept = _embedded(case, record)
    for one in given:
        kept.setdefault(origins.get(_origin(one.note), ""), []).append(one)
    for name in case.plan.cohort:
        if name in case.ledgers:
            own = list(_own(case, name))
            yield from _differences(case, name, [*own, *kept.get(name, ())])
            yield from _coverage(case, name)
        elif kept.get(name):
            text = "checkpoints of its ledger are there, and the ledger is not"
            yield violated(Check.CHECKPOINTS, text, region=name, where=kept[name][0].where)


def coverage_notes(case: Case) -> Iterator[str]:
    """Yield how far each ledger is cosigned, and when that was."""
    for name, ledger in case.ledgers.items():
        note = case.files.read(layout.cosigned_path(name))
        found = _cosigned(case, name, note) if note else None
        if found is None:
            yield f"{name}: no witness cosigned its ledger; when its entries were made is its word"
        else:
            size, time = found
            whole = len(ledger.bodies)
            yield f"{name}: {size} of {whole} entries were cosigned by {day(time)}"


def _strangers(given: Iterable[Kept], origins: Mapping[str, str]) -> Iterator[Finding]:
    for one in given:
        origin = _origin(one.note)
        if origin not in origins:
            text = f"the checkpoint that you gave is of {origin[:80]!r}, which is not in this run"
            yield incomplete(Check.CHECKPOINTS, text, where=one.where)


def _origin(note: bytes) -> str:
    try:
        return read_note(note)[0].partition("\n")[0]
    except PrivacyError as error:
        raise BadKeysError(f"a checkpoint that you gave cannot be read: {error}") from error


def _embedded(case: Case, record: CoordinatorRecord | None) -> dict[str, list[Kept]]:
    """Return the checkpoints in the rounds' messages, each once, by region."""
    found: dict[str, dict[bytes, Kept]] = {}
    names = {record.uid: record.name for record in case.registry.regions}
    for one in case.rounds:
        for checkpoint in one.checkpoints:
            kept = Kept(checkpoint.note, f"rounds/{one.name}.transcript")
            found.setdefault(names.get(checkpoint.uid, ""), {}).setdefault(checkpoint.note, kept)
    for message in record.masked.values() if record else ():
        if message.checkpoint:
            kept = Kept(message.checkpoint, "server/transcript.jsonl")
            found.setdefault(names[message.uid], {}).setdefault(message.checkpoint, kept)
    return {name: list(notes.values()) for name, notes in found.items()}


def _own(case: Case, name: str) -> Iterator[Kept]:
    for path in (layout.checkpoint_path(name), layout.cosigned_path(name)):
        note = case.files.read(path)
        if note is not None:
            yield Kept(note, path)


def _differences(case: Case, name: str, kept: Sequence[Kept]) -> Iterator[Finding]:
    """Yield each checkpoint of one ledger that it does not hold."""
    bodies, said = case.ledgers[name].bodies, list[tuple[Kept, Checkpoint]]()
    uid = region_uid(name)
    key = case.registry.record(uid).ledger_key
    for one in kept:
        try:
            text = open_note(one.note, name=ledger_origin(uid), public_key=key)
            checkpoint = Checkpoint.from_text(text)
            if checkpoint.origin != ledger_origin(uid):
                raise ContradictedError("it is of another ledger")
            said.append((one, checkpoint))
        except (PrivacyError, ContradictedError) as error:
            yield _unsigned(name, one, str(error))
    roots = roots_at(bodies, {checkpoint.size for _, checkpoint in said})
    for one, checkpoint in said:
        if checkpoint.size > len(bodies):
            text = (
                f"{checkpoint.size} entries were signed, and the ledger has {len(bodies)}: its end "
                "was cut off"
            )
            yield violated(Check.CHECKPOINTS, text, region=name, where=one.where)
        elif roots[checkpoint.size] != checkpoint.root:
            text = (
                f"the first {checkpoint.size} entries are not those that were signed: the ledger "
                "was rewritten, or it is another one"
            )
            yield violated(Check.CHECKPOINTS, text, region=name, where=one.where)


def _unsigned(name: str, one: Kept, why: str) -> Finding:
    """Return the finding for a note that the region's ledger key did not sign."""
    text = f"a checkpoint of {name} is not signed by its ledger key: {why}"
    if one.given:
        return incomplete(Check.CHECKPOINTS, f"what you gave: {text}", region=name, where=one.where)
    # What others passed on under a region's name speaks against them, not against the region.
    return violated(Check.CHECKPOINTS, text, where=one.where)


def _coverage(case: Case, name: str) -> Iterator[Finding]:
    """Yield what is missing: the region's own checkpoint, or the witness that was asked for."""
    where = layout.checkpoint_path(name)
    if case.files.read(where) is None:
        yield incomplete(Check.CHECKPOINTS, "expected its checkpoint", region=name, where=where)
    where = layout.cosigned_path(name)
    note = case.files.read(where)
    if case.keys.witnesses and (note is None or _cosigned(case, name, note) is None):
        text = (
            f"expected {case.keys.witnesses} witness of its ledger, as you asked, got none: nobody "
            "else saw this history"
        )
        yield violated(Check.CHECKPOINTS, text, region=name, where=where)


def _cosigned(case: Case, name: str, note: bytes) -> tuple[int, int] | None:
    """Return size and time of a cosigned checkpoint, or None if nobody that counts cosigned it."""
    key = case.keys.cosigner_key or case.registry.cosigner_key
    try:
        time = cosigned_at(note, name=COSIGNER_NAME, public_key=key)
        said = Checkpoint.from_text(read_note(note)[0])
    except PrivacyError:
        return None  # it is no note: `_differences` says so
    mine = said.origin == ledger_origin(region_uid(name))
    return (said.size, time) if mine and time is not None else None
