"""What all signed messages share: a signer, a signature, and what it covers.

A signature is over H("sig", label, scope, uid, body): the label says what kind of message it is,
the scope (the round's context, or the roster's hash once there is one) for which round, and the
body is the message without its signature. So none can be moved to another kind, round or party.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar, Self

from protocol.identity import Identity, verify
from protocol.wire import SIGNATURE_BYTES, UID_BYTES, Reader, require_size

NO_SIGNATURE = bytes(SIGNATURE_BYTES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """A message with a signer.

    Attributes:
        uid: The signer, 16 bytes.
        signature: Ed25519 by the signer's identity over all other fields.
    """

    LABEL: ClassVar[str]

    uid: bytes
    signature: bytes = NO_SIGNATURE

    @abstractmethod
    def scope(self) -> bytes:
        """Return what the signature is bound to, 32 bytes."""

    @abstractmethod
    def body(self) -> bytes:
        """Return the canonical bytes without the signature."""

    def signed_by(self, identity: Identity) -> Self:
        """Return this message with the signature of ``identity``."""
        signature = identity.sign(self.LABEL, context=self.scope(), uid=self.uid, body=self.body())
        return replace(self, signature=signature)

    def verify(self, identity_key: bytes) -> None:
        """Check the signature.

        Raises:
            AbortError: ``bad_signature``, with the uid, if it is not by ``identity_key``.
        """
        verify(
            identity_key,
            self.signature,
            self.LABEL,
            context=self.scope(),
            uid=self.uid,
            body=self.body(),
        )

    def to_bytes(self) -> bytes:
        """Return the canonical bytes."""
        return self.body() + self.signature

    def _check_signer(self) -> None:
        require_size("an identifier", self.uid, UID_BYTES)
        require_size("a signature", self.signature, SIGNATURE_BYTES)


def read_signature(reader: Reader) -> bytes:
    """Return the signature that ends a message, and require that it does."""
    signature = reader.raw(SIGNATURE_BYTES)
    reader.end()
    return signature
