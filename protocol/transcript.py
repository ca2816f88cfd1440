"""What the server publishes of a finished round, and what anybody can check of it afterwards.

A transcript shows, by signatures alone: which round the server proposed, with which keys, that
enough distinct regions consented to exactly this set of survivors, and which sum the server says
came out. Each region checks it before it steps its model and countersigns what it checked. It does
not show that the sum is right: nobody but the server vouches for that (docs/threat-model.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from protocol.config import MAX_CONFIG_BYTES, RoundConfig, SignedConfig
from protocol.encoding import tagged_hash
from protocol.errors import AbortCode, require
from protocol.identity import Registry
from protocol.masks import Words, bytes_of
from protocol.messages import MAX_ADVERT_BYTES, MAX_CHECKPOINTS_BYTES, Roster
from protocol.outcome import Outcome
from protocol.policy import check_supported, check_threshold
from protocol.region_checks import check_advert
from protocol.share_messages import MAX_ITEM_BYTES
from protocol.signed import Signed, read_signature
from protocol.survivor_checks import check_consents
from protocol.unmask_messages import Consent, Survivors
from protocol.wire import (
    HASH_BYTES,
    MAX_REGIONS,
    UID_BYTES,
    Chunk,
    Kind,
    Reader,
    Writer,
    require_range,
    require_size,
    split_chunks,
)

_MAX_ROSTER_BYTES = 64 + MAX_REGIONS * (4 + MAX_ADVERT_BYTES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    """The signed messages of one finished round, as they were sent.

    Attributes:
        signed_config: A `SignedConfig`.
        roster: A `Roster`.
        survivors: A `Survivors`.
        consents: A `Consent` each, ascending by uid.
        outcome: An `Outcome`.
    """

    signed_config: bytes
    roster: bytes
    survivors: bytes
    consents: tuple[bytes, ...]
    outcome: bytes

    def __post_init__(self) -> None:
        require_range("the number of consents", len(self.consents), most=MAX_REGIONS)

    def to_bytes(self) -> bytes:
        """Return the canonical bytes."""
        writer = Writer(Kind.TRANSCRIPT).blob(self.signed_config).blob(self.roster)
        writer.blob(self.survivors).integer(len(self.consents), size=2)
        for consent in self.consents:
            writer.blob(consent)
        return writer.blob(self.outcome).bytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read canonical bytes; what is inside is read by ``check``.

        Raises:
            MalformedMessageError: For any other bytes; nothing else is ever raised.
        """
        reader = Reader(data, Kind.TRANSCRIPT)
        transcript = cls(
            signed_config=reader.blob(most=MAX_CONFIG_BYTES + 128),
            roster=reader.blob(most=_MAX_ROSTER_BYTES),
            survivors=reader.blob(most=MAX_CHECKPOINTS_BYTES + 4096),
            consents=tuple(
                reader.blob(most=MAX_ITEM_BYTES)
                for _ in range(reader.integer(size=2, most=MAX_REGIONS))
            ),
            outcome=reader.blob(most=2 * MAX_ITEM_BYTES),
        )
        reader.end()
        return transcript

    def check(self, registry: Registry) -> Checked:
        """Check every signature and that they are about one round, one roster and one list.

        Args:
            registry: Everybody's keys. Whether they were past their date then is not in here.

        Raises:
            MalformedMessageError: If a message inside cannot be read.
            AbortError: The code names the first check that failed.
        """
        signed = SignedConfig.from_bytes(self.signed_config)
        config, context = signed.config, signed.config.context()
        require(
            config.registry_hash == registry.hash,
            AbortCode.REGISTRY_MISMATCH,
            "the round was run under another registry than this one",
        )
        signed.verify(registry.server_key)
        check_supported(config)
        check_threshold(config)
        roster = Roster.from_bytes(self.roster)
        require(
            roster.context == context, AbortCode.WRONG_CONTEXT, "the roster is of another round"
        )
        for advert in roster.adverts:
            check_advert(advert, config=config, context=context, registry=registry)
        survivors = Survivors.from_bytes(self.survivors)
        survivors.verify(registry.server_key)
        self._check_consents(config, roster, survivors, registry)
        outcome = Outcome.from_bytes(self.outcome)
        outcome.check_signature(registry, context)
        require(
            outcome.survivors == survivors.survivors,
            AbortCode.BAD_TRANSCRIPT,
            "the sum is over other regions than those that were consented to",
        )
        return Checked(config, outcome)

    def _check_consents(
        self, config: RoundConfig, roster: Roster, survivors: Survivors, registry: Registry
    ) -> None:
        uids = {advert.uid for advert in roster.adverts}
        count = len(survivors.survivors)
        require(
            survivors.roster_hash == roster.hash()
            and set(survivors.survivors) <= uids
            and count >= config.min_survivors,
            AbortCode.BAD_TRANSCRIPT,
            f"expected at least {config.min_survivors} survivors, all in the roster, got {count}",
        )
        check_consents(
            [Consent.from_bytes(data) for data in self.consents],
            config=config,
            survivors=survivors.survivors,
            survivors_hash=survivors.hash(),
            roster_hash=roster.hash(),
            registry=registry,
        )


@dataclass(frozen=True, slots=True)
class Checked:
    """What a transcript shows once its signatures are checked.

    Attributes:
        config: The round.
        outcome: The server's statement; its survivors are those that were consented to.
    """

    config: RoundConfig
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class PublishedSum:
    """A finished round, as the regions get it.

    Attributes:
        outcome: The server's signed statement.
        words: The sum modulo 2**bits, shape (d,), of ``word_type(bits)``.
        transcript: The messages that prove the survivors' consent.
    """

    outcome: Outcome
    words: Words
    transcript: Transcript

    def chunks(self) -> tuple[Chunk, ...]:
        """Return the words' bytes in the chunks that follow the transcript."""
        return split_chunks(bytes_of(self.words))


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt(Signed):
    """Region → server: I checked this transcript and this sum, and stepped my model by it.

    Attributes:
        context: The round, 32 bytes.
        uid: The sender, 16 bytes.
        transcript_hash: H("transcript", bytes), 32 bytes.
        signature: Ed25519 by the sender's identity over all of the above.
    """

    LABEL: ClassVar[str] = "receipt"

    context: bytes
    transcript_hash: bytes

    def __post_init__(self) -> None:
        require_size("a context", self.context, HASH_BYTES)
        self._check_signer()
        require_size("a transcript's hash", self.transcript_hash, HASH_BYTES)

    def scope(self) -> bytes:
        """Return the context."""
        return self.context

    def body(self) -> bytes:
        """Return the canonical bytes without the signature."""
        writer = Writer(Kind.RECEIPT).raw(self.context).raw(self.uid)
        return writer.raw(self.transcript_hash).bytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read canonical bytes; the signature is not yet checked.

        Raises:
            MalformedMessageError: For any other bytes; nothing else is ever raised.
        """
        reader = Reader(data, Kind.RECEIPT)
        return cls(
            context=reader.raw(HASH_BYTES),
            uid=reader.raw(UID_BYTES),
            transcript_hash=reader.raw(HASH_BYTES),
            signature=read_signature(reader),
        )


def transcript_hash(transcript: bytes) -> bytes:
    """Return what a receipt signs, 32 bytes."""
    return tagged_hash("transcript", transcript)


def start_hash(model_hash: bytes, last_transcript: bytes) -> bytes:
    """Return a configuration's ``model_hash``: the model, and the transcript that led to it.

    A transcript shows consent, not that its list was unmasked. Bound in here, all regions of a
    round have stepped by one and the same transcript, or they do not even share a context.

    Args:
        model_hash: Hash of the model that the round starts from, 32 bytes.
        last_transcript: Hash of the last round's transcript, 32 bytes; empty before the first.
    """
    return tagged_hash("start", model_hash, last_transcript)
