"""The messages after the vectors: who survived, who consents to that (R4), and the shares (R5).

A region reveals shares for one list of survivors only, after it has seen that enough distinct
survivors signed exactly that list; so no two lists can both be unmasked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from protocol.encoding import tagged_hash
from protocol.errors import MalformedMessageError
from protocol.identity import SERVER_UID
from protocol.messages import Checkpoint
from protocol.signed import Signed, read_signature
from protocol.wire import (
    HASH_BYTES,
    MAX_CHECKPOINT_BYTES,
    MAX_REGIONS,
    SALT_BYTES,
    SHARE_BYTES,
    UID_BYTES,
    Kind,
    Reader,
    Writer,
    require_ascending,
    require_size,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Survivors(Signed):
    """R4, server → survivors: whose vectors the sum will hold.

    Attributes:
        roster_hash: The round and its keys, 32 bytes.
        uid: The server's.
        survivors: Ascending by uid.
        checkpoints: What each survivor's vector said about its own ledger, ascending by uid.
        signature: Ed25519 by the server: two lists for one roster prove that it lied.
    """

    LABEL: ClassVar[str] = "survivors"

    uid: bytes = SERVER_UID
    roster_hash: bytes
    survivors: tuple[bytes, ...]
    checkpoints: tuple[Checkpoint, ...] = ()

    def __post_init__(self) -> None:
        require_size("a roster's hash", self.roster_hash, HASH_BYTES)
        self._check_signer()
        if self.uid != SERVER_UID:
            raise MalformedMessageError("expected a list of survivors from the server")
        require_ascending(self.survivors)
        noted = require_ascending(tuple(checkpoint.uid for checkpoint in self.checkpoints))
        if not set(noted) <= set(self.survivors):
            raise MalformedMessageError("expected checkpoints of survivors only")

    def hash(self) -> bytes:
        """Return H("survivors", body): what a consent signs; it covers roster and checkpoints."""
        return tagged_hash("survivors", self.body())

    def scope(self) -> bytes:
        """Return the roster's hash."""
        return self.roster_hash

    def body(self) -> bytes:
        """Return the canonical bytes without the signature."""
        writer = Writer(Kind.SURVIVORS).raw(self.roster_hash).uids(self.survivors)
        writer.integer(len(self.checkpoints), size=2)
        for checkpoint in self.checkpoints:
            writer.raw(checkpoint.uid).blob(checkpoint.note)
        return writer.bytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read canonical bytes; the signature is not yet checked.

        Raises:
            MalformedMessageError: For any other bytes; nothing else is ever raised.
        """
        reader = Reader(data, Kind.SURVIVORS)
        roster_hash, survivors = reader.raw(HASH_BYTES), reader.uids()
        count = reader.integer(size=2, most=MAX_REGIONS)
        checkpoints = tuple(
            Checkpoint(reader.raw(UID_BYTES), reader.blob(most=MAX_CHECKPOINT_BYTES))
            for _ in range(count)
        )
        return cls(
            roster_hash=roster_hash,
            survivors=survivors,
            checkpoints=checkpoints,
            signature=read_signature(reader),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent(Signed):
    """R4, region → server → survivors: I shall help to unmask this sum, and no other.

    Attributes:
        roster_hash: The round and its keys, 32 bytes.
        uid: The sender, 16 bytes.
        survivors_hash: Hash of the list, 32 bytes.
        signature: Ed25519 by the sender's identity over all of the above.
    """

    LABEL: ClassVar[str] = "consent"

    roster_hash: bytes
    survivors_hash: bytes

    def __post_init__(self) -> None:
        require_size("a roster's hash", self.roster_hash, HASH_BYTES)
        self._check_signer()
        require_size("a list's hash", self.survivors_hash, HASH_BYTES)

    def scope(self) -> bytes:
        """Return the roster's hash."""
        return self.roster_hash

    def body(self) -> bytes:
        """Return the canonical bytes without the signature."""
        writer = Writer(Kind.CONSENT).raw(self.roster_hash).raw(self.uid)
        return writer.raw(self.survivors_hash).bytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read canonical bytes; the signature is not yet checked.

        Raises:
            MalformedMessageError: For any other bytes; nothing else is ever raised.
        """
        reader = Reader(data, Kind.CONSENT)
        return cls(
            roster_hash=reader.raw(HASH_BYTES),
            uid=reader.raw(UID_BYTES),
            survivors_hash=reader.raw(HASH_BYTES),
            signature=read_signature(reader),
        )


@dataclass(frozen=True, slots=True, repr=False)
class RevealedShare:
    """A share that its holder reveals, with the salt that opens the dealer's commitment.

    Attributes:
        dealer: Whose secret, 16 bytes.
        share: In [0, 2**255 - 19), 32 bytes, big-endian.
        salt: 32 bytes.
    """

    dealer: bytes
    share: bytes
    salt: bytes

    def __post_init__(self) -> None:
        require_size("an identifier", self.dealer, UID_BYTES)
        require_size("a share", self.share, SHARE_BYTES)
        require_size("a salt", self.salt, SALT_BYTES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmask(Signed):
    """R5, region → server: its shares, of one kind of secret for each member.

    Attributes:
        roster_hash: The round and its keys, 32 bytes.
        uid: The sender, 16 bytes.
        survivors_hash: The list that it consented to, 32 bytes.
        self_shares: For each survivor, of its self mask's secret; ascending by dealer.
        escrow_shares: For each other member, of its escrow's secret; ascending by dealer.
        signature: Ed25519 by the sender's identity over all of the above.
    """

    LABEL: ClassVar[str] = "unmask"

    roster_hash: bytes
    survivors_hash: bytes
    self_shares: tuple[RevealedShare, ...]
    escrow_shares: tuple[RevealedShare, ...]

    def __post_init__(self) -> None:
        require_size("a roster's hash", self.roster_hash, HASH_BYTES)
        self._check_signer()
        require_size("a list's hash", self.survivors_hash, HASH_BYTES)
        survivors = require_ascending(tuple(share.dealer for share in self.self_shares))
        others = require_ascending(tuple(share.dealer for share in self.escrow_shares))
        if set(survivors) & set(others):
            raise MalformedMessageError("expected one kind of share for each region, got both")

    def scope(self) -> bytes:
        """Return the roster's hash."""
        return self.roster_hash

    def body(self) -> bytes:
        """Return the canonical bytes without the signature."""
        writer = Writer(Kind.UNMASK).raw(self.roster_hash).raw(self.uid).raw(self.survivors_hash)
        for shares in (self.self_shares, self.escrow_shares):
            writer.integer(len(shares), size=2)
            for share in shares:
                writer.raw(share.dealer).raw(share.share).raw(share.salt)
        return writer.bytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read canonical bytes; the signature is not yet checked.

        Raises:
            MalformedMessageError: For any other bytes; nothing else is ever raised.
        """
        reader = Reader(data, Kind.UNMASK)
        return cls(
            roster_hash=reader.raw(HASH_BYTES),
            uid=reader.raw(UID_BYTES),
            survivors_hash=reader.raw(HASH_BYTES),
            self_shares=_read_shares(reader),
            escrow_shares=_read_shares(reader),
            signature=read_signature(reader),
        )


def _read_shares(reader: Reader) -> tuple[RevealedShare, ...]:
    count = reader.integer(size=2, most=MAX_REGIONS)
    return tuple(
        RevealedShare(reader.raw(UID_BYTES), reader.raw(SHARE_BYTES), reader.raw(SALT_BYTES))
        for _ in range(count)
    )
