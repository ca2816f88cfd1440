from __future__ import annotations

import copy
import hashlib
import pickle
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from protocol.config import Kem
from protocol.errors import AbortCode, AbortError
from protocol.keys import Encapsulated, PairSecret, RoundKeys, encapsulate
from protocol.wire import KEM_CIPHERTEXT_BYTES, KEM_KEY_BYTES
from tests.protocol.builders import randomness

LOW, HIGH = b"\x01" * 16, b"\x02" * 16
ROSTER = b"\x07" * 32
HYBRID = Kem.X25519_ML_KEM_768
KEM = Encapsulated(b"\x0a" * 32, b"\x0b" * KEM_CIPHERTEXT_BYTES)

# Every encoding of a point whose order divides 8 (RFC 7748, section 6.1, and its errata).
LOW_ORDER = (
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
)


def keys(name: str, kem: Kem = HYBRID) -> RoundKeys:
    return RoundKeys(kem, randomness(name))


def pair(own: RoundKeys, other: RoundKeys, *, up: bool, **changes: Any) -> PairSecret:
    arguments: dict[str, Any] = {
        "me": LOW if up else HIGH,
        "peer": HIGH if up else LOW,
        "peer_key": other.x25519_key(),
        "roster_hash": ROSTER,
        "kem": KEM,
    }
    return own.pair_secret(**(arguments | changes))


def parts(secret: PairSecret) -> tuple[bytes, bytes, bytes]:
    return secret.key_up, secret.key_down, secret.seed


@pytest.mark.parametrize(
    ("iterations", "expected"),
    [
        (1, "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079"),
        (1000, "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51"),
    ],
)
def test_x25519_matches_rfc_7748(iterations: int, expected: str) -> None:
    """Section 5.2, the iterated vectors."""
    scalar = point = b"\x09" + bytes(31)
    for _ in range(iterations):
        private = X25519PrivateKey.from_private_bytes(scalar)
        scalar, point = private.exchange(X25519PublicKey.from_public_bytes(point)), scalar
    assert scalar.hex() == expected


def test_both_sides_derive_one_secret_of_three_parts() -> None:
    """A pair agrees, and its two directions and its seed are three different keys."""
    ours, theirs = keys("a"), keys("b")
    secret = pair(ours, theirs, up=True)
    assert parts(secret) == parts(pair(theirs, ours, up=False))
    assert len(set(parts(secret))) == 3
    assert {len(part) for part in parts(secret)} == {32}


@pytest.mark.parametrize(
    "change",
    [
        {"roster_hash": b"\x08" * 32},
        {"peer": b"\x03" * 16},
        {"me": b"\x00" * 16},
        {"peer_key": keys("c").x25519_key()},
        {"kem": Encapsulated(b"\x1a" * 32, KEM.ciphertext)},
        {"kem": Encapsulated(KEM.secret, b"\x1b" * KEM_CIPHERTEXT_BYTES)},
        {"kem": Encapsulated()},
    ],
    ids=["roster", "peer", "me", "key", "KEM secret", "ciphertext", "no KEM"],
)
def test_any_other_view_gives_another_secret(change: dict[str, Any]) -> None:
    """Regions that were shown different rosters or ciphertexts share no seed."""
    ours, theirs = keys("a"), keys("b")
    honest, other = pair(ours, theirs, up=True), pair(ours, theirs, up=True, **change)
    assert not set(parts(honest)) & set(parts(other))


def test_the_kem_secret_travels_in_its_ciphertext() -> None:
    """What the lower one encapsulates the higher one decapsulates; each time it is fresh."""
    theirs = keys("b")
    made = [encapsulate(theirs.kem_key(), peer=HIGH) for _ in range(2)]
    for one in made:
        assert len(one.ciphertext) == KEM_CIPHERTEXT_BYTES
        assert len(one.secret) == 32
        found = theirs.decapsulate(one.ciphertext, peer=LOW)
        assert (found.secret, found.ciphertext) == (one.secret, one.ciphertext)
    assert made[0].secret != made[1].secret


def test_a_changed_ciphertext_gives_a_secret_that_nobody_else_has() -> None:
    """FIPS 203, implicit rejection: it is no error, but it opens no box."""
    theirs = keys("b")
    made = encapsulate(theirs.kem_key(), peer=HIGH)
    changed = bytes([made.ciphertext[0] ^ 1]) + made.ciphertext[1:]
    found = theirs.decapsulate(changed, peer=LOW).secret
    assert found != made.secret
    assert found == theirs.decapsulate(changed, peer=LOW).secret


def test_without_the_hybrid_there_is_no_kem_key() -> None:
    """X25519 alone draws 32 secret bytes, publishes no KEM key and encapsulates nothing."""
    ours = keys("a", Kem.X25519)
    assert ours.kem_key() == b""
    assert ours.x25519_key() == keys("a").x25519_key()
    for empty in encapsulate(b"", peer=HIGH), ours.decapsulate(b"", peer=LOW):
        assert (empty.secret, empty.ciphertext) == (b"", b"")


def test_the_keys_are_those_of_their_randomness() -> None:
    """The n-th secret bytes make the n-th key, and nothing else is in them."""
    assert len(keys("a").kem_key()) == KEM_KEY_BYTES
    assert keys("a").kem_key() == keys("a").kem_key() != keys("b").kem_key()
    own = X25519PrivateKey.from_private_bytes(hashlib.shake_256(b"a/1").digest(32))
    assert keys("a").x25519_key() == own.public_key().public_bytes_raw()


@pytest.mark.parametrize("point", LOW_ORDER)
def test_points_of_low_order_are_refused(point: str) -> None:
    """A peer cannot force a secret that the server knows."""
    own = keys("a")
    with pytest.raises(AbortError) as caught:
        pair(own, own, up=True, peer_key=bytes.fromhex(point))
    assert (caught.value.code, caught.value.uid) == (AbortCode.MALFORMED, HIGH)


@pytest.mark.parametrize("size", [0, 1, KEM_CIPHERTEXT_BYTES - 1, KEM_CIPHERTEXT_BYTES + 1])
def test_a_ciphertext_of_another_size_is_refused(size: int) -> None:
    """The sender is named; an empty one does not turn the hybrid off."""
    with pytest.raises(AbortError) as caught:
        keys("a").decapsulate(bytes(size), peer=HIGH)
    assert (caught.value.code, caught.value.uid) == (AbortCode.MALFORMED, HIGH)


def test_a_ciphertext_without_the_hybrid_is_refused() -> None:
    """Nothing is decapsulated in a round that has no KEM."""
    with pytest.raises(AbortError, match="exactly when the round is hybrid"):
        keys("a", Kem.X25519).decapsulate(bytes(KEM_CIPHERTEXT_BYTES), peer=HIGH)


@pytest.mark.parametrize(
    "key",
    [b"k", bytes(KEM_KEY_BYTES - 1), bytes(KEM_KEY_BYTES + 1), b"\xff" * KEM_KEY_BYTES],
    ids=["short", "one less", "one more", "coefficients above q"],
)
def test_a_kem_key_that_is_none_is_refused(key: bytes) -> None:
    """FIPS 203, 7.2: length and modulus are checked before anything is encapsulated."""
    with pytest.raises(AbortError) as caught:
        encapsulate(key, peer=HIGH)
    assert (caught.value.code, caught.value.uid) == (AbortCode.MALFORMED, HIGH)


def test_secrets_stay_where_they_are() -> None:
    """Neither ``repr`` nor pickle nor copy shows a key, a seed or a KEM secret."""
    own = keys("a")
    secret, kem = pair(own, keys("b"), up=True), encapsulate(own.kem_key(), peer=LOW)
    for value in own, secret, kem:
        for leave in pickle.dumps, copy.copy, copy.deepcopy:
            with pytest.raises(TypeError, match="secret"):
                leave(value)
    shown = repr((own, secret, kem))
    for part in (*parts(secret), kem.secret):
        assert part.hex() not in shown
        assert repr(part)[2:-1] not in shown
