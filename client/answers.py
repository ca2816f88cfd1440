"""Who answers a coordinator, and how an error is answered: in one fixed word, never in its text."""

from typing import Protocol, runtime_checkable

from client.errors import ClientError
from distillation.errors import DistillationError
from privacy.errors import PrivacyError
from protocol.envelope import Envelope, MessageKind
from protocol.errors import AbortCode, ProtocolError
from protocol.messages import Refusal


class Handler(Protocol):
    """What answers for a region."""

    @property
    def uid(self) -> bytes:
        """The region's 16 bytes."""
        ...

    def handle(self, kind: MessageKind, request: Envelope) -> Envelope:
        """Answer one message."""
        ...


@runtime_checkable
class RefusalKeeper(Protocol):
    """A handler that lists what leaves, also what is refused before it is asked."""

    def keep_refusal(self, kind: MessageKind, error: Exception) -> None:
        """List the refusal that leaves for a request that could not be read."""
        ...


def code_of(error: Exception) -> AbortCode:
    """Return the fixed word that the coordinator is told about an error."""
    if isinstance(error, ProtocolError) and isinstance(error.code, AbortCode):
        return error.code
    if isinstance(error, ClientError | PrivacyError | DistillationError):
        return AbortCode.REFUSED_LOCALLY
    return AbortCode.INTERNAL


def refusal(uid: bytes, error: Exception) -> Envelope:
    """Return the answer to a message that led to an error.

    Guarantees: the bytes depend on the region and on the word, and on nothing else of the error.

    Args:
        uid: The region's 16 bytes; zeros for one that could not be opened.
        error: What went wrong.
    """
    return Envelope(Refusal(uid=uid, code=code_of(error)).to_bytes())
