"""What one transport message carries, in either direction; it knows nothing of the transport."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class MessageKind(StrEnum):
    """What the server asks for, and the name under which the transport routes it."""

    TRAIN_START = "train.start"
    QUERY_ENCAPS = "query.encaps"
    TRAIN_MASKED = "train.masked"


@dataclass(frozen=True, slots=True)
class Envelope:
    """One message of the protocol, and the vector that follows it in chunks.

    Attributes:
        body: The message.
        chunks: The vector's bytes, in order; empty for messages without one.
    """

    body: bytes
    chunks: tuple[bytes, ...] = ()
