"""What the ledger must hold before a message leaves; looked up again at the door.

The handler writes these entries. It is not believed: what is compared with them is made here, from
the bytes that are about to leave.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from client.egress_rules import Answer, EgressError
from privacy.ledger_values import LedgerState
from privacy.plan import TRAIN
from protocol.messages import Advertise, Masked, Pending
from protocol.transcript import Receipt
from protocol.unmask_messages import Unmask

_FLOAT_BITS = 32  # of a parameter in a release


@dataclass(frozen=True, slots=True)
class Vector:
    """A masked vector that is about to leave.

    Attributes:
        context: The round's configuration under whose masks it leaves, 32 bytes.
        sha256: Of its bytes, hexadecimal.
        size_bytes: Their number.
    """

    context: bytes
    sha256: str
    size_bytes: int


def vector_of(message: Answer, chunks: Iterable[bytes]) -> Vector | None:
    """Return what the ledger calls a vector's bytes, or None if the message has no vector."""
    if not isinstance(message, Masked):
        return None
    digest, size = hashlib.sha256(), 0
    for chunk in chunks:
        digest.update(chunk)
        size += len(chunk)
    return Vector(message.context, digest.hexdigest(), size)


def check_entries(
    state: LedgerState, message: Answer, vector: Vector | None, *, plan_hash: str, bits: int
) -> None:
    """Check that the ledger holds what must be on the disk before this message leaves.

    Guarantees: a vector leaves only if its release is on record, and its SEND with the hash and
    the number of exactly these bytes; shares only for the survivors on record.

    Args:
        state: The ledger as it is now.
        message: What is about to leave.
        vector: What `vector_of` says of it.
        plan_hash: The plan.
        bits: Of a word of the plan's vectors.

    Raises:
        EgressError: If an entry is missing or says something else.
    """
    if isinstance(message, Advertise | Masked | Pending):
        accepted = message.context in state.seen_contexts(plan_hash)
        _require(accepted, "the round that it answers was never accepted")
    if vector is not None:
        _check_vector(state, vector, plan_hash=plan_hash, bits=bits)
    if isinstance(message, Unmask):
        _check_shares(state, message, plan_hash)
    if isinstance(message, Receipt):
        hashes = {entry.transcript for entry in state.sums(plan_hash).values()}
        _require(message.transcript_hash.hex() in hashes, "its sum is not on record")


def _check_vector(state: LedgerState, vector: Vector, *, plan_hash: str, bits: int) -> None:
    send = state.sent(plan_hash, TRAIN, vector.context)
    if send is None:
        raise EgressError("the ledger has no entry that this vector is sent; it did not leave")
    same = (send.wire_sha256, send.wire_bytes) == (vector.sha256, vector.size_bytes)
    _require(same, "the bytes are not those that it says are sent")
    release = state.released(plan_hash, send.round, TRAIN)
    if release is None:
        raise EgressError("the ledger has no release of this vector's round; it did not leave")
    whole = release.payload_bytes * bits == vector.size_bytes * _FLOAT_BITS
    _require(whole, "the vector has not one word for each released parameter")


def _check_shares(state: LedgerState, message: Unmask, plan_hash: str) -> None:
    round_, _ = state.last_round(plan_hash) or (0, 0)
    reveal = state.revealed(plan_hash, round_)
    dealers = b"".join(share.dealer for share in message.self_shares).hex()
    recorded = reveal is not None and reveal.survivors == dealers
    _require(recorded, "shares are on record for other survivors, or for none")


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise EgressError(f"a message did not leave, because by the ledger {what}")
