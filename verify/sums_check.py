"""Do the published sums have the consent of the regions that are in them?

Given a run's folder, every ``rounds/*.transcript`` is checked by its signatures against the
registry, every ``rounds/*.sum`` against the hash that the coordinator signed, every receipt against
the region that signed it, and all of it against the ledgers: who is in a sum has a send under its
context, and whoever gave shares gave them for exactly these survivors.

What it cannot see: whether the sum is the sum. Nobody but the coordinator vouches for that.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from privacy.ledger_state import LedgerState
from privacy.plan import TRAIN
from protocol.errors import ProtocolError
from protocol.identity import Registry
from protocol.share_messages import Parcel
from protocol.transcript import Checked, Receipt, Transcript, transcript_hash
from verify.errors import MissingEvidenceError, VerifyError
from verify.evidence import read_state, region_folder
from verify.findings import Finding, Outcome, Result


@dataclass(frozen=True, slots=True)
class _Round:
    """One round's files, read and checked by themselves."""

    name: str
    transcript: bytes
    checked: Checked


def check_sums(folder: Path) -> Result:
    """Check the published rounds of a run against the registry and the ledgers.

    Args:
        folder: The run's folder, with ``rounds/``, ``server/registry.bin`` and ``regions/``.
    """
    try:
        registry = _registry(folder / "server" / "registry.bin")
        paths = _transcripts(folder / "rounds")
    except MissingEvidenceError as error:
        return Result((Finding(Outcome.INCOMPLETE, "", str(error)),), ())
    findings, rounds = [], []
    for path in paths:
        try:
            rounds.append(_read(path, registry))
        except ProtocolError as error:
            findings.append(Finding(Outcome.VIOLATED, "", f"{path.name}: {error}"))
    for one in rounds:
        findings += _check_files(folder / "rounds", one, registry)
    states, unread = _states(folder, registry, rounds)
    findings += unread
    for name, state in states.items():
        for one in rounds:
            findings += [
                Finding(Outcome.VIOLATED, name, text)
                for text in _contradictions(one, registry, name, state)
            ]
    return Result(tuple(findings), tuple(states))


def _registry(path: Path) -> Registry:
    try:
        return Registry.from_bytes(path.read_bytes())
    except OSError as error:
        raise MissingEvidenceError(
            f"expected the registry at {path}, got: {error.strerror}; ask any region for it"
        ) from error
    except ProtocolError as error:
        raise MissingEvidenceError(
            f"{path.name} is no registry of this release: {error}"
        ) from error


def _transcripts(folder: Path) -> list[Path]:
    """Return the transcripts of a run, which must be of rounds 0, 1, 2 and so on."""
    paths = sorted(folder.glob("*.transcript"))
    names = [path.stem for path in paths]
    if not paths or names != [f"{number:05d}" for number in range(len(paths))]:
        raise MissingEvidenceError(
            f"expected the transcripts of all rounds from 0 in {folder}, got "
            f"{', '.join(names) or 'none'}; ask the coordinator for the others"
        )
    return paths


def _read(path: Path, registry: Registry) -> _Round:
    data = path.read_bytes()
    checked = Transcript.from_bytes(data).check(registry)
    if path.stem != f"{checked.config.round_:05d}":
        raise ProtocolError(f"it is of round {checked.config.round_}; was a file renamed?")
    return _Round(path.stem, data, checked)


def _check_files(folder: Path, one: _Round, registry: Registry) -> Iterator[Finding]:
    """Yield what the sum and the receipts of a round say otherwise than its transcript."""
    words = folder / f"{one.name}.sum"
    if not words.is_file():
        yield Finding(Outcome.INCOMPLETE, "", f"expected {words.name}, got none")
    elif hashlib.sha256(words.read_bytes()).digest() != one.checked.outcome.sum_sha256:
        yield Finding(Outcome.VIOLATED, "", f"{words.name} is not the sum that was signed")
    receipts = folder / f"{one.name}.receipts"
    if receipts.is_file():
        try:
            _check_receipts(receipts.read_bytes(), one, registry)
        except ProtocolError as error:
            yield Finding(Outcome.VIOLATED, "", f"{receipts.name}: {error}")


def _check_receipts(data: bytes, one: _Round, registry: Registry) -> None:
    for item in Parcel.from_bytes(data).items:
        receipt = Receipt.from_bytes(item)
        receipt.verify(registry.record(receipt.uid).identity_key)
        if receipt.transcript_hash != transcript_hash(one.transcript):
            name = registry.record(receipt.uid).name
            raise ProtocolError(f"{name} countersigned another transcript of this round")


def _states(
    folder: Path, registry: Registry, rounds: list[_Round]
) -> tuple[Mapping[str, LedgerState], list[Finding]]:
    """Read the ledger of every region that is in a sum."""
    states, findings = {}, []
    uids = {uid for one in rounds for uid in one.checked.outcome.survivors}
    for name in registry.names(uids):
        try:
            states[name] = read_state(region_folder(folder, name))
        except VerifyError as error:
            missing = isinstance(error, MissingEvidenceError)
            outcome = Outcome.INCOMPLETE if missing else Outcome.VIOLATED
            findings.append(Finding(outcome, name, str(error)))
    return states, findings


def _contradictions(
    one: _Round, registry: Registry, name: str, state: LedgerState
) -> Iterator[str]:
    """Yield what a region's ledger says otherwise than a published round."""
    config, survivors = one.checked.config, one.checked.outcome.survivors
    plan, uid = config.plan_hash.hex(), {registry.record(u).name: u for u in survivors}.get(name)
    if uid is not None and state.sent(plan, TRAIN, config.context()) is None:
        yield f"round {config.round_} holds its vector, and its ledger has no send of it"
    known = state.sums(plan).get(config.round_)
    if known is not None and known.transcript != transcript_hash(one.transcript).hex():
        yield f"it stepped its model by another sum of round {config.round_} than was published"
    reveal = state.revealed(plan, config.round_)
    if reveal is not None and reveal.survivors != b"".join(survivors).hex():
        yield f"it gave shares for other survivors of round {config.round_} than were summed"
