"""The keys of one region for one round: X25519 (RFC 7748), fresh for every context.

A pair's secret is derived from both public keys through the hash of the signed roster, so two
regions that were shown different rosters never share one. Python cannot overwrite memory; what is
no longer needed is dropped, never stored, and shows in no ``repr`` and no pickle.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NoReturn

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from protocol.encoding import enc
from protocol.errors import AbortCode, AbortError
from protocol.keystream import derive
from protocol.wire import KEY_BYTES


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class PairSecret:
    """What two regions share for one round.

    Attributes:
        key_up: Encrypts what the lower region sends to the higher one, 32 bytes.
        key_down: Encrypts the other direction, 32 bytes.
        seed: Seed of their pairwise mask, 32 bytes.
    """

    key_up: bytes = field(repr=False)
    key_down: bytes = field(repr=False)
    seed: bytes = field(repr=False)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a PairSecret is a secret of one round: it cannot be copied or stored")


class RoundKeys:
    """One region's key agreement key for one round."""

    __slots__ = ("_private_key",)

    def __init__(self, randomness: Callable[[int], bytes]) -> None:
        """Make a fresh key from 32 bytes of ``randomness``."""
        self._private_key = X25519PrivateKey.from_private_bytes(randomness(KEY_BYTES))

    def public_bytes(self) -> bytes:
        """Return the public key, 32 bytes."""
        return self._private_key.public_key().public_bytes_raw()

    def pair_secret(
        self,
        *,
        me: bytes,
        peer: bytes,
        peer_key: bytes,
        roster_hash: bytes,
        kem_secret: bytes = b"",
        kem_ciphertext: bytes = b"",
    ) -> PairSecret:
        """Return the secret shared with ``peer``.

        Guarantees: both sides derive the same value if and only if they hold the same roster,
        which covers the context and both public keys.

        Args:
            me: This region's uid, 16 bytes.
            peer: The other's uid.
            peer_key: The other's X25519 key from the roster, 32 bytes.
            roster_hash: Hash of the whole signed roster, 32 bytes.
            kem_secret: The ML-KEM shared secret in the hybrid mode, else empty.
            kem_ciphertext: The ciphertext that carried it, else empty.

        Raises:
            AbortError: ``malformed``, with the peer's uid, for a point of low order.
        """
        try:
            shared = self._private_key.exchange(X25519PublicKey.from_public_bytes(peer_key))
        except ValueError as error:  # RFC 7748, section 6.1: the all-zero secret is refused
            raise AbortError(
                AbortCode.MALFORMED,
                f"expected an X25519 key of prime order from {peer.hex()}, got a point of low "
                "order; the peer is faulty or hostile",
                uid=peer,
            ) from error
        info = enc("pair", roster_hash, min(me, peer), max(me, peer), kem_ciphertext)
        material = derive(shared + kem_secret, info=info, size=96)
        return PairSecret(material[:32], material[32:64], material[64:])

    def __reduce__(self) -> NoReturn:
        raise TypeError("RoundKeys are secrets of one round: they cannot be copied or stored")
