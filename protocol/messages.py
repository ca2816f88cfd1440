"""The messages of FSA1 that carry keys (R0) and vectors (R3), and what is around them.

Each is a frozen value with ``to_bytes`` and ``from_bytes``; reading accepts exactly what writing
makes, and anything else is a `MalformedMessageError`. Reading does not check signatures: the
roles do, with the keys of the registry. Bonawitz et al. 2017, figure 4, gives the rounds.
Shares (R1, R2) are in ``share_messages``, consent and unmasking (R4, R5) in ``unmask_messages``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from protocol.encoding import tagged_hash
from protocol.errors import AbortCode, MalformedMessageError
from protocol.signed import Signed, read_signature
from protocol.wire import (
    HASH_BYTES,
    KEM_KEY_BYTES,
    KEY_BYTES,
    MAX_CHECKPOINT_BYTES,
    MAX_REGIONS,
    MAX_VECTOR_BYTES,
    UID_BYTES,
    Kind,
    Reader,
    Writer,
    chunk_count,
    require_ascending,
    require_range,
    require_size,
)

MAX_CHECKPOINTS_BYTES = MAX_REGIONS * (UID_BYTES + 4 + MAX_CHECKPOINT_BYTES)
MAX_ADVERT_BYTES = 2048 + MAX_CHECKPOINTS_BYTES


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The latest checkpoint of a region's ledger that the sender has seen.

    Attributes:
        uid: Whose ledger, 16 bytes.
        note: The signed note, 1 to 1024 bytes; the ledger's business, opaque here.
    """

    uid: bytes
    note: bytes

    def __post_init__(self) -> None:
        require_size("an identifier", self.uid, UID_BYTES)
        require_range("a checkpoint's bytes", len(self.note), least=1, most=MAX_CHECKPOINT_BYTES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Advertise(Signed):
    """R0, region → all: my keys for this round.

    Attributes:
        context: The round, 32 bytes.
        uid: The sender, 16 bytes.
        x25519_key: Public key, 32 bytes.
        kem_key: ML-KEM-768 encapsulation key, 1184 bytes; empty without the hybrid.
        checkpoints: What the sender saw of other ledgers, ascending by uid.
        signature: Ed25519 by the sender's identity over all of the above.
    """

    LABEL: ClassVar[str] = "advertise"

    context: bytes
    x25519_key: bytes
    kem_key: bytes = b""
    checkpoints: tuple[Checkpoint, ...] = ()

    def __post_init__(self) -> None:
        require_size("a context", self.context, HASH_BYTES)
        self._check_signer()
        require_size("an X25519 key", self.x25519_key, KEY_BYTES)
        require_size("a KEM key", self.kem_key, 0, KEM_KEY_BYTES)
        require_ascending(tuple(checkpoint.uid for checkpoint in self.checkpoints))

    def scope(self) -> bytes:
        """Return the context."""
        return self.context

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read canonical bytes; the signature is not yet checked.

        Raises:
            MalformedMessageError: For any other bytes; nothing else is ever raised.
        """
        reader = Reader(data, Kind.ADVERTISE)
        context, uid = reader.raw(HASH_BYTES), reader.raw(UID_BYTES)
        x25519_key, kem_key = reader.raw(KEY_BYTES), reader.blob(most=KEM_KEY_BYTES)
        count = reader.integer(size=2, most=MAX_REGIONS)
        checkpoints = tuple(
            Checkpoint(reader.raw(UID_BYTES), reader.blob(most=MAX_CHECKPOINT_BYTES))
            for _ in range(count)
        )
        signature = read_signature(reader)
        return cls(
            context=context,
            uid=uid,
            x25519_key=x25519_key,
            kem_key=kem_key,
            checkpoints=checkpoints,
            signature=signature,
        )

    def body(self) -> bytes:
        """Return the canonical bytes without the signature."""
        writer = Writer(Kind.ADVERTISE).raw(self.context).raw(self.uid)
        writer.raw(self.x25519_key).blob(self.kem_key)
        writer.integer(len(self.checkpoints), size=2)
        for checkpoint in self.checkpoints:
            writer.raw(checkpoint.uid).blob(checkpoint.note)
        return writer.bytes()


@dataclass(frozen=True, slots=True)
class Roster:
    """Server → regions: everybody's keys. Its hash is in every pair's secret.

    Attributes:
        context: The round, 32 bytes.
        adverts: Signed by their senders, ascending by uid, all of this round.
    """

    context: bytes
    adverts: tuple[Advertise, ...]

    def __post_init__(self) -> None:
        require_size("a context", self.context, HASH_BYTES)
        require_ascending(tuple(advert.uid for advert in self.adverts))
        if any(advert.context != self.context for advert in self.adverts):
            raise MalformedMessageError("expected adverts of the roster's own round")

    def hash(self) -> bytes:
        """Return H("roster", context, adverts in full), 32 bytes."""
        return tagged_hash("roster", self.to_bytes())

    def to_bytes(self) -> bytes:
        """Return the canonical bytes."""
        writer = Writer(Kind.ROSTER).raw(self.context).integer(len(self.adverts), size=2)
        for advert in self.adverts:
            writer.blob(advert.to_bytes())
        return writer.bytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read canonical bytes; the signatures are not yet checked.

        Raises:
            MalformedMessageError: For any other bytes; nothing else is ever raised.
        """
        reader = Reader(data, Kind.ROSTER)
        context = reader.raw(HASH_BYTES)
        count = reader.integer(size=2, most=MAX_REGIONS)
        adverts = tuple(
            Advertise.from_bytes(reader.blob(most=MAX_ADVERT_BYTES)) for _ in range(count)
        )
        reader.end()
        return cls(context, adverts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Masked(Signed):
    """R3, region → server: the masked vector, which follows in chunks of 4 MiB.

    Attributes:
        context: The round, 32 bytes.
        uid: The sender, 16 bytes.
        base: The peers whose masks are on the vector, ascending by uid.
        size_bytes: Size of the vector.
        chunk_hashes: SHA-256 of each chunk, in order.
        checkpoint: The sender's own ledger after this release; empty without one.
        signature: Ed25519 by the sender's identity over all of the above.
    """

    LABEL: ClassVar[str] = "masked"

    context: bytes
    base: tuple[bytes, ...]
    size_bytes: int
    chunk_hashes: tuple[bytes, ...]
    checkpoint: bytes = b""

    def __post_init__(self) -> None:
        require_size("a context", self.context, HASH_BYTES)
        self._check_signer()
        require_ascending(self.base)
        require_range("a vector's bytes", self.size_bytes, least=1, most=MAX_VECTOR_BYTES)
        count = chunk_count(self.size_bytes)
        require_range("the number of chunks", len(self.chunk_hashes), least=count, most=count)
        for digest in self.chunk_hashes:
            require_size("a chunk's hash", digest, HASH_BYTES)
        require_range("a checkpoint's bytes", len(self.checkpoint), most=MAX_CHECKPOINT_BYTES)

    def scope(self) -> bytes:
        """Return the context."""
        return self.context

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read canonical bytes; the signature is not yet checked.

        Raises:
            MalformedMessageError: For any other bytes; nothing else is ever raised.
        """
        reader = Reader(data, Kind.MASKED)
        context, uid, base = reader.raw(HASH_BYTES), reader.raw(UID_BYTES), reader.uids()
        size_bytes = reader.integer(size=8, most=MAX_VECTOR_BYTES)
        digests = reader.raw(chunk_count(size_bytes) * HASH_BYTES)
        checkpoint = reader.blob(most=MAX_CHECKPOINT_BYTES)
        signature = read_signature(reader)
        return cls(
            context=context,
            uid=uid,
            base=base,
            size_bytes=size_bytes,
            chunk_hashes=tuple(
                digests[i : i + HASH_BYTES] for i in range(0, len(digests), HASH_BYTES)
            ),
            checkpoint=checkpoint,
            signature=signature,
        )

    def body(self) -> bytes:
        """Return the canonical bytes without the signature."""
        writer = Writer(Kind.MASKED).raw(self.context).raw(self.uid).uids(self.base)
        writer.integer(self.size_bytes, size=8).raw(b"".join(self.chunk_hashes))
        return writer.blob(self.checkpoint).bytes()


@dataclass(frozen=True, slots=True)
class Collect:
    """Server → region: send the masked vector of this round; ``context`` has 32 bytes."""

    context: bytes

    def __post_init__(self) -> None:
        require_size("a context", self.context, HASH_BYTES)

    def to_bytes(self) -> bytes:
        """Return the canonical bytes."""
        return Writer(Kind.COLLECT).raw(self.context).bytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read canonical bytes.

        Raises:
            MalformedMessageError: For any other bytes; nothing else is ever raised.
        """
        return cls(_only_context(data, Kind.COLLECT))


@dataclass(frozen=True, slots=True)
class Pending:
    """Region → server: still at work on this round, ask again; ``context`` has 32 bytes."""

    context: bytes

    def __post_init__(self) -> None:
        require_size("a context", self.context, HASH_BYTES)

    def to_bytes(self) -> bytes:
        """Return the canonical bytes."""
        return Writer(Kind.PENDING).raw(self.context).bytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read canonical bytes.

        Raises:
            MalformedMessageError: For any other bytes; nothing else is ever raised.
        """
        return cls(_only_context(data, Kind.PENDING))


@dataclass(frozen=True, slots=True, kw_only=True)
class Behind:
    """Region → server: I missed sums; send them from this round on, then start again.

    Attributes:
        plan_hash: The plan, 32 bytes.
        uid: The sender, 16 bytes.
        round_: The first round whose sum it has not; below 2**32.
    """

    plan_hash: bytes
    uid: bytes
    round_: int

    def __post_init__(self) -> None:
        require_size("a plan's hash", self.plan_hash, HASH_BYTES)
        require_size("an identifier", self.uid, UID_BYTES)
        require_range("a round", self.round_, most=(1 << 32) - 1)

    def to_bytes(self) -> bytes:
        """Return the canonical bytes."""
        writer = Writer(Kind.BEHIND).raw(self.plan_hash).raw(self.uid)
        return writer.integer(self.round_, size=4).bytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read canonical bytes.

        Raises:
            MalformedMessageError: For any other bytes; nothing else is ever raised.
        """
        reader = Reader(data, Kind.BEHIND)
        plan_hash, uid = reader.raw(HASH_BYTES), reader.raw(UID_BYTES)
        round_ = reader.integer(size=4)
        reader.end()
        return cls(plan_hash=plan_hash, uid=uid, round_=round_)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Region → server: I left the round. A fixed code, never a text: texts can hold data.

    Attributes:
        context: The round, 32 bytes; zeros if the request named none that could be read.
        uid: The sender, 16 bytes.
        code: Why.
    """

    context: bytes = bytes(HASH_BYTES)
    uid: bytes
    code: AbortCode

    def __post_init__(self) -> None:
        require_size("a context", self.context, HASH_BYTES)
        require_size("an identifier", self.uid, UID_BYTES)

    def to_bytes(self) -> bytes:
        """Return the canonical bytes."""
        return Writer(Kind.REFUSAL).raw(self.context).raw(self.uid).text(self.code).bytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read canonical bytes.

        Raises:
            MalformedMessageError: For any other bytes; nothing else is ever raised.
        """
        reader = Reader(data, Kind.REFUSAL)
        context, uid = reader.raw(HASH_BYTES), reader.raw(UID_BYTES)
        code = reader.choice(AbortCode)
        reader.end()
        return cls(context=context, uid=uid, code=code)


def _only_context(data: bytes, kind: Kind) -> bytes:
    reader = Reader(data, kind)
    context = reader.raw(HASH_BYTES)
    reader.end()
    return context
