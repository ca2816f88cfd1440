from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from protocol.errors import AbortCode, AbortError
from protocol.keys import PairSecret, RoundKeys
from tests.protocol.builders import randomness

LOW, HIGH = b"\x01" * 16, b"\x02" * 16
ROSTER = b"\x07" * 32

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


def pair(keys: RoundKeys, other: RoundKeys, *, up: bool, **changes: Any) -> PairSecret:
    arguments: dict[str, Any] = {
        "me": LOW if up else HIGH,
        "peer": HIGH if up else LOW,
        "peer_key": other.public_bytes(),
        "roster_hash": ROSTER,
    }
    return keys.pair_secret(**(arguments | changes))


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
    ours, theirs = RoundKeys(randomness("a")), RoundKeys(randomness("b"))
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
        {"kem_secret": b"s" * 32},
        {"kem_ciphertext": b"c"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_any_other_view_gives_another_secret(change: dict[str, bytes]) -> None:
    """Regions that were shown different rosters or ciphertexts share no seed."""
    ours, theirs = RoundKeys(randomness("a")), RoundKeys(randomness("b"))
    honest, other = pair(ours, theirs, up=True), pair(ours, theirs, up=True, **change)
    assert not set(parts(honest)) & set(parts(other))


@pytest.mark.parametrize("point", LOW_ORDER)
def test_points_of_low_order_are_refused(point: str) -> None:
    """A peer cannot force a secret that the server knows."""
    keys = RoundKeys(randomness("a"))
    with pytest.raises(AbortError) as caught:
        pair(keys, keys, up=True, peer_key=bytes.fromhex(point))
    assert (caught.value.code, caught.value.uid) == (AbortCode.MALFORMED, HIGH)


def test_secrets_stay_where_they_are() -> None:
    """Neither ``repr`` nor pickle nor copy shows a key or a seed."""
    keys = RoundKeys(randomness("a"))
    secret = pair(keys, RoundKeys(randomness("b")), up=True)
    for value in keys, secret:
        for leave in pickle.dumps, copy.copy, copy.deepcopy:
            with pytest.raises(TypeError, match="secret"):
                leave(value)
    assert not any(
        part.hex() in repr(secret) or repr(part) in repr(secret) for part in parts(secret)
    )
