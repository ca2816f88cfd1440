"""Who signs: long-lived Ed25519 identities and the registry that pins them (RFC 8032).

A signature covers its label, the round's context and the signer, so none can be moved to another
purpose, round or party. The registry is agreed by the regions, never by the server; whoever
trusts its hash trusts the keys inside. Keys for a round's secrets are elsewhere (``keys``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from os import urandom
from typing import NoReturn, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from protocol.encoding import tagged_hash
from protocol.errors import AbortCode, AbortError, MalformedMessageError
from protocol.wire import (
    KEY_BYTES,
    MAX_NAME_BYTES,
    MAX_NODE_KEY_BYTES,
    MAX_REGIONS,
    UID_BYTES,
    Kind,
    Reader,
    Writer,
    require_ascending,
    require_range,
    require_size,
)

SERVER_UID = bytes(UID_BYTES)
_MAX_TIME = (1 << 63) - 1


def region_uid(name: str) -> bytes:
    """Return the 16 bytes that stand for a region's name on the wire."""
    return tagged_hash("uid", name)[:UID_BYTES]


class Identity:
    """A long-lived signing key. It shows in no ``repr`` and cannot be pickled or copied."""

    __slots__ = ("_private_key",)

    def __init__(self, private_key: Ed25519PrivateKey) -> None:
        self._private_key = private_key

    @classmethod
    def generate(cls, randomness: Callable[[int], bytes] = urandom) -> Self:
        """Return a new identity."""
        return cls.from_private_bytes(randomness(KEY_BYTES))

    @classmethod
    def from_private_bytes(cls, data: bytes) -> Self:
        """Return the identity stored as ``private_bytes``.

        Raises:
            ValueError: If ``data`` has not 32 bytes.
        """
        return cls(Ed25519PrivateKey.from_private_bytes(data))

    def private_bytes(self) -> bytes:
        """Return the secret, 32 bytes, for a key file; keep it where nobody else reads."""
        return self._private_key.private_bytes_raw()

    def public_bytes(self) -> bytes:
        """Return the public key, 32 bytes."""
        return self._private_key.public_key().public_bytes_raw()

    def sign(self, label: str, *, context: bytes, uid: bytes, body: bytes) -> bytes:
        """Return the signature, 64 bytes, over H("sig", label, context, uid, body)."""
        return self._private_key.sign(_signed(label, context, uid, body))

    def __reduce__(self) -> NoReturn:
        raise TypeError("an Identity is a secret: write private_bytes() to a key file instead")


def verify(
    public_key: bytes, signature: bytes, label: str, *, context: bytes, uid: bytes, body: bytes
) -> None:
    """Check that ``uid``, who holds ``public_key``, signed ``body`` for ``label`` and ``context``.

    Raises:
        AbortError: ``bad_signature``, with the uid, if not.
    """
    try:
        key = Ed25519PublicKey.from_public_bytes(public_key)
        key.verify(signature, _signed(label, context, uid, body))
    except (InvalidSignature, ValueError) as error:
        raise AbortError(
            AbortCode.BAD_SIGNATURE,
            f"expected a {label!r} signed by {uid.hex()} with the key in the registry, got another "
            "signature; was the message changed, or is the key an old one?",
            uid=uid,
        ) from error


def _signed(label: str, context: bytes, uid: bytes, body: bytes) -> bytes:
    return tagged_hash("sig", label, context, uid, body)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionRecord:
    """What the regions agreed on about one of them.

    Attributes:
        name: 1 to 64 bytes of printable UTF-8.
        identity_key: Ed25519 key that signs this region's messages, 32 bytes.
        ledger_key: Ed25519 key that signs its ledger, 32 bytes; never the same key.
        node_key: Its transport key, at most 1024 bytes; empty where the transport has none.
        not_after: Unix time, seconds, from which the record is no longer valid.
    """

    name: str
    identity_key: bytes
    ledger_key: bytes
    node_key: bytes = b""
    not_after: int

    def __post_init__(self) -> None:
        require_range("a name's bytes", _utf8_size(self.name), least=1, most=MAX_NAME_BYTES)
        if not self.name.isprintable():
            raise MalformedMessageError(f"expected a printable name, got {self.name!r}")
        require_size("an identity key", self.identity_key, KEY_BYTES)
        require_size("a ledger key", self.ledger_key, KEY_BYTES)
        require_range("a node key's bytes", len(self.node_key), most=MAX_NODE_KEY_BYTES)
        require_range("not_after", self.not_after, most=_MAX_TIME)

    @property
    def uid(self) -> bytes:
        """The region's 16 bytes on the wire."""
        return region_uid(self.name)


def _utf8_size(name: str) -> int:
    try:
        return len(name.encode())
    except UnicodeEncodeError as error:
        raise MalformedMessageError("expected a name that is valid Unicode") from error


@dataclass(frozen=True, kw_only=True)
class Registry:
    """The parties of a federation; its hash stands in every region's policy.

    Attributes:
        epoch: Grows by one with each change.
        quorum: How many regions must sign a change.
        regions: 1 to 128 records, ascending by uid; no two with one name or one key.
        server_key: Ed25519 key that signs round configurations and outcomes, 32 bytes.
        cosigner_key: Ed25519 key that cosigns ledger checkpoints, 32 bytes.
        server_not_after: Unix time, seconds, from which the server's keys are no longer valid.
    """

    epoch: int
    quorum: int
    regions: tuple[RegionRecord, ...]
    server_key: bytes
    cosigner_key: bytes
    server_not_after: int

    def __post_init__(self) -> None:
        require_range("an epoch", self.epoch, most=(1 << 32) - 1)
        require_range("a quorum", self.quorum, least=1, most=len(self.regions))
        require_ascending(tuple(record.uid for record in self.regions))
        require_range("server_not_after", self.server_not_after, most=_MAX_TIME)
        keys = [self.server_key, self.cosigner_key]
        for record in self.regions:
            keys += [record.identity_key, record.ledger_key]
        for key in keys:
            require_size("a key", key, KEY_BYTES)
        if len(set(keys)) != len(keys):
            raise MalformedMessageError("expected every key once in the registry, got one twice")

    @cached_property
    def hash(self) -> bytes:
        """H("registry", bytes), 32 bytes."""
        return tagged_hash("registry", self.to_bytes())

    @cached_property
    def _by_uid(self) -> dict[bytes, RegionRecord]:
        return {record.uid: record for record in self.regions}

    def record(self, uid: bytes) -> RegionRecord:
        """Return a region's record.

        Raises:
            AbortError: ``unknown_region`` if there is none.
        """
        try:
            return self._by_uid[uid]
        except KeyError as error:
            raise AbortError(
                AbortCode.UNKNOWN_REGION,
                f"expected a region of the registry (epoch {self.epoch}), got {uid.hex()}",
                uid=uid,
            ) from error

    def names(self, uids: set[bytes]) -> tuple[str, ...]:
        """Return the names of these regions, ascending.

        Raises:
            AbortError: ``unknown_region`` if one is not in the registry.
        """
        return tuple(sorted(self.record(uid).name for uid in uids))

    def to_bytes(self) -> bytes:
        """Return the canonical bytes."""
        writer = Writer(Kind.REGISTRY).integer(self.epoch, size=4).integer(self.quorum, size=2)
        writer.raw(self.server_key).raw(self.cosigner_key)
        writer.integer(self.server_not_after, size=8).integer(len(self.regions), size=2)
        for record in self.regions:
            writer.text(record.name).raw(record.identity_key).raw(record.ledger_key)
            writer.blob(record.node_key).integer(record.not_after, size=8)
        return writer.bytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read canonical bytes.

        Raises:
            MalformedMessageError: For any other bytes; nothing else is ever raised.
        """
        reader = Reader(data, Kind.REGISTRY)
        epoch, quorum = reader.integer(size=4), reader.integer(size=2)
        server_key, cosigner_key = reader.raw(KEY_BYTES), reader.raw(KEY_BYTES)
        server_not_after = reader.integer(size=8)
        count = reader.integer(size=2, most=MAX_REGIONS)
        regions = tuple(_read_record(reader) for _ in range(count))
        reader.end()
        return cls(
            epoch=epoch,
            quorum=quorum,
            regions=regions,
            server_key=server_key,
            cosigner_key=cosigner_key,
            server_not_after=server_not_after,
        )


def _read_record(reader: Reader) -> RegionRecord:
    return RegionRecord(
        name=reader.text(most=MAX_NAME_BYTES),
        identity_key=reader.raw(KEY_BYTES),
        ledger_key=reader.raw(KEY_BYTES),
        node_key=reader.blob(most=MAX_NODE_KEY_BYTES),
        not_after=reader.integer(size=8),
    )
