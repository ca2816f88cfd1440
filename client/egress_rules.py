"""What may leave a region: which messages answer which request, how large, and naming whom.

A closed list. It reads nothing of the region's but public things: the plan's regions and the
registry's keys. That a message has the right shape does not mean that the region may send it now;
that is for the ledger to say (``egress_ledger``).
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from client.checkpoints import read_checkpoint
from client.errors import ClientError
from privacy.cosignatures import WitnessRequest
from privacy.errors import MalformedDocumentError
from protocol.envelope import MessageKind
from protocol.errors import ProtocolError
from protocol.identity import RegionRecord, Registry
from protocol.messages import Advertise, Behind, Masked, Pending, Refusal
from protocol.share_messages import Accepted, Dealing, Encaps, Parcel, Shares
from protocol.signed import Signed
from protocol.transcript import Receipt
from protocol.unmask_messages import Consent, Unmask
from protocol.wire import (
    CHUNK_BYTES,
    HASH_BYTES,
    KEM_CIPHERTEXT_BYTES,
    KEM_KEY_BYTES,
    KEY_BYTES,
    MAGIC,
    MAX_CHECKPOINT_BYTES,
    MAX_CODE_BYTES,
    SALT_BYTES,
    SHARE_BYTES,
    SIGNATURE_BYTES,
    TAG_BYTES,
    UID_BYTES,
    Kind,
)

Answer: TypeAlias = (
    Advertise | Behind | Parcel | Shares | Accepted | Masked | Pending | Consent | Unmask
) | (Receipt | Refusal)


class EgressError(ClientError):
    """Something was about to leave the region that is not declared; it did not leave."""


ANSWERS: Mapping[MessageKind, tuple[Kind, ...]] = {
    MessageKind.TRAIN_START: (Kind.ADVERTISE, Kind.BEHIND),
    MessageKind.QUERY_ENCAPS: (Kind.PARCEL,),
    MessageKind.QUERY_SHARES: (Kind.SHARES,),
    MessageKind.QUERY_ACCEPT: (Kind.ACCEPTED,),
    MessageKind.TRAIN_MASKED: (Kind.MASKED, Kind.PENDING),
    MessageKind.QUERY_CONSENT: (Kind.CONSENT,),
    MessageKind.QUERY_UNMASK: (Kind.UNMASK,),
    MessageKind.QUERY_SUM: (Kind.RECEIPT,),
}
"""The messages that may answer each request; a `Refusal` may answer all of them."""

_READERS: Mapping[Kind, type[Answer]] = {
    Kind.ADVERTISE: Advertise,
    Kind.BEHIND: Behind,
    Kind.PARCEL: Parcel,
    Kind.SHARES: Shares,
    Kind.ACCEPTED: Accepted,
    Kind.MASKED: Masked,
    Kind.PENDING: Pending,
    Kind.CONSENT: Consent,
    Kind.UNMASK: Unmask,
    Kind.RECEIPT: Receipt,
    Kind.REFUSAL: Refusal,
}

_KIND_AT = len(MAGIC) + 1  # after the version
_HEADER = _KIND_AT + 1
_COUNT, _LENGTH, _SIZE = 2, 4, 8  # how wire.Writer writes counts, lengths and a vector's size
_NAMED = _HEADER + HASH_BYTES + UID_BYTES  # the round, and who says it
_SIGNED = _NAMED + SIGNATURE_BYTES
_ENCAPS = _SIGNED + UID_BYTES + _LENGTH + KEM_CIPHERTEXT_BYTES
_NOTE = _LENGTH + MAX_CHECKPOINT_BYTES

SIZES: Mapping[Kind, tuple[int, int]] = {
    Kind.ADVERTISE: (_SIGNED + KEY_BYTES + _LENGTH + KEM_KEY_BYTES + _COUNT, UID_BYTES + _NOTE),
    Kind.BEHIND: (_NAMED + 4, 0),
    Kind.PARCEL: (_NAMED + _COUNT, _LENGTH + _ENCAPS),
    Kind.SHARES: (
        _SIGNED + 3 * HASH_BYTES + _LENGTH + TAG_BYTES + _COUNT,
        HASH_BYTES + Dealing.SIZE,  # a seed in the escrow, and a dealing
    ),
    Kind.ACCEPTED: (_SIGNED + _COUNT, UID_BYTES),
    Kind.MASKED: (_SIGNED + _COUNT + _SIZE + _NOTE, UID_BYTES),  # and a hash for each chunk
    Kind.PENDING: (_HEADER + HASH_BYTES, 0),
    Kind.CONSENT: (_SIGNED + HASH_BYTES, 0),
    Kind.UNMASK: (_SIGNED + HASH_BYTES + 2 * _COUNT, UID_BYTES + SHARE_BYTES + SALT_BYTES),
    Kind.RECEIPT: (_SIGNED + HASH_BYTES, 0),  # and what the coordinator is asked to cosign
    Kind.REFUSAL: (_NAMED + _LENGTH + MAX_CODE_BYTES, 0),
}
"""The most bytes of each message: so many, and so many more for each region that it can name."""


@dataclass(frozen=True, slots=True)
class EgressRules:
    """The closed list, for one region and one plan.

    Attributes:
        uid: The region, 16 bytes.
        plan_hash: The plan, 32 bytes.
        cohort: The plan's regions.
        registry: Everybody's public keys.
    """

    uid: bytes
    plan_hash: bytes
    cohort: frozenset[bytes]
    registry: Registry

    def read(self, kind: MessageKind, body: object, chunks: tuple[bytes, ...]) -> Answer:
        """Return a message that may answer this request.

        Guarantees: it is one canonical message of the list, by this region, signed by it where it
        is of a signed kind; it names regions of the plan only; chunks follow a vector, which
        declares them, and a receipt, as the checkpoint that the coordinator is asked to cosign.

        Args:
            kind: What was asked.
            body: What is about to leave.
            chunks: What is about to follow it.

        Raises:
            EgressError: If it is anything else.
        """
        if type(body) is not bytes:
            raise EgressError(f"expected the message as bytes, got {type(body).__name__}")
        message_kind = _kind_of(body)
        if message_kind not in (*ANSWERS.get(kind, ()), Kind.REFUSAL):
            raise EgressError(f"expected an answer to {kind}, got {message_kind.name}")
        self._check_size(message_kind, body, chunks)
        try:
            message = _READERS[message_kind].from_bytes(body)
            self._check_content(message)
        except ProtocolError as error:
            raise EgressError(f"the answer to {kind} is not the declared one: {error}") from error
        if isinstance(message, Receipt):
            self._check_witness_request(chunks)
        else:
            _check_chunks(message, chunks)
        return message

    def _check_size(self, kind: Kind, body: bytes, chunks: tuple[bytes, ...]) -> None:
        fixed, each = SIZES[kind]
        regions = len(self.registry.regions) if kind is Kind.ADVERTISE else len(self.cohort)
        most = fixed + each * regions + HASH_BYTES * len(chunks)
        if len(body) > most:
            raise EgressError(f"expected at most {most} bytes of {kind.name}, got {len(body)}")

    def _check_content(self, message: Answer) -> None:
        if not isinstance(message, Pending):
            _require(message.uid == self.uid, "another region's message")
        if isinstance(message, Behind):
            _require(message.plan_hash == self.plan_hash, "another plan")
        if isinstance(message, Signed):
            message.verify(self._own.identity_key)
        for part in _parts(message):
            _require(part.uid == self.uid, "a part by another region")
            part.verify(self._own.identity_key)
        _require(self.cohort.issuperset(_named(message)), "regions outside the plan")
        for uid, note in _notes(message):
            key = self.registry.record(uid).ledger_key
            genuine = read_checkpoint(note, uid=uid, ledger_key=key) is not None
            _require(genuine, "a checkpoint that its ledger's key did not sign")

    def _check_witness_request(self, chunks: tuple[bytes, ...]) -> None:
        """Check what may follow a receipt: this ledger's checkpoint and its growth."""
        _require(len(chunks) == 1, "a receipt without a checkpoint to cosign, or with more")
        try:
            asked = WitnessRequest.from_bytes(chunks[0])
        except MalformedDocumentError as error:
            raise EgressError(
                f"expected a checkpoint to cosign, got other bytes: {error}"
            ) from error
        genuine = read_checkpoint(asked.note, uid=self.uid, ledger_key=self._own.ledger_key)
        _require(genuine is not None, "a checkpoint that its ledger's key did not sign")

    @property
    def _own(self) -> RegionRecord:
        return self.registry.record(self.uid)


def _parts(message: Answer) -> tuple[Encaps | Dealing, ...]:
    """Return the signed messages inside a message; each is by the sender too."""
    if isinstance(message, Parcel):
        parts = tuple(Encaps.from_bytes(item) for item in message.items)
        of_one_round = all(part.roster_hash == message.roster_hash for part in parts)
        _require(of_one_round, "a part of another round")
        return parts
    return message.dealings if isinstance(message, Shares) else ()


def _named(message: Answer) -> tuple[bytes, ...]:
    """Return the regions that a message names beside its sender."""
    match message:
        case Parcel() | Shares():
            return tuple(part.recipient for part in _parts(message))
        case Accepted():
            return message.peers
        case Masked():
            return message.base
        case Unmask():
            return tuple(share.dealer for share in message.self_shares + message.escrow_shares)
        case _:
            return ()


def _notes(message: Answer) -> tuple[tuple[bytes, bytes], ...]:
    """Return the ledgers' checkpoints in a message, each with whose it is."""
    if isinstance(message, Advertise):
        return tuple((checkpoint.uid, checkpoint.note) for checkpoint in message.checkpoints)
    if isinstance(message, Masked) and message.checkpoint:
        return ((message.uid, message.checkpoint),)
    return ()


def _kind_of(body: bytes) -> Kind:
    """Return what a message says it is; its header is checked when it is read."""
    try:
        return Kind(body[_KIND_AT])
    except (IndexError, ValueError):
        raise EgressError("expected a message of the protocol, got other bytes") from None


def _check_chunks(message: Answer, chunks: tuple[bytes, ...]) -> None:
    if not isinstance(message, Masked):
        _require(not chunks, "chunks after a message that has none")
        return
    last = message.size_bytes - CHUNK_BYTES * (len(message.chunk_hashes) - 1)
    sizes = [CHUNK_BYTES] * (len(message.chunk_hashes) - 1) + [last]
    _require([len(chunk) for chunk in chunks] == sizes, "chunks of other sizes than it declares")
    digests = tuple(hashlib.sha256(chunk).digest() for chunk in chunks)
    _require(digests == message.chunk_hashes, "other chunks than it declares")


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise EgressError(f"expected a declared answer of this region, got {what}")
