"""The keys of one region for one round: X25519 (RFC 7748) and ML-KEM-768 (FIPS 203).

Both are fresh for every context. A pair's secret is derived from both shared secrets together, so
it holds while either of the two does, and through the hash of the signed roster, so that two
regions that were shown different rosters never share one. Python cannot overwrite memory; what is
no longer needed is dropped, never stored, and shows in no ``repr`` and no pickle.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NoReturn

from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from protocol.config import Kem
from protocol.encoding import enc
from protocol.errors import AbortCode, AbortError
from protocol.keystream import derive
from protocol.wire import KEY_BYTES

_KEM_SEED_BYTES = 64  # d and z of FIPS 203, algorithm 16


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


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Encapsulated:
    """A KEM secret and what carries it to the peer; both empty without the hybrid."""

    secret: bytes = field(default=b"", repr=False)
    ciphertext: bytes = b""

    def __reduce__(self) -> NoReturn:
        raise TypeError("an Encapsulated is a secret of one round: it cannot be copied or stored")


class RoundKeys:
    """One region's key agreement keys for one round."""

    __slots__ = ("_kem", "_x25519")

    def __init__(self, kem: Kem, randomness: Callable[[int], bytes]) -> None:
        """Make fresh keys from 32 bytes of ``randomness``, and 64 more for the hybrid."""
        self._x25519 = X25519PrivateKey.from_private_bytes(randomness(KEY_BYTES))
        self._kem: MLKEM768PrivateKey | None = None
        if kem is Kem.X25519_ML_KEM_768:
            self._kem = MLKEM768PrivateKey.from_seed_bytes(randomness(_KEM_SEED_BYTES))

    def x25519_key(self) -> bytes:
        """Return the public X25519 key, 32 bytes."""
        return self._x25519.public_key().public_bytes_raw()

    def kem_key(self) -> bytes:
        """Return the ML-KEM encapsulation key, 1184 bytes; empty without the hybrid."""
        return b"" if self._kem is None else self._kem.public_key().public_bytes_raw()

    def decapsulate(self, ciphertext: bytes, *, peer: bytes) -> Encapsulated:
        """Return the KEM secret that ``peer`` encapsulated for this region.

        A wrong ciphertext of the right size gives a random secret (FIPS 203, implicit rejection),
        which then opens no box.

        Raises:
            AbortError: ``malformed``, with the peer's uid, for a ciphertext of another size.
        """
        if self._kem is None or not ciphertext:
            if self._kem is not None or ciphertext:
                raise _faulty(peer, "a KEM ciphertext exactly when the round is hybrid")
            return Encapsulated()
        try:
            return Encapsulated(self._kem.decapsulate(ciphertext), ciphertext)
        except ValueError as error:
            raise _faulty(peer, "an ML-KEM-768 ciphertext") from error

    def pair_secret(
        self, *, me: bytes, peer: bytes, peer_key: bytes, roster_hash: bytes, kem: Encapsulated
    ) -> PairSecret:
        """Return the secret shared with ``peer``.

        Guarantees: both sides derive the same value if and only if they hold the same roster,
        which covers the context and all public keys, and the same KEM secret and ciphertext.

        Args:
            me: This region's uid, 16 bytes.
            peer: The other's uid.
            peer_key: The other's X25519 key from the roster, 32 bytes.
            roster_hash: Hash of the whole signed roster, 32 bytes.
            kem: What the lower one of the two encapsulated for the higher one.

        Raises:
            AbortError: ``malformed``, with the peer's uid, for a point of low order.
        """
        try:
            shared = self._x25519.exchange(X25519PublicKey.from_public_bytes(peer_key))
        except ValueError as error:  # RFC 7748, section 6.1: the all-zero secret is refused
            raise _faulty(peer, "an X25519 key of prime order") from error
        info = enc("pair", roster_hash, min(me, peer), max(me, peer), kem.ciphertext)
        material = derive(shared + kem.secret, info=info, size=96)
        return PairSecret(material[:32], material[32:64], material[64:])

    def __reduce__(self) -> NoReturn:
        raise TypeError("RoundKeys are secrets of one round: they cannot be copied or stored")


def check_public_keys(x25519_key: bytes, kem_key: bytes, *, uid: bytes) -> None:
    """Check that a region's public keys can be used at all; anybody can see that.

    Args:
        x25519_key: 32 bytes.
        kem_key: 1184 bytes, or empty.
        uid: Whose keys they are.

    Raises:
        AbortError: ``malformed``, with the uid, for a point of low order or no ML-KEM-768 key.
    """
    try:
        X25519PrivateKey.generate().exchange(X25519PublicKey.from_public_bytes(x25519_key))
        if kem_key:
            MLKEM768PublicKey.from_public_bytes(kem_key)
    except ValueError as error:
        raise _faulty(uid, "keys that a peer can use") from error


def encapsulate(kem_key: bytes, *, peer: bytes) -> Encapsulated:
    """Return a fresh KEM secret for ``peer``; an empty one if it has no KEM key.

    Args:
        kem_key: The peer's encapsulation key from the roster, 1184 bytes or empty.
        peer: Whose key it is.

    Raises:
        AbortError: ``malformed``, with the peer's uid, if it is no ML-KEM-768 key (FIPS 203, 7.2).
    """
    if not kem_key:
        return Encapsulated()
    try:
        return Encapsulated(*MLKEM768PublicKey.from_public_bytes(kem_key).encapsulate())
    except ValueError as error:
        raise _faulty(peer, "an ML-KEM-768 key") from error


def _faulty(peer: bytes, expected: str) -> AbortError:
    return AbortError(
        AbortCode.MALFORMED,
        f"expected {expected} from {peer.hex()}, got something else; the peer is faulty or hostile",
        uid=peer,
    )
