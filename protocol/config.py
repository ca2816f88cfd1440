"""What one round is: a configuration that the server proposes and every region checks.

``context()`` is the hash of all of it. It is signed by every party and keyed into every mask, so
regions that were shown different models, plans or cohorts do not even produce a sum.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from fractions import Fraction
from typing import Self

from protocol.encoding import tagged_hash
from protocol.errors import MalformedMessageError
from protocol.fixed_point import Block, Encoding
from protocol.identity import SERVER_UID, Identity, verify
from protocol.wire import (
    HASH_BYTES,
    MAX_BLOCKS,
    MAX_DIM,
    MAX_REGIONS,
    SIGNATURE_BYTES,
    Kind,
    Reader,
    Writer,
    require_ascending,
    require_range,
    require_size,
)

MAX_CONFIG_BYTES = 1 << 19  # above the largest configuration: 16384 blocks and 128 regions
_U16 = (1 << 16) - 1
_U32 = (1 << 32) - 1
_U64 = (1 << 64) - 1


class Kem(StrEnum):
    """How a pair agrees on its secret."""

    X25519 = "x25519"
    X25519_ML_KEM_768 = "x25519+ml-kem-768"


class Prf(StrEnum):
    """What a mask is made of."""

    AES_256_CTR = "aes-256-ctr"


class Recovery(StrEnum):
    """What happens when a region is lost after it agreed on masks."""

    NONE = "none"  # the round is void
    SHARES = "shares"  # the others reconstruct what is needed to remove its masks


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """How long the server waits in each step, in seconds; below 2**32.

    Steps that a round's recovery or key agreement does not have are 0.
    """

    advertise_s: int
    encaps_s: int = 0
    shares_s: int = 0
    masked_s: int
    consent_s: int = 0
    unmask_s: int = 0

    def __post_init__(self) -> None:
        for name, value in self.as_dict().items():
            require_range(name, value, most=_U32)

    def as_dict(self) -> Mapping[str, int]:
        """Return the seconds by name, in the order of the round."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundConfig:
    """One round, as the server proposes it. Well formed is not yet acceptable: see ``policy``.

    Attributes:
        plan_hash: The plan, and so the run; 32 bytes.
        round_: From 0, growing within a plan; below 2**32.
        attempt: From 0, growing within a round; below 2**16.
        model_hash: The student that the round starts from and the transcript that led to it, 32
            bytes (`protocol.transcript.start_hash`).
        layout_hash: What each coordinate means, 32 bytes.
        registry_hash: The registry with everybody's keys, 32 bytes.
        encoding: Words, bounds and number of coordinates.
        rotation_seed: Seed of the rotation before encoding, 32 bytes; empty means no rotation.
        noise_sigma: Standard deviation, in steps, of noise that each region adds for the sum to
            be private; 0 where every region's own delta already is.
        cohort: Uids of the regions, strictly ascending.
        weights: Their weights in the mean, in that order; > 0, adding up to exactly 1.
        threshold: Regions needed to unmask.
        min_cohort: Regions that must advertise.
        min_survivors: Regions that a sum must contain.
        assumed_colluders: Regions that may share what they know with the server.
        prf: What a mask is made of.
        kem: How a pair agrees on its secret.
        recovery: What happens when a region is lost.
        deadlines: How long the server waits.
    """

    plan_hash: bytes
    round_: int
    attempt: int = 0
    model_hash: bytes
    layout_hash: bytes
    registry_hash: bytes
    encoding: Encoding
    rotation_seed: bytes = b""
    noise_sigma: float = 0.0
    cohort: tuple[bytes, ...]
    weights: tuple[Fraction, ...]
    threshold: int
    min_cohort: int
    min_survivors: int
    assumed_colluders: int = 0
    prf: Prf = Prf.AES_256_CTR
    kem: Kem = Kem.X25519
    recovery: Recovery = Recovery.NONE
    deadlines: Deadlines

    def __post_init__(self) -> None:
        for name in ("plan_hash", "model_hash", "layout_hash", "registry_hash"):
            require_size(name, getattr(self, name), HASH_BYTES)
        require_size("rotation_seed", self.rotation_seed, 0, HASH_BYTES)
        require_range("round", self.round_, most=_U32)
        require_range("attempt", self.attempt, most=_U16)
        for name in ("threshold", "min_cohort", "min_survivors", "assumed_colluders"):
            require_range(name, getattr(self, name), most=_U16)
        if not 0 <= self.noise_sigma < math.inf or math.copysign(1, self.noise_sigma) < 0:
            raise MalformedMessageError(f"expected a finite noise >= 0, got {self.noise_sigma}")
        require_ascending(self.cohort)
        _check_weights(self.weights, count=len(self.cohort))

    @property
    def dim(self) -> int:
        """Number of coordinates, d."""
        return self.encoding.dim

    def context(self) -> bytes:
        """Return the round's context, 32 bytes: H("ctx", bytes)."""
        return tagged_hash("ctx", self.to_bytes())

    def to_bytes(self) -> bytes:
        """Return the canonical bytes."""
        writer = Writer(Kind.CONFIG).raw(self.plan_hash)
        writer.integer(self.round_, size=4).integer(self.attempt, size=2)
        writer.raw(self.model_hash).raw(self.layout_hash).raw(self.registry_hash)
        _write_encoding(writer, self.encoding)
        writer.blob(self.rotation_seed).real(self.noise_sigma).uids(self.cohort)
        for weight in self.weights:
            writer.integer(weight.numerator, size=8).integer(weight.denominator, size=8)
        for count in self.threshold, self.min_cohort, self.min_survivors, self.assumed_colluders:
            writer.integer(count, size=2)
        writer.text(self.prf).text(self.kem).text(self.recovery)
        for seconds in self.deadlines.as_dict().values():
            writer.integer(seconds, size=4)
        return writer.bytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read canonical bytes.

        Raises:
            MalformedMessageError: For any other bytes; nothing else is ever raised.
        """
        reader = Reader(data, Kind.CONFIG)
        config = cls(
            plan_hash=reader.raw(HASH_BYTES),
            round_=reader.integer(size=4),
            attempt=reader.integer(size=2),
            model_hash=reader.raw(HASH_BYTES),
            layout_hash=reader.raw(HASH_BYTES),
            registry_hash=reader.raw(HASH_BYTES),
            encoding=_read_encoding(reader),
            rotation_seed=reader.blob(most=HASH_BYTES),
            noise_sigma=reader.real(),
            cohort=(cohort := reader.uids()),
            weights=tuple(_read_weight(reader) for _ in cohort),
            threshold=reader.integer(size=2),
            min_cohort=reader.integer(size=2),
            min_survivors=reader.integer(size=2),
            assumed_colluders=reader.integer(size=2),
            prf=reader.choice(Prf),
            kem=reader.choice(Kem),
            recovery=reader.choice(Recovery),
            deadlines=_read_deadlines(reader),
        )
        reader.end()
        return config


@dataclass(frozen=True, slots=True)
class SignedConfig:
    """A configuration and the server's signature: it cannot deny later what it proposed.

    Attributes:
        config: The round.
        signature: Ed25519 by the registry's server key, 64 bytes.
    """

    config: RoundConfig
    signature: bytes

    def __post_init__(self) -> None:
        require_size("a signature", self.signature, SIGNATURE_BYTES)

    @classmethod
    def sign(cls, config: RoundConfig, server: Identity) -> Self:
        """Return ``config`` signed by the server."""
        body = config.to_bytes()
        signature = server.sign("config", context=config.context(), uid=SERVER_UID, body=body)
        return cls(config, signature)

    def verify(self, server_key: bytes) -> None:
        """Check the signature.

        Raises:
            AbortError: ``bad_signature`` if it is not by ``server_key``.
        """
        verify(
            server_key,
            self.signature,
            "config",
            context=self.config.context(),
            uid=SERVER_UID,
            body=self.config.to_bytes(),
        )

    def to_bytes(self) -> bytes:
        """Return the canonical bytes."""
        writer = Writer(Kind.SIGNED_CONFIG).blob(self.config.to_bytes())
        return writer.raw(self.signature).bytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read canonical bytes; the signature is not yet checked.

        Raises:
            MalformedMessageError: For any other bytes; nothing else is ever raised.
        """
        reader = Reader(data, Kind.SIGNED_CONFIG)
        config = RoundConfig.from_bytes(reader.blob(most=MAX_CONFIG_BYTES))
        signature = reader.raw(SIGNATURE_BYTES)
        reader.end()
        return cls(config, signature)


def _check_weights(weights: tuple[Fraction, ...], *, count: int) -> None:
    if not 1 <= len(weights) == count <= MAX_REGIONS:
        raise MalformedMessageError(f"expected a weight for each of {count} regions (at least 1)")
    if any(weight <= 0 or weight.denominator > _U64 for weight in weights) or sum(weights) != 1:
        raise MalformedMessageError(
            "expected weights > 0 with denominators below 2**64 that add up to exactly 1"
        )


def _read_weight(reader: Reader) -> Fraction:
    numerator, denominator = reader.integer(size=8), reader.integer(size=8)
    if denominator == 0 or Fraction(numerator, denominator).denominator != denominator:
        raise MalformedMessageError(
            f"expected a fraction in lowest terms, got {numerator}/{denominator}"
        )
    return Fraction(numerator, denominator)


def _write_encoding(writer: Writer, encoding: Encoding) -> None:
    writer.integer(encoding.bits, size=1).integer(encoding.qmax, size=4)
    writer.integer(len(encoding.blocks), size=4)
    for block in encoding.blocks:
        writer.integer(block.length, size=8).real(block.bound)


def _read_encoding(reader: Reader) -> Encoding:
    bits, qmax = reader.integer(size=1), reader.integer(size=4)
    count = reader.integer(size=4, most=MAX_BLOCKS)
    blocks = tuple(Block(reader.integer(size=8, most=MAX_DIM), reader.real()) for _ in range(count))
    return Encoding(bits=bits, qmax=qmax, blocks=blocks)


def _read_deadlines(reader: Reader) -> Deadlines:
    return Deadlines(**{field.name: reader.integer(size=4) for field in fields(Deadlines)})
