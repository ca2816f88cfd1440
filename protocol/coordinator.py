"""The server's side of one round: it relays keys and adds masked vectors, and sees nothing else.

KEYS ─(every advert), roster→ VECTORS ─(every vector), close→ CLOSED. What a peer sends is checked
in full before it changes anything; a faulty message raises with its sender's uid and leaves the
round as it was, so the region may send again. One vector of state: each chunk is added on arrival.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

import numpy as np

from protocol.config import RoundConfig, SignedConfig
from protocol.errors import AbortCode, AbortError, OutOfOrderError, RoundVoidError
from protocol.identity import Identity, Registry
from protocol.masks import Words, bytes_of, word_type, words_from_bytes
from protocol.messages import Advertise, Masked, Roster
from protocol.outcome import Outcome
from protocol.policy import check_supported, check_threshold
from protocol.region import check_advert
from protocol.wire import CHUNK_BYTES, split_chunks


class Phase(Enum):
    """What the coordinator waits for."""

    KEYS = auto()
    VECTORS = auto()
    CLOSED = auto()


@dataclass(frozen=True, slots=True)
class PublishedSum:
    """A finished round, as the regions get it.

    Attributes:
        outcome: The server's signed statement.
        words: The sum modulo 2**bits, shape (d,), of ``word_type(bits)``.
    """

    outcome: Outcome
    words: Words

    def chunks(self) -> tuple[bytes, ...]:
        """Return the words' bytes in the chunks that follow the outcome."""
        return split_chunks(bytes_of(self.words))


class CoordinatorRound:
    """The server in one round; it does no I/O.

    Attributes:
        config: The round.
        phase: What it waits for.
        signed_config: The `SignedConfig` to send to every region of the cohort.
    """

    def __init__(
        self, *, config: RoundConfig, server_identity: Identity, registry: Registry
    ) -> None:
        """Open a round.

        Raises:
            AbortError: If the registry or the server's key is another one than the round's, if a
                region is not in the registry, if the sum could wrap, or if this version cannot
                run the round.
        """
        check_supported(config)
        check_threshold(config)
        _check_own(config, server_identity, registry)
        self.config, self.phase = config, Phase.KEYS
        self.signed_config = SignedConfig.sign(config, server_identity).to_bytes()
        self._identity, self._registry = server_identity, registry
        self._context = config.context()
        self._adverts: dict[bytes, Advertise] = {}
        self._roster = b""
        self._summed: set[bytes] = set()
        self._sum: Words = np.zeros(0, word_type(config.encoding.bits))

    @property
    def context(self) -> bytes:
        """The round's context, 32 bytes."""
        return self._context

    @property
    def missing(self) -> frozenset[str]:
        """Names of the regions that have not yet sent what this phase waits for."""
        came = self._adverts.keys() if self.phase is Phase.KEYS else self._summed
        return frozenset(self._registry.names(set(self.config.cohort) - set(came)))

    def on_advert(self, advert: bytes) -> None:
        """Take one region's keys.

        Raises:
            MalformedMessageError: If it is not an `Advertise`.
            AbortError: If it is not for this round, not from a region of the cohort, not signed
                by it, or repeats another region's key; with the uid.
            OutOfOrderError: If the roster was made, or this region sent keys before.
        """
        message = Advertise.from_bytes(advert)
        self._require(Phase.KEYS)
        check_advert(message, config=self.config, context=self._context, registry=self._registry)
        if message.uid in self._adverts:
            raise OutOfOrderError(f"{self._name(message.uid)} sent its keys before; a replay?")
        if any(message.x25519_key == known.x25519_key for known in self._adverts.values()):
            raise AbortError(
                AbortCode.DUPLICATE_KEYS,
                f"{self._name(message.uid)} sent another region's key",
                uid=message.uid,
            )
        self._adverts[message.uid] = message

    def roster(self) -> bytes:
        """Return the `Roster` for every region; from the first call on, no key is taken.

        Raises:
            RoundVoidError: If a region has not sent its keys; it names them.
            OutOfOrderError: If the round is closed.
        """
        if self.phase is Phase.KEYS:
            self._require_all("keys")
            adverts = tuple(self._adverts[uid] for uid in self.config.cohort)
            self._roster = Roster(self._context, adverts).to_bytes()
            self._sum = np.zeros(self.config.dim, self._sum.dtype)
            self.phase = Phase.VECTORS
        self._require(Phase.VECTORS)
        return self._roster

    def on_masked(self, masked: bytes, chunks: Sequence[bytes]) -> None:
        """Check one region's masked vector and add it to the sum.

        Guarantees: a vector is added as a whole or not at all.

        Args:
            masked: A `Masked`, as received.
            chunks: What followed it.

        Raises:
            MalformedMessageError: If it is not a `Masked`.
            AbortError: If it is not for this round, from another party, not signed, masked for
                another set of peers, or its bytes are not what was signed; with the uid.
            OutOfOrderError: If the roster was not made, or this region sent its vector before.
        """
        message = Masked.from_bytes(masked)
        self._require(Phase.VECTORS)
        self._check_masked(message)
        if message.uid in self._summed:
            raise OutOfOrderError(f"{self._name(message.uid)} sent its vector before; a replay?")
        _check_chunks(message, chunks)
        start = 0
        for chunk in chunks:
            words = words_from_bytes(chunk, self.config.encoding.bits)
            part = self._sum[start : start + words.size]
            np.add(part, words, out=part)
            start += words.size
        self._summed.add(message.uid)

    def close(self) -> PublishedSum:
        """Return the signed sum of the whole cohort.

        Raises:
            RoundVoidError: If a region has not sent its vector; it names them.
            OutOfOrderError: If the round is not at this point, or was closed before.
        """
        self._require(Phase.VECTORS)
        self._require_all("masked vector")
        self.phase = Phase.CLOSED
        outcome = Outcome.of(self._sum, context=self._context, survivors=self.config.cohort)
        return PublishedSum(outcome.signed_by(self._identity), self._sum)

    def _require(self, phase: Phase) -> None:
        if self.phase is not phase:
            raise OutOfOrderError(f"expected this in phase {phase.name}, now is {self.phase.name}")

    def _require_all(self, what: str) -> None:
        if self.missing:
            raise RoundVoidError(missing=tuple(sorted(self.missing)), phase=what)

    def _name(self, uid: bytes) -> str:
        return self._registry.record(uid).name

    def _check_masked(self, message: Masked) -> None:
        uid = message.uid
        if message.context != self._context:
            raise AbortError(AbortCode.WRONG_CONTEXT, "expected a vector of this round", uid=uid)
        if uid not in self.config.cohort:
            raise AbortError(AbortCode.UNKNOWN_REGION, f"{uid.hex()} is not in the cohort", uid=uid)
        message.verify(self._registry.record(uid).identity_key)
        if message.base != tuple(peer for peer in self.config.cohort if peer != uid):
            raise AbortError(
                AbortCode.BAD_BASE,
                f"expected {self._name(uid)} to mask for every other region of the cohort; "
                "without recovery nothing else cancels",
                uid=uid,
            )
        if message.size_bytes != self.config.encoding.size_bytes:
            raise AbortError(
                AbortCode.BAD_LENGTH,
                f"expected {self.config.encoding.size_bytes} bytes from {self._name(uid)}, got "
                f"{message.size_bytes}",
                uid=uid,
            )


def _check_chunks(message: Masked, chunks: Sequence[bytes]) -> None:
    """Check that the chunks are those that were signed, before any is added."""
    sizes = [len(chunk) for chunk in chunks]
    whole = all(size == CHUNK_BYTES for size in sizes[:-1]) and sum(sizes) == message.size_bytes
    if len(chunks) != len(message.chunk_hashes) or not whole:
        raise AbortError(
            AbortCode.BAD_LENGTH,
            f"expected {message.size_bytes} bytes in {len(message.chunk_hashes)} chunks of "
            f"{CHUNK_BYTES}, got {sum(sizes)} in {len(chunks)}",
            uid=message.uid,
        )
    for chunk, digest in zip(chunks, message.chunk_hashes, strict=True):
        if hashlib.sha256(chunk).digest() != digest:
            raise AbortError(
                AbortCode.BAD_DIGEST,
                f"a chunk from {message.uid.hex()} is not what was signed; was it cut short?",
                uid=message.uid,
            )


def _check_own(config: RoundConfig, server_identity: Identity, registry: Registry) -> None:
    """Check what a careful server does not sign."""
    if config.registry_hash != registry.hash:
        raise AbortError(AbortCode.REGISTRY_MISMATCH, "the round is for another registry")
    if server_identity.public_bytes() != registry.server_key:
        raise AbortError(AbortCode.REGISTRY_MISMATCH, "the registry names another server key")
    registry.names(set(config.cohort))
    if not config.encoding.fits(len(config.cohort)):
        raise AbortError(
            AbortCode.BAD_ENCODING,
            f"the sum of {len(config.cohort)} regions could wrap; use Encoding.for_regions",
        )
