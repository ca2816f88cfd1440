"""What a region checks of each message, beside the configuration (``policy``): FSA1's step table.

Each function returns or raises; none changes anything. A code names the check that failed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol, TypeVar

from protocol.config import Kem, RoundConfig
from protocol.errors import AbortCode, AbortError, require
from protocol.history import History
from protocol.identity import Registry
from protocol.messages import Advertise, Roster
from protocol.share_messages import Members, Parcel
from protocol.wire import KEM_KEY_BYTES


class Addressed(Protocol):
    """A message of one region to another, about one roster."""

    @property
    def uid(self) -> bytes:
        """The sender."""
        ...

    @property
    def recipient(self) -> bytes:
        """Whom it is for."""
        ...

    @property
    def roster_hash(self) -> bytes:
        """The round and its keys."""
        ...


Message = TypeVar("Message", bound=Addressed)


def own_uid(registry: Registry, public_key: bytes) -> bytes:
    """Return the uid of the region whose identity key this is.

    Raises:
        AbortError: ``unknown_region`` if the registry has none.
    """
    for record in registry.regions:
        if record.identity_key == public_key:
            return record.uid
    raise AbortError(
        AbortCode.UNKNOWN_REGION,
        f"the registry (epoch {registry.epoch}) has no region with this identity; is the key "
        "file the right one?",
    )


def check_advert(
    advert: Advertise, *, config: RoundConfig, context: bytes, registry: Registry
) -> None:
    """Check one advert against the round, whose context is given; both sides do.

    Raises:
        AbortError: ``wrong_context``, ``unknown_region``, ``malformed`` (a KEM key that the round
            has no use for, or none where it needs one) or ``bad_signature``, with the uid.
    """
    uid = advert.uid
    require(
        advert.context == context,
        AbortCode.WRONG_CONTEXT,
        "expected an advert for this round",
        uid=uid,
    )
    require(
        uid in config.cohort,
        AbortCode.UNKNOWN_REGION,
        f"expected a region of the cohort, got {uid.hex()}",
        uid=uid,
    )
    expected = 0 if config.kem is Kem.X25519 else KEM_KEY_BYTES
    require(
        len(advert.kem_key) == expected,
        AbortCode.MALFORMED,
        f"expected a KEM key of {expected} bytes, got {len(advert.kem_key)}",
        uid=uid,
    )
    advert.verify(registry.record(uid).identity_key)


def check_roster(
    roster: Roster,
    *,
    config: RoundConfig,
    context: bytes,
    own_advert: bytes,
    me: bytes,
    registry: Registry,
) -> None:
    """Check everybody's keys.

    Raises:
        AbortError: ``wrong_context``, ``own_key_replaced``, ``duplicate_keys``, ``too_few_keys``,
            or as `check_advert`.
    """
    require(
        roster.context == context,
        AbortCode.WRONG_CONTEXT,
        f"expected the roster of {context.hex()}, got {roster.context.hex()}",
    )
    own = [advert.to_bytes() for advert in roster.adverts if advert.uid == me]
    require(
        own == [own_advert],
        AbortCode.OWN_KEY_REPLACED,
        "expected this region's own advert, byte for byte; the server changed or lost it",
    )
    for advert in roster.adverts:
        check_advert(advert, config=config, context=context, registry=registry)
    count = len(roster.adverts)
    for keys in (
        {advert.x25519_key for advert in roster.adverts},
        {advert.kem_key or advert.uid for advert in roster.adverts},
    ):
        require(
            len(keys) == count,
            AbortCode.DUPLICATE_KEYS,
            "expected keys of its own from every region, got one twice",
        )
    require(
        count >= config.min_cohort,
        AbortCode.TOO_FEW_KEYS,
        f"expected the keys of at least {config.min_cohort} regions, got {count}",
    )


def check_not_behind(roster: Roster, *, me: bytes, history: History) -> None:
    """Check that no peer has seen a later state of this region's ledger than it has itself.

    Raises:
        AbortError: ``ledger_behind``: this region runs on an older copy of its folder.
    """
    for advert in roster.adverts:
        for checkpoint in advert.checkpoints:
            require(
                checkpoint.uid != me or advert.uid == me or not history.is_behind(checkpoint.note),
                AbortCode.LEDGER_BEHIND,
                f"{advert.uid.hex()} has seen a later checkpoint of this region's ledger than the "
                "ledger holds: this folder is an older copy; find the newest one, and spend "
                "nothing until then",
            )


def read_parcel(
    data: bytes,
    read: Callable[[bytes], Message],
    *,
    roster_hash: bytes,
    me: bytes,
    peers: Iterable[bytes],
) -> Mapping[bytes, Message]:
    """Return the messages in a parcel for this region, by sender; signatures are not checked.

    Raises:
        MalformedMessageError: If it is not a `Parcel`, or what is in it cannot be read.
        AbortError: ``roster_mismatch`` for another round or roster, ``wrong_context`` for another
            recipient, ``unknown_region`` for a stranger, ``duplicate_keys`` for a second message
            of one sender: the server relays what it should not.
    """
    parcel = Parcel.from_bytes(data)
    check_roster_hash(parcel.roster_hash, roster_hash)
    messages: dict[bytes, Message] = {}
    known = set(peers) - {me}
    for message in map(read, parcel.items):
        check_roster_hash(message.roster_hash, roster_hash)
        require(
            message.recipient == me,
            AbortCode.WRONG_CONTEXT,
            f"expected messages for {me.hex()}, got one for {message.recipient.hex()}",
        )
        require(
            message.uid in known,
            AbortCode.UNKNOWN_REGION,
            f"expected messages of regions in the roster, got one of {message.uid.hex()}",
        )
        require(
            message.uid not in messages,
            AbortCode.DUPLICATE_KEYS,
            f"expected one message of {message.uid.hex()}, got two",
        )
        messages[message.uid] = message
    return messages


def check_roster_hash(theirs: bytes, ours: bytes) -> None:
    """Check that a message is about the roster that this region signed on to.

    Raises:
        AbortError: ``roster_mismatch``.
    """
    require(
        theirs == ours,
        AbortCode.ROSTER_MISMATCH,
        f"expected the roster {ours.hex()}, got {theirs.hex()}: the server shows different "
        "regions different keys, or mixes rounds",
    )


def check_enough(count: int, code: AbortCode, *, config: RoundConfig) -> None:
    """Check that a region and ``count`` peers reach the threshold.

    Raises:
        AbortError: ``code``.
    """
    require(
        count + 1 >= config.threshold,
        code,
        f"expected good messages of at least {config.threshold - 1} peers, got {count}",
    )


def check_members(
    members: Members, *, me: bytes, accepted: Iterable[bytes], config: RoundConfig
) -> None:
    """Check whom this region is asked to mask with.

    Raises:
        AbortError: ``bad_members`` if it is not one of them, or cannot mask with one of them;
            ``too_few_shares`` if they are too few.
    """
    require(
        me in members.uids and set(members.uids) <= {me, *accepted},
        AbortCode.BAD_MEMBERS,
        "expected this region and peers whose dealings it accepted",
    )
    least = max(config.threshold, config.min_survivors)
    require(
        len(members.uids) >= least,
        AbortCode.TOO_FEW_SHARES,
        f"expected at least {least} members, got {len(members.uids)}",
    )
