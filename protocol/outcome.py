"""The published sum of a round: what everybody computes the next model from.

The server signs the hash of the sum's words. That gives consistency (every region sees the same
sum, or can prove that it does not), not provenance: nobody but the server vouches that the sum is
the sum. Only the sum's size and hash are in the message; the words follow in chunks.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from protocol.config import RoundConfig
from protocol.errors import AbortCode, AbortError
from protocol.fixed_point import decode_sum
from protocol.identity import SERVER_UID, Identity, Registry, verify
from protocol.masks import Words, bytes_of, words_from_bytes
from protocol.wire import (
    HASH_BYTES,
    MAX_VECTOR_BYTES,
    SIGNATURE_BYTES,
    Kind,
    Reader,
    Writer,
    require_ascending,
    require_range,
    require_size,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Server → regions: the sum of a round.

    Attributes:
        context: The round, 32 bytes.
        survivors: The regions whose vectors are in the sum, ascending by uid.
        size_bytes: Size of the sum's words.
        sum_sha256: SHA-256 of the words' bytes (little-endian, d words).
        signature: Ed25519 by the server over all of the above.
    """

    context: bytes
    survivors: tuple[bytes, ...]
    size_bytes: int
    sum_sha256: bytes
    signature: bytes = bytes(SIGNATURE_BYTES)

    def __post_init__(self) -> None:
        require_size("a context", self.context, HASH_BYTES)
        require_ascending(self.survivors)
        require_range("a sum's bytes", self.size_bytes, least=1, most=MAX_VECTOR_BYTES)
        require_size("a sum's hash", self.sum_sha256, HASH_BYTES)
        require_size("a signature", self.signature, SIGNATURE_BYTES)

    @classmethod
    def of(cls, words: Words, *, context: bytes, survivors: tuple[bytes, ...]) -> Self:
        """Return the unsigned outcome for a sum of shape (d,)."""
        digest = hashlib.sha256(bytes_of(words)).digest()
        return cls(context=context, survivors=survivors, size_bytes=words.nbytes, sum_sha256=digest)

    def signed_by(self, server: Identity) -> Self:
        """Return this message with the server's signature."""
        body = self._body()
        signature = server.sign("outcome", context=self.context, uid=SERVER_UID, body=body)
        return replace(self, signature=signature)

    def check_signature(self, registry: Registry, context: bytes) -> None:
        """Check that the server published this outcome for the round ``context``.

        Raises:
            AbortError: ``wrong_context`` or ``bad_signature``.
        """
        if self.context != context:
            raise AbortError(
                AbortCode.WRONG_CONTEXT,
                f"expected the sum of round {context.hex()}, got {self.context.hex()}",
            )
        verify(
            registry.server_key,
            self.signature,
            "outcome",
            context=context,
            uid=SERVER_UID,
            body=self._body(),
        )

    def mean(self, words: bytes, *, config: RoundConfig) -> NDArray[np.float64]:
        """Return the weighted mean delta over the survivors: Σ w·Δ / Σ w, both over them.

        Args:
            words: The sum's bytes, as received.
            config: The round.

        Returns:
            Shape (d,).

        Raises:
            AbortError: ``bad_length`` or ``bad_digest`` if they are not the words that this
                outcome is about, ``bad_survivors`` for survivors that are not in the cohort.
        """
        if not len(words) == self.size_bytes == config.encoding.size_bytes:
            raise AbortError(
                AbortCode.BAD_LENGTH,
                f"expected {config.encoding.size_bytes} bytes, got {len(words)}",
            )
        if hashlib.sha256(words).digest() != self.sum_sha256:
            raise AbortError(
                AbortCode.BAD_DIGEST, "the sum's bytes are not those that the server signed"
            )
        weights = dict(zip(config.cohort, config.weights, strict=True))
        if not self.survivors or not set(self.survivors) <= weights.keys():
            raise AbortError(AbortCode.BAD_SURVIVORS, "expected survivors of the cohort")
        mean = decode_sum(
            words_from_bytes(words, config.encoding.bits),
            encoding=config.encoding,
            weights=config.weights,
            rotation_seed=config.rotation_seed,
        )
        present = sum(weights[uid] for uid in self.survivors)
        return mean if present == 1 else mean / float(present)

    def to_bytes(self) -> bytes:
        """Return the canonical bytes."""
        return self._body() + self.signature

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read canonical bytes; the signature is not yet checked.

        Raises:
            MalformedMessageError: For any other bytes; nothing else is ever raised.
        """
        reader = Reader(data, Kind.OUTCOME)
        context, survivors = reader.raw(HASH_BYTES), reader.uids()
        size_bytes = reader.integer(size=8)
        sum_sha256, signature = reader.raw(HASH_BYTES), reader.raw(SIGNATURE_BYTES)
        reader.end()
        return cls(
            context=context,
            survivors=survivors,
            size_bytes=size_bytes,
            sum_sha256=sum_sha256,
            signature=signature,
        )

    def _body(self) -> bytes:
        writer = Writer(Kind.OUTCOME).raw(self.context).uids(self.survivors)
        return writer.integer(self.size_bytes, size=8).raw(self.sum_sha256).bytes()
