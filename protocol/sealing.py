"""What a region deals in R2: sealed boxes, the escrow, and the commitments to what is in them.

AES-256-GCM (NIST SP 800-38D) under a key that serves one message, so the nonce is zero. Every
commitment is a hash over the kind, the round and the parties, with a salt of 32 bytes for a share:
whoever dealt or revealed a wrong one can be named.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from protocol.encoding import enc, tagged_hash
from protocol.errors import AbortCode, AbortError
from protocol.keystream import derive
from protocol.unmask_messages import RevealedShare
from protocol.wire import SALT_BYTES, SHARE_BYTES

SELF, ESCROW = "self", "escrow"  # the two secrets: of the self mask, and of the escrow
_NONCE = bytes(12)
_SEED_BYTES = 32


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class DealtShares:
    """A dealer's shares for one holder.

    Attributes:
        own: Of the secret of the dealer's self mask.
        escrow: Of the secret that opens the dealer's escrow.
    """

    own: RevealedShare
    escrow: RevealedShare

    def __reduce__(self) -> NoReturn:
        raise TypeError("DealtShares are secrets of one round: they cannot be copied or stored")


def commit_secret(kind: str, *, roster_hash: bytes, dealer: bytes, secret: bytes) -> bytes:
    """Return the commitment to a dealer's secret, which is uniform and needs no salt."""
    return tagged_hash("secret", kind, roster_hash, dealer, secret)


def self_seed(secret: bytes, *, roster_hash: bytes, dealer: bytes) -> bytes:
    """Return the seed of a region's own mask: another one for each round and region.

    Two regions with one secret, or one region with repeated randomness, share no stream.
    """
    return derive(secret, info=enc("self", roster_hash, dealer))


def commit_share(kind: str, share: RevealedShare, *, roster_hash: bytes, holder: bytes) -> bytes:
    """Return the commitment to a share that ``holder`` keeps."""
    return tagged_hash("share", kind, roster_hash, share.dealer, holder, share.salt, share.share)


def commit_seed(*, roster_hash: bytes, one: bytes, other: bytes, seed: bytes) -> bytes:
    """Return the commitment to a pair's seed: the same from both sides."""
    return tagged_hash("seed", roster_hash, min(one, other), max(one, other), seed)


def seal_shares(key: bytes, shares: DealtShares, *, roster_hash: bytes, holder: bytes) -> bytes:
    """Return the box with a holder's shares, 144 bytes.

    Args:
        key: The pair's key for this direction, 32 bytes, used for nothing else.
        shares: What the holder gets.
        roster_hash: The round and its keys.
        holder: Whom the box is for.
    """
    own, escrow = shares.own, shares.escrow
    data = own.share + own.salt + escrow.share + escrow.salt
    return AESGCM(key).encrypt(_NONCE, data, _box_label(roster_hash, own.dealer, holder))


def open_shares(
    key: bytes, box: bytes, *, roster_hash: bytes, dealer: bytes, holder: bytes
) -> DealtShares:
    """Return what is in a box.

    Raises:
        AbortError: ``bad_box``, with the dealer's uid, if it was not sealed for this holder and
            round with this key.
    """
    data = _open(key, box, _box_label(roster_hash, dealer, holder), dealer)
    size = SHARE_BYTES + SALT_BYTES
    own, escrow = (
        RevealedShare(dealer, part[:SHARE_BYTES], part[SHARE_BYTES:])
        for part in (data[:size], data[size:])
    )
    return DealtShares(own, escrow)


def seal_escrow(
    secret: bytes, seeds: Sequence[bytes], *, roster_hash: bytes, dealer: bytes
) -> bytes:
    """Return a region's pair seeds, 32 bytes each, sealed under a key made from ``secret``."""
    key = _escrow_key(secret, roster_hash, dealer)
    return AESGCM(key).encrypt(_NONCE, b"".join(seeds), None)


def open_escrow(
    secret: bytes, escrow: bytes, *, roster_hash: bytes, dealer: bytes
) -> tuple[bytes, ...]:
    """Return the pair seeds in an escrow, in the order in which they were sealed.

    Raises:
        AbortError: ``bad_escrow``, with the dealer's uid, if the secret does not open it.
    """
    key = _escrow_key(secret, roster_hash, dealer)
    data = _open(key, escrow, None, dealer, AbortCode.BAD_ESCROW)
    return tuple(data[i : i + _SEED_BYTES] for i in range(0, len(data), _SEED_BYTES))


def _escrow_key(secret: bytes, roster_hash: bytes, dealer: bytes) -> bytes:
    return derive(secret, info=enc("escrow", roster_hash, dealer))


def _box_label(roster_hash: bytes, dealer: bytes, holder: bytes) -> bytes:
    return enc("box", roster_hash, dealer, holder)


def _open(
    key: bytes,
    box: bytes,
    label: bytes | None,
    dealer: bytes,
    code: AbortCode = AbortCode.BAD_BOX,
) -> bytes:
    try:
        return AESGCM(key).decrypt(_NONCE, box, label)
    except InvalidTag as error:
        raise AbortError(
            code,
            f"expected what {dealer.hex()} sealed for this round, got other bytes; the dealer or "
            "the server changed them",
            uid=dealer,
        ) from error
