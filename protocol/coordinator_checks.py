"""What the server checks of each message before it lets it into a round.

Each function returns or raises with the sender's uid; none changes anything.
"""

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterable, Mapping, Sequence

from protocol.config import Kem, RoundConfig
from protocol.errors import AbortCode, AbortError, require
from protocol.identity import Identity, Registry
from protocol.keys import check_public_keys
from protocol.messages import Advertise, Masked
from protocol.share_messages import Accepted, Encaps, Shares
from protocol.unmask_messages import Survivors
from protocol.wire import CHUNK_BYTES, KEM_CIPHERTEXT_BYTES, Chunk


def check_own(config: RoundConfig, server_identity: Identity, registry: Registry) -> None:
    """Check what a careful server does not sign.

    Raises:
        AbortError: ``registry_mismatch``, ``unknown_region`` or ``bad_encoding``.
    """
    require(
        config.registry_hash == registry.hash,
        AbortCode.REGISTRY_MISMATCH,
        "the round is for another registry",
    )
    require(
        server_identity.public_bytes() == registry.server_key,
        AbortCode.REGISTRY_MISMATCH,
        "the registry names another server key",
    )
    registry.names(set(config.cohort))
    require(
        config.encoding.fits(len(config.cohort)),
        AbortCode.BAD_ENCODING,
        f"the sum of {len(config.cohort)} regions could wrap; use Encoding.for_regions",
    )


def check_fresh_keys(advert: Advertise, others: Iterable[Advertise]) -> None:
    """Check that a region's keys can be used, and that none is another one's.

    Raises:
        AbortError: ``malformed`` or ``duplicate_keys``.
    """
    check_public_keys(advert.x25519_key, advert.kem_key, uid=advert.uid)
    require(
        not any(
            advert.x25519_key == other.x25519_key
            or (advert.kem_key and advert.kem_key == other.kem_key)
            for other in others
        ),
        AbortCode.DUPLICATE_KEYS,
        f"{advert.uid.hex()} sent another region's key",
        uid=advert.uid,
    )


def check_parcel(uid: bytes, items: Sequence[Encaps], *, roster: Iterable[bytes], kem: Kem) -> None:
    """Check that a region sent its own ciphertexts, one for each higher region of the roster.

    An honest one can: the server looked at every key. One that leaves a peer out would make the
    two quarrel, with nothing signed to say who lies.

    Raises:
        AbortError: ``unknown_region`` or ``malformed``.
    """
    require(
        all(item.uid == uid for item in items)
        and sorted(item.recipient for item in items)
        == sorted(peer for peer in roster if peer > uid),
        AbortCode.UNKNOWN_REGION,
        f"expected one ciphertext of {uid.hex()} for each higher region of the roster",
        uid=uid,
    )
    size = KEM_CIPHERTEXT_BYTES if kem is Kem.X25519_ML_KEM_768 else 0
    require(
        all(len(item.ciphertext) == size for item in items),
        AbortCode.MALFORMED,
        f"expected ciphertexts of {size} bytes from {uid.hex()}",
        uid=uid,
    )


def check_dealings(shares: Shares, *, roster: Container[bytes], present: Iterable[bytes]) -> None:
    """Check that a region deals to every region that is still there, and to no stranger.

    Raises:
        AbortError: ``unknown_region`` or ``too_few_shares``.
    """
    require(
        all(uid in roster for uid in shares.recipients) and shares.uid not in shares.recipients,
        AbortCode.UNKNOWN_REGION,
        f"expected dealings of {shares.uid.hex()} to regions of the roster",
        uid=shares.uid,
    )
    left_out = set(present) - {shares.uid, *shares.recipients}
    require(
        not left_out,
        AbortCode.TOO_FEW_SHARES,
        f"expected dealings of {shares.uid.hex()} to everybody, got none for "
        f"{', '.join(uid.hex() for uid in sorted(left_out))}",
        uid=shares.uid,
    )


def check_peers(accepted: Accepted, *, shares: Mapping[bytes, Shares]) -> None:
    """Check that a region accepts only peers that dealt to it.

    Raises:
        AbortError: ``unknown_region``.
    """
    require(
        all(peer in shares and accepted.uid in shares[peer].recipients for peer in accepted.peers),
        AbortCode.UNKNOWN_REGION,
        f"expected {accepted.uid.hex()} to accept regions that dealt to it",
        uid=accepted.uid,
    )


def proven_liars(
    accepted: Mapping[bytes, frozenset[bytes]],
    shares: Mapping[bytes, Shares],
    registry: Registry,
) -> frozenset[bytes]:
    """Return the dealers of disputed dealings that carry no good signature of theirs."""
    liars = set()
    for holder, peers in accepted.items():
        for dealer, dealt in shares.items():
            if dealer != holder and dealer not in peers and holder in dealt.recipients:
                try:
                    dealt.dealing_to(holder).verify(registry.record(dealer).identity_key)
                except AbortError:
                    liars.add(dealer)
    return frozenset(liars)


def mutual(
    accepted: Mapping[bytes, frozenset[bytes]], *, without: frozenset[bytes] = frozenset()
) -> tuple[bytes, ...]:
    """Return regions that all accept each other, ascending.

    Those ``without`` leave first, then whoever has most disputes: one that quarrels with many does
    not cost the others each other. Between two who quarrel with each other only, nothing that is
    signed says who lies; the lower one leaves.
    """
    left = set(accepted) - without

    def disputes(one: bytes) -> int:
        return sum(
            other != one and not (other in accepted[one] and one in accepted[other])
            for other in left
        )

    while left and disputes(worst := max(sorted(left), key=disputes)):
        left.remove(worst)
    return tuple(sorted(left))


def check_masked(message: Masked, *, config: RoundConfig, context: bytes) -> None:
    """Check that a vector is of this round and has its size.

    Raises:
        AbortError: ``wrong_context``, ``unknown_region`` or ``bad_length``.
    """
    uid = message.uid
    require(
        message.context == context,
        AbortCode.WRONG_CONTEXT,
        "expected a vector of this round",
        uid=uid,
    )
    require(
        uid in config.cohort,
        AbortCode.UNKNOWN_REGION,
        f"{uid.hex()} is not in the cohort",
        uid=uid,
    )
    require(
        message.size_bytes == config.encoding.size_bytes,
        AbortCode.BAD_LENGTH,
        f"expected {config.encoding.size_bytes} bytes from {uid.hex()}, got {message.size_bytes}",
        uid=uid,
    )


def check_base(message: Masked, *, members: Sequence[bytes]) -> None:
    """Check that a member masked for every other member: nothing else cancels.

    Raises:
        AbortError: ``bad_base``.
    """
    require(
        message.uid in members
        and message.base == tuple(peer for peer in members if peer != message.uid),
        AbortCode.BAD_BASE,
        f"expected {message.uid.hex()} to be a member and to mask for every other member",
        uid=message.uid,
    )


def check_chunks(message: Masked, chunks: Sequence[Chunk]) -> None:
    """Check that the chunks are those that were signed, before any is added.

    Raises:
        AbortError: ``bad_length`` or ``bad_digest``.
    """
    sizes = [len(chunk) for chunk in chunks]
    whole = all(size == CHUNK_BYTES for size in sizes[:-1]) and sum(sizes) == message.size_bytes
    require(
        len(chunks) == len(message.chunk_hashes) and whole,
        AbortCode.BAD_LENGTH,
        f"expected {message.size_bytes} bytes in {len(message.chunk_hashes)} chunks of "
        f"{CHUNK_BYTES}, got {sum(sizes)} in {len(chunks)}",
        uid=message.uid,
    )
    for chunk, digest in zip(chunks, message.chunk_hashes, strict=True):
        require(
            hashlib.sha256(chunk).digest() == digest,
            AbortCode.BAD_DIGEST,
            f"a chunk from {message.uid.hex()} is not what was signed; was it cut short?",
            uid=message.uid,
        )


def check_list(uid: bytes, survivors_hash: bytes, survivors: Survivors) -> None:
    """Check that a region answers about the list that the server made.

    Raises:
        AbortError: ``bad_survivors``.
    """
    if survivors_hash != survivors.hash():
        raise AbortError(
            AbortCode.BAD_SURVIVORS,
            f"expected {uid.hex()} to answer about this round's list of survivors",
            uid=uid,
        )
