"""The messages that make a round survive the loss of regions: R1, R2 and what relays them.

R1 carries a KEM ciphertext from the lower region of a pair to the higher one. In R2 a region deals
shares of its two secrets: a sealed `Dealing` to each peer, and to the server, in `Shares`, the
commitments that every share is later held against and an escrow of its pair seeds. Each names the
roster's hash, which covers the context and everybody's keys (Bonawitz et al. 2017, figure 4).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from protocol.errors import MalformedMessageError
from protocol.signed import Signed, read_signature
from protocol.wire import (
    HASH_BYTES,
    KEM_CIPHERTEXT_BYTES,
    MAX_REGIONS,
    SALT_BYTES,
    SHARE_BYTES,
    SIGNATURE_BYTES,
    TAG_BYTES,
    UID_BYTES,
    Kind,
    Reader,
    Writer,
    require_ascending,
    require_range,
    require_size,
)

BOX_BYTES = 2 * (SHARE_BYTES + SALT_BYTES) + TAG_BYTES
MAX_ITEM_BYTES = 2048  # above the largest message that travels in a parcel, an `Encaps`
_SEED_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Encaps(Signed):
    """R1, region → a higher peer: the KEM secret of the two, encapsulated.

    Attributes:
        roster_hash: The round and its keys, 32 bytes.
        uid: The sender, 16 bytes.
        recipient: The peer, 16 bytes; higher than the sender.
        ciphertext: ML-KEM-768, 1088 bytes; empty without the hybrid.
        signature: Ed25519 by the sender's identity over all of the above.
    """

    LABEL: ClassVar[str] = "encaps"

    roster_hash: bytes
    recipient: bytes
    ciphertext: bytes = b""

    def __post_init__(self) -> None:
        require_size("a roster's hash", self.roster_hash, HASH_BYTES)
        self._check_signer()
        require_ascending((self.uid, self.recipient))
        require_size("a KEM ciphertext", self.ciphertext, 0, KEM_CIPHERTEXT_BYTES)

    def scope(self) -> bytes:
        """Return the roster's hash."""
        return self.roster_hash

    def body(self) -> bytes:
        """Return the canonical bytes without the signature."""
        writer = Writer(Kind.ENCAPS).raw(self.roster_hash).raw(self.uid).raw(self.recipient)
        return writer.blob(self.ciphertext).bytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read canonical bytes; the signature is not yet checked.

        Raises:
            MalformedMessageError: For any other bytes; nothing else is ever raised.
        """
        reader = Reader(data, Kind.ENCAPS)
        return cls(
            roster_hash=reader.raw(HASH_BYTES),
            uid=reader.raw(UID_BYTES),
            recipient=reader.raw(UID_BYTES),
            ciphertext=reader.blob(most=KEM_CIPHERTEXT_BYTES),
            signature=read_signature(reader),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Dealing(Signed):
    """R2, region → one peer: its shares of the sender's two secrets.

    Attributes:
        roster_hash: The round and its keys, 32 bytes.
        uid: The dealer, 16 bytes.
        recipient: The peer, 16 bytes; not the dealer.
        box: The two shares and their salts, sealed for the peer, 144 bytes.
        self_share: Commitment to the share of the self mask's secret, 32 bytes.
        escrow_share: Commitment to the share of the escrow's secret, 32 bytes.
        seed: Commitment to the seed of the pair's mask, 32 bytes.
        signature: Ed25519 by the dealer's identity over all of the above.
    """

    LABEL: ClassVar[str] = "dealing"
    SIZE: ClassVar[int] = 6 + 4 * HASH_BYTES + 2 * UID_BYTES + BOX_BYTES + SIGNATURE_BYTES

    roster_hash: bytes
    recipient: bytes
    box: bytes
    self_share: bytes
    escrow_share: bytes
    seed: bytes

    def __post_init__(self) -> None:
        require_size("a roster's hash", self.roster_hash, HASH_BYTES)
        self._check_signer()
        require_size("an identifier", self.recipient, UID_BYTES)
        if self.recipient == self.uid:
            raise MalformedMessageError("expected a dealing to another region than the dealer")
        require_size("a box", self.box, BOX_BYTES)
        for commitment in (self.self_share, self.escrow_share, self.seed):
            require_size("a commitment", commitment, HASH_BYTES)

    def scope(self) -> bytes:
        """Return the roster's hash."""
        return self.roster_hash

    def body(self) -> bytes:
        """Return the canonical bytes without the signature."""
        writer = Writer(Kind.DEALING).raw(self.roster_hash).raw(self.uid).raw(self.recipient)
        writer.raw(self.box).raw(self.self_share).raw(self.escrow_share)
        return writer.raw(self.seed).bytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read canonical bytes; the signature is not yet checked.

        Raises:
            MalformedMessageError: For any other bytes; nothing else is ever raised.
        """
        reader = Reader(data, Kind.DEALING)
        return cls(
            roster_hash=reader.raw(HASH_BYTES),
            uid=reader.raw(UID_BYTES),
            recipient=reader.raw(UID_BYTES),
            box=reader.raw(BOX_BYTES),
            self_share=reader.raw(HASH_BYTES),
            escrow_share=reader.raw(HASH_BYTES),
            seed=reader.raw(HASH_BYTES),
            signature=read_signature(reader),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares(Signed):
    """R2, region → server: everything that the region deals in a round.

    Attributes:
        roster_hash: The round and its keys, 32 bytes.
        uid: The dealer, 16 bytes.
        self_secret: Commitment to the secret of its self mask, 32 bytes.
        escrow_secret: Commitment to the secret that opens its escrow, 32 bytes.
        self_share: Commitment to its own share of the first, 32 bytes.
        escrow: Its pair seeds, 32 bytes each, in the order of ``dealings``, sealed.
        dealings: One for each peer, ascending by recipient.
        signature: Ed25519 by the dealer's identity over all of the above.
    """

    LABEL: ClassVar[str] = "shares"

    roster_hash: bytes
    self_secret: bytes
    escrow_secret: bytes
    self_share: bytes
    escrow: bytes
    dealings: tuple[Dealing, ...]

    def __post_init__(self) -> None:
        require_size("a roster's hash", self.roster_hash, HASH_BYTES)
        self._check_signer()
        for commitment in (self.self_secret, self.escrow_secret, self.self_share):
            require_size("a commitment", commitment, HASH_BYTES)
        require_range("the number of dealings", len(self.dealings), most=MAX_REGIONS - 1)
        require_size("an escrow", self.escrow, _SEED_BYTES * len(self.dealings) + TAG_BYTES)
        require_ascending(self.recipients)
        for dealing in self.dealings:
            if (dealing.uid, dealing.roster_hash) != (self.uid, self.roster_hash):
                raise MalformedMessageError("expected dealings of the sender and of its roster")

    @property
    def recipients(self) -> tuple[bytes, ...]:
        """The peers that it deals to, ascending by uid."""
        return tuple(dealing.recipient for dealing in self.dealings)

    def dealing_to(self, recipient: bytes) -> Dealing:
        """Return the dealing to one peer.

        Raises:
            ValueError: If there is none.
        """
        return self.dealings[self.recipients.index(recipient)]

    def scope(self) -> bytes:
        """Return the roster's hash."""
        return self.roster_hash

    def body(self) -> bytes:
        """Return the canonical bytes without the signature."""
        writer = Writer(Kind.SHARES).raw(self.roster_hash).raw(self.uid)
        writer.raw(self.self_secret).raw(self.escrow_secret).raw(self.self_share)
        writer.blob(self.escrow).integer(len(self.dealings), size=2)
        return writer.raw(b"".join(dealing.to_bytes() for dealing in self.dealings)).bytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read canonical bytes; no signature is checked yet.

        Raises:
            MalformedMessageError: For any other bytes; nothing else is ever raised.
        """
        reader = Reader(data, Kind.SHARES)
        return cls(
            roster_hash=reader.raw(HASH_BYTES),
            uid=reader.raw(UID_BYTES),
            self_secret=reader.raw(HASH_BYTES),
            escrow_secret=reader.raw(HASH_BYTES),
            self_share=reader.raw(HASH_BYTES),
            escrow=reader.blob(most=_SEED_BYTES * MAX_REGIONS + TAG_BYTES),
            dealings=tuple(
                Dealing.from_bytes(reader.raw(Dealing.SIZE))
                for _ in range(reader.integer(size=2, most=MAX_REGIONS - 1))
            ),
            signature=read_signature(reader),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted(Signed):
    """Region → server: whose dealings hold; with the others this region shares no mask.

    Attributes:
        roster_hash: The round and its keys, 32 bytes.
        uid: The sender, 16 bytes.
        peers: The dealers that it accepts, ascending by uid; not itself.
        signature: Ed25519 by the sender's identity over all of the above.
    """

    LABEL: ClassVar[str] = "accepted"

    roster_hash: bytes
    peers: tuple[bytes, ...]

    def __post_init__(self) -> None:
        require_size("a roster's hash", self.roster_hash, HASH_BYTES)
        self._check_signer()
        require_ascending(self.peers)
        if self.uid in self.peers:
            raise MalformedMessageError("expected peers other than the sender")

    def scope(self) -> bytes:
        """Return the roster's hash."""
        return self.roster_hash

    def body(self) -> bytes:
        """Return the canonical bytes without the signature."""
        writer = Writer(Kind.ACCEPTED).raw(self.roster_hash).raw(self.uid)
        return writer.uids(self.peers).bytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read canonical bytes; the signature is not yet checked.

        Raises:
            MalformedMessageError: For any other bytes; nothing else is ever raised.
        """
        reader = Reader(data, Kind.ACCEPTED)
        return cls(
            roster_hash=reader.raw(HASH_BYTES),
            uid=reader.raw(UID_BYTES),
            peers=reader.uids(),
            signature=read_signature(reader),
        )


@dataclass(frozen=True, slots=True)
class Members:
    """Server → regions: who masks with whom; each of these masks with all the others.

    Attributes:
        roster_hash: The round and its keys, 32 bytes.
        uids: Ascending.
    """

    roster_hash: bytes
    uids: tuple[bytes, ...]

    def __post_init__(self) -> None:
        require_size("a roster's hash", self.roster_hash, HASH_BYTES)
        require_ascending(self.uids)

    def to_bytes(self) -> bytes:
        """Return the canonical bytes."""
        return Writer(Kind.MEMBERS).raw(self.roster_hash).uids(self.uids).bytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read canonical bytes.

        Raises:
            MalformedMessageError: For any other bytes; nothing else is ever raised.
        """
        reader = Reader(data, Kind.MEMBERS)
        members = cls(reader.raw(HASH_BYTES), reader.uids())
        reader.end()
        return members


@dataclass(frozen=True, slots=True)
class Parcel:
    """Either way: messages of one kind that travel together; each is signed by itself.

    Attributes:
        roster_hash: The round and its keys, 32 bytes.
        uid: Whom they are from, or whom they are for, 16 bytes.
        items: At most 128 messages of at most 2048 bytes.
    """

    roster_hash: bytes
    uid: bytes
    items: tuple[bytes, ...]

    def __post_init__(self) -> None:
        require_size("a roster's hash", self.roster_hash, HASH_BYTES)
        require_size("an identifier", self.uid, UID_BYTES)
        require_range("the number of messages", len(self.items), most=MAX_REGIONS)
        for item in self.items:
            require_range("a message's bytes", len(item), most=MAX_ITEM_BYTES)

    def to_bytes(self) -> bytes:
        """Return the canonical bytes."""
        writer = Writer(Kind.PARCEL).raw(self.roster_hash).raw(self.uid)
        writer.integer(len(self.items), size=2)
        for item in self.items:
            writer.blob(item)
        return writer.bytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read canonical bytes; what is inside is not read yet.

        Raises:
            MalformedMessageError: For any other bytes; nothing else is ever raised.
        """
        reader = Reader(data, Kind.PARCEL)
        roster_hash, uid = reader.raw(HASH_BYTES), reader.raw(UID_BYTES)
        count = reader.integer(size=2, most=MAX_REGIONS)
        items = tuple(reader.blob(most=MAX_ITEM_BYTES) for _ in range(count))
        reader.end()
        return cls(roster_hash, uid, items)
