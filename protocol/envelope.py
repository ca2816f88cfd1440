"""What one transport message carries, in either direction; it knows nothing of the transport."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from protocol.wire import Chunk


class MessageKind(StrEnum):
    """What the server asks for, and the name under which the transport routes it."""

    TRAIN_START = "train.start"  # SignedConfig → Advertise, or Behind
    QUERY_ENCAPS = "query.encaps"  # Roster → Parcel of Encaps
    QUERY_SHARES = "query.shares"  # Parcel of Encaps → Shares
    QUERY_ACCEPT = "query.accept"  # Parcel of Dealing → Accepted
    TRAIN_MASKED = "train.masked"  # Collect with Members → Masked, or Pending
    QUERY_CONSENT = "query.consent"  # Survivors → Consent
    QUERY_UNMASK = "query.unmask"  # Parcel of Consent → Unmask
    QUERY_SUM = "query.sum"  # Transcript with the sum → Receipt


@dataclass(frozen=True, slots=True)
class Envelope:
    """One message of the protocol, and what follows it in chunks.

    Attributes:
        body: The message.
        chunks: A vector's bytes, in order, or `Members` after a `Collect`; mostly empty.
    """

    body: bytes
    chunks: tuple[Chunk, ...] = ()
