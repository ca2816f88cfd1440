"""``sent.jsonl`` in a region's folder: one line for every answer that left, oldest first.

The gate writes a line before the bytes leave; before a vector's, the line is on the disk. So the
file may say more than what left, after a kill or a lost connection, and for vectors never less.
It says sizes and hashes, and nothing that the coordinator does not get. It is not evidence
against whoever owns the folder, as the ledger is: lines can be removed. `compare` shows that.
"""

import fcntl
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from client.errors import ClientError
from client.folder import RegionFolder
from privacy.canonical import Json, dumps, loads
from privacy.errors import PrivacyError
from privacy.fields import Fields
from privacy.ledger_values import LedgerState
from privacy.plan import TRAIN
from protocol.envelope import MessageKind
from protocol.wire import Kind

_WORDS = {kind.name.lower(): kind for kind in Kind}


class ManifestError(ClientError):
    """The list of what left cannot be written, or holds what no gate wrote."""


@dataclass(frozen=True, slots=True)
class SentVector:
    """A vector in an answer, as the ledger's SEND has it: plan, context, SHA-256 and size."""

    plan: str
    context: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Departure:
    """One answer that left, or was about to.

    Attributes:
        time: Unix seconds.
        kind: What was asked.
        message: What was answered.
        size_bytes: Of the message and its chunks together.
        sha256: Of the message without its chunks, hexadecimal; a vector has its own hash.
        round_: The round and attempt that it belongs to: its own, or else the latest that the
            region had accepted; None before the first.
        vector: The vector in it, if there is one.
    """

    time: int
    kind: MessageKind
    message: Kind
    size_bytes: int
    sha256: str
    round_: tuple[int, int] | None = None
    vector: SentVector | None = None

    def to_line(self) -> bytes:
        """Return the line, canonical JSON, ended."""
        fields: dict[str, Json] = {
            "time": self.time,
            "kind": self.kind.value,
            "message": self.message.name.lower(),
            "bytes": self.size_bytes,
            "sha256": self.sha256,
        }
        if self.round_ is not None:
            fields |= {"round": self.round_[0], "attempt": self.round_[1]}
        if self.vector is not None:
            fields |= {
                "plan": self.vector.plan,
                "context": self.vector.context,
                "vector_sha256": self.vector.sha256,
                "vector_bytes": self.vector.size_bytes,
            }
        return dumps(fields) + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> "Departure":
        """Read a line without its end.

        Raises:
            ManifestError: For anything that `to_line` does not make.
        """
        try:
            return _read_fields(line)
        except (PrivacyError, ValueError, KeyError) as error:
            raise ManifestError(
                f"expected a line of what left, got {line[:60]!r}: keep the file, and find out "
                "who changed it"
            ) from error


@dataclass(frozen=True, slots=True)
class Departures:
    """What a manifest holds.

    Attributes:
        sent: Oldest first.
        torn: Lines that a kill or a full disk cut short; what they were about did not leave after
            them, unless a later line says so.
    """

    sent: tuple[Departure, ...]
    torn: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """A manifest beside its ledger.

    Attributes:
        unrecorded: Vectors that left and of which the ledger has no SEND; the gate lets none out.
        unlisted: SENDs of the ledger without a line: the client was killed between the two, the
            ledger is older than the list, or lines were removed.
    """

    unrecorded: tuple[SentVector, ...]
    unlisted: tuple[SentVector, ...]

    @property
    def agrees(self) -> bool:
        """Whether every vector is in both."""
        return not self.unrecorded and not self.unlisted


@dataclass(frozen=True, slots=True)
class Manifest:
    """The file; threads and processes may append to it at the same time.

    Attributes:
        path: Where it is.
    """

    path: Path

    def append(self, departure: Departure) -> None:
        """Write one line; a vector's is on the disk when this returns.

        Raises:
            ManifestError: If it cannot be written; what it is about must not leave.
        """
        try:
            self._append(departure.to_line(), durable=departure.vector is not None)
        except OSError as error:
            raise ManifestError(
                f"{self.path.name} cannot be written ({error.strerror}): nothing but refusals "
                "leaves until it can; make room, or correct its owner"
            ) from error

    def read(self) -> Departures:
        """Return what it holds; nothing if there is no file yet.

        Raises:
            ManifestError: If a line was changed by somebody.
        """
        sent, torn = [], 0
        data = self.path.read_bytes() if self.path.exists() else b""
        for line in data.split(b"\n"):
            if line[:1] in (b"{", b"\0") and not line.endswith(b"}"):
                torn += 1  # the only closing brace is the last byte; a power cut can leave zeros
            elif line:
                sent.append(Departure.from_line(line))
        return Departures(tuple(sent), torn)

    def _append(self, line: bytes, *, durable: bool) -> None:
        is_new = not self.path.exists()
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            end = os.fstat(descriptor).st_size
            if end and os.pread(descriptor, 1, end - 1) != b"\n":
                line = b"\n" + line  # a torn line stays by itself
            _write_all(descriptor, line)
            if durable:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if is_new:
            _sync_directory(self.path.parent)


def manifest_of(folder: RegionFolder) -> Manifest:
    """Return the manifest of a region."""
    return Manifest(folder.root / "sent.jsonl")


def compare(departures: Departures, state: LedgerState) -> Comparison:
    """Hold what left against the ledger, one SEND for each vector; a repeated answer is one."""
    listed = {one.vector for one in departures.sent if one.vector is not None}
    recorded = {
        SentVector(plan_hash, context, send.wire_sha256, send.wire_bytes)
        for plan_hash, plan in state.plans.items()
        for context, send in plan.components[TRAIN].sends.items()
    }
    return Comparison(_ordered(listed - recorded), _ordered(recorded - listed))


def _ordered(vectors: set[SentVector]) -> tuple[SentVector, ...]:
    return tuple(sorted(vectors, key=lambda one: (one.plan, one.context, one.sha256)))


def _read_fields(line: bytes) -> Departure:
    plain = loads(line)
    fields, given = Fields(plain, where="line"), plain if isinstance(plain, Mapping) else {}
    departure = Departure(
        time=fields.integer("time"),
        kind=MessageKind(fields.text("kind")),
        message=_WORDS[fields.text("message")],
        size_bytes=fields.integer("bytes"),
        sha256=fields.hex_bytes("sha256", size=32),
        round_=(fields.integer("round"), fields.integer("attempt")) if "round" in given else None,
        vector=_vector(fields) if "plan" in given else None,
    )
    fields.close()
    return departure


def _vector(fields: Fields) -> SentVector:
    return SentVector(
        plan=fields.hex_bytes("plan", size=32),
        context=fields.hex_bytes("context", size=32),
        sha256=fields.hex_bytes("vector_sha256", size=32),
        size_bytes=fields.integer("vector_bytes"),
    )


def _write_all(descriptor: int, data: bytes) -> None:
    """Write all of it; the system may take less than it is given, on a full disk for one."""
    while data:
        data = data[os.write(descriptor, data) :]


def _sync_directory(directory: Path) -> None:
    """Make the new file's name durable too."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
