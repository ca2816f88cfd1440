"""Do the published sums have the consent of the regions that are in them?

Given a run's folder or a pack, every ``rounds/*.transcript`` is checked by its signatures against
the registry, every ``rounds/*.sum`` against the hash that the coordinator signed, every receipt
against the region that signed it, and all of it against the ledgers: who is in a sum has a send
under its context, and whoever gave shares gave them for exactly these survivors.

What it cannot see: whether the sum is the sum. Nobody but the coordinator vouches for that.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from privacy.ledger_state import LedgerState
from privacy.pack.gathering import Sums
from privacy.plan import TRAIN
from protocol.errors import ProtocolError
from protocol.identity import Registry
from protocol.messages import Checkpoint, Roster
from protocol.share_messages import Parcel
from protocol.transcript import Checked, Receipt, Transcript, transcript_hash
from protocol.unmask_messages import Survivors
from verify.errors import MissingEvidenceError, VerifyError
from verify.evidence import read_state, region_folder
from verify.files import Files, FolderFiles
from verify.findings import Finding, Outcome, Result


@dataclass(frozen=True, slots=True)
class ReadRound:
    """One round's transcript, read and checked by itself.

    Attributes:
        name: Its number with five digits, as its files are called.
        transcript_hash: What a receipt signs.
        checked: The round, and what the server said came out.
        checkpoints: Those of ledgers that regions and server signed into the round.
    """

    name: str
    transcript_hash: bytes
    checked: Checked
    checkpoints: frozenset[Checkpoint]


def check_sums(folder: Path) -> Result:
    """Check the published rounds of a run against the registry and the ledgers.

    Args:
        folder: The run's folder, with ``rounds/``, ``server/registry.bin`` and ``regions/``.
    """
    files = FolderFiles(folder)
    try:
        registry = _registry(folder / "server" / "registry.bin")
        _require_all(files)
    except MissingEvidenceError as error:
        return Result((Finding(Outcome.INCOMPLETE, "", str(error)),), ())
    rounds, findings = read_rounds(files, registry, sums=Sums.WORDS)
    read, states = lambda name: read_state(region_folder(folder, name)), dict[str, LedgerState]()
    findings += _states(registry, rounds, read, into=states)
    findings += contradictions(rounds, registry, states)
    return Result(tuple(findings), tuple(states))


def read_rounds(
    files: Files, registry: Registry, *, sums: Sums
) -> tuple[list[ReadRound], list[Finding]]:
    """Read every transcript that there is, and hold sums and receipts against it.

    Args:
        files: With ``rounds/``.
        registry: Everybody's keys.
        sums: Whether the words of the sums should be there.
    """
    findings, rounds = [], []
    for name in _transcripts(files):
        try:
            rounds.append(_read(name, files, registry))
        except ProtocolError as error:
            findings.append(Finding(Outcome.VIOLATED, "", f"{name}.transcript: {error}"))
    for one in rounds:
        findings += _check_files(files, one, registry, sums)
    return rounds, findings


def contradictions(
    rounds: Sequence[ReadRound], registry: Registry, states: Mapping[str, LedgerState]
) -> list[Finding]:
    """Return what the regions' ledgers say otherwise than the published rounds."""
    return [
        Finding(Outcome.VIOLATED, name, text)
        for name, state in states.items()
        for one in rounds
        for text in _contradictions(one, registry, name, state)
    ]


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


def _transcripts(files: Files) -> list[str]:
    names = files.names("rounds")
    return [name.removesuffix(".transcript") for name in names if name.endswith(".transcript")]


def _require_all(files: Files) -> None:
    """Require transcripts of the rounds 0, 1, 2 and so on."""
    text = missing_rounds(files)
    if text:
        raise MissingEvidenceError(text)


def missing_rounds(files: Files) -> str:
    """Return what is missing among the transcripts; empty if all are there from round 0."""
    names = _transcripts(files)
    if names and names == [f"{number:05d}" for number in range(len(names))]:
        return ""
    return (
        "expected the transcripts of all rounds from 0 in rounds/, got "
        f"{', '.join(names[:20]) or 'none'}; ask the coordinator for the others"
    )


def _read(name: str, files: Files, registry: Registry) -> ReadRound:
    data = files.read(f"rounds/{name}.transcript") or b""
    transcript = Transcript.from_bytes(data)
    checked = transcript.check(registry)
    if name != f"{checked.config.round_:05d}":
        raise ProtocolError(f"it is of round {checked.config.round_}; was a file renamed?")
    noted = set(Survivors.from_bytes(transcript.survivors).checkpoints)
    for advert in Roster.from_bytes(transcript.roster).adverts:
        noted.update(advert.checkpoints)
    return ReadRound(name, transcript_hash(data), checked, frozenset(noted))


def _check_files(files: Files, one: ReadRound, registry: Registry, sums: Sums) -> Iterator[Finding]:
    """Yield what the sum and the receipts of a round say otherwise than its transcript."""
    name = f"{one.name}.sum"
    words = files.read(f"rounds/{name}")
    if words is None:
        if sums is Sums.WORDS:
            yield Finding(Outcome.INCOMPLETE, "", f"expected {name}, got none")
    elif hashlib.sha256(words).digest() != one.checked.outcome.sum_sha256:
        yield Finding(Outcome.VIOLATED, "", f"{name} is not the sum that was signed")
    receipts = files.read(f"rounds/{one.name}.receipts")
    if receipts is not None:
        try:
            _check_receipts(receipts, one, registry)
        except ProtocolError as error:
            yield Finding(Outcome.VIOLATED, "", f"{one.name}.receipts: {error}")


def _check_receipts(data: bytes, one: ReadRound, registry: Registry) -> None:
    for item in Parcel.from_bytes(data).items:
        receipt = Receipt.from_bytes(item)
        receipt.verify(registry.record(receipt.uid).identity_key)
        if receipt.transcript_hash != one.transcript_hash:
            name = registry.record(receipt.uid).name
            raise ProtocolError(f"{name} countersigned another transcript of this round")


def _states(
    registry: Registry,
    rounds: Sequence[ReadRound],
    read: Callable[[str], LedgerState],
    *,
    into: dict[str, LedgerState],
) -> list[Finding]:
    """Read the ledger of every region that is in a sum."""
    findings = []
    uids = {uid for one in rounds for uid in one.checked.outcome.survivors}
    for name in registry.names(uids):
        try:
            into[name] = read(name)
        except VerifyError as error:
            missing = isinstance(error, MissingEvidenceError)
            outcome = Outcome.INCOMPLETE if missing else Outcome.VIOLATED
            findings.append(Finding(outcome, name, str(error)))
    return findings


def _contradictions(
    one: ReadRound, registry: Registry, name: str, state: LedgerState
) -> Iterator[str]:
    """Yield what a region's ledger says otherwise than a published round."""
    config, survivors = one.checked.config, one.checked.outcome.survivors
    plan, uid = config.plan_hash.hex(), {registry.record(u).name: u for u in survivors}.get(name)
    if uid is not None and state.sent(plan, TRAIN, config.context()) is None:
        yield f"round {config.round_} holds its vector, and its ledger has no send of it"
    known = state.sums(plan).get(config.round_)
    if known is not None and known.transcript != one.transcript_hash.hex():
        yield f"it stepped its model by another sum of round {config.round_} than was published"
    reveal = state.revealed(plan, config.round_)
    if reveal is not None and reveal.survivors != b"".join(survivors).hex():
        yield f"it gave shares for other survivors of round {config.round_} than were summed"
