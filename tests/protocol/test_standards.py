"""Known answers from the standards, through the calls that the protocol makes.

RFC 7748 5.2, RFC 5869, SP 800-38A and FIPS 197 are with ``keys`` and ``keystream``, RFC 8032 test 1
is with ``identity``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from protocol.config import Kem
from protocol.errors import AbortCode, AbortError
from protocol.identity import Identity
from protocol.keys import RoundKeys, encapsulate
from protocol.keystream import derive

VECTORS = Path(__file__).parent.parent / "vectors"
PEER = b"\x01" * 16


def cases(name: str, part: str) -> list[Any]:
    """Return one list of a recorded file, each case under its number."""
    content = json.loads((VECTORS / f"standards_{name}.json").read_text(encoding="utf-8"))
    return [pytest.param(case, id=f"{part}-{case['tcId']}") for case in content[part]]


def unhex(text: str) -> bytes:
    return bytes.fromhex(text)


def drawn(*values: bytes) -> Callable[[int], bytes]:
    """Return a source of randomness that gives these values, in order."""
    left = list(values)

    def read(size: int) -> bytes:
        value = left.pop(0)
        assert len(value) == size
        return value

    return read


def hybrid(seed: bytes) -> RoundKeys:
    """Return a region's keys whose ML-KEM key comes from this seed, d and z."""
    return RoundKeys(Kem.X25519_ML_KEM_768, drawn(bytes(32), seed))


def test_x25519_matches_rfc_7748_section_6_1() -> None:
    """Alice and Bob: both public keys, and one secret from either side."""
    alice = unhex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a")
    bob = unhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb")
    alice_public = "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"
    bob_public = "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"
    shared = "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"
    for private, public, other in (
        (alice, alice_public, bob_public),
        (bob, bob_public, alice_public),
    ):
        assert RoundKeys(Kem.X25519, drawn(private)).x25519_key().hex() == public
        peer = X25519PublicKey.from_public_bytes(unhex(other))
        assert X25519PrivateKey.from_private_bytes(private).exchange(peer).hex() == shared


ED25519 = {  # RFC 8032, section 7.1: secret key, public key, message, signature
    "test 2": (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    "test 3": (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
        "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
}


@pytest.mark.parametrize("case", ED25519)
def test_ed25519_matches_rfc_8032(case: str) -> None:
    """An identity's key, and its signature of the bare message."""
    secret, public, message, signature = ED25519[case]
    signer = Identity.from_private_bytes(unhex(secret))
    assert signer.public_bytes().hex() == public
    assert signer._private_key.sign(unhex(message)).hex() == signature


@pytest.mark.parametrize("case", cases("hkdf_sha256", "cases"))
def test_derive_matches_hkdf_with_info(case: dict[str, Any]) -> None:
    """RFC 5869 has no case with info and without salt; these are Wycheproof's."""
    made = derive(unhex(case["ikm"]), info=unhex(case["info"]), size=case["size"])
    assert made.hex() == case["okm"]


GCM = {  # McGrew and Viega, the GCM specification, appendix B: key, IV, text, data, sealed, tag
    "case 13": ("00" * 32, "00" * 12, "", "", "", "530f8afbc74536b9a963b4f1c4cb738b"),
    "case 14": (
        "00" * 32,
        "00" * 12,
        "00" * 16,
        "",
        "cea7403d4d606b6e074ec5d3baf39d18",
        "d0d1c8a799996bf0265b98b5d48ab919",
    ),
    "case 16": (
        "feffe9928665731c6d6a8f9467308308" * 2,
        "cafebabefacedbaddecaf888",
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
        "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
        "feedfacedeadbeeffeedfacedeadbeefabaddad2",
        "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
        "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662",
        "76fc6ece0f4e1768cddf8853bb2d551b",
    ),
}


@pytest.mark.parametrize("case", GCM)
def test_aes_256_gcm_matches_its_specification(case: str) -> None:
    """Sealing and opening; the first two have the zero nonce of our boxes."""
    key, nonce, text, data, sealed, tag = map(unhex, GCM[case])
    assert AESGCM(key).encrypt(nonce, text, data) == sealed + tag
    assert AESGCM(key).decrypt(nonce, sealed + tag, data) == text
    for spoiled in (sealed + tag[:-1] + bytes([tag[-1] ^ 1]), sealed + tag[:-1]):
        with pytest.raises(InvalidTag):
            AESGCM(key).decrypt(nonce, spoiled, data)


@pytest.mark.parametrize("case", cases("ml_kem_768", "keygen"))
def test_ml_kem_keys_match_nist(case: dict[str, Any]) -> None:
    """FIPS 203, algorithm 16: the public key that d and z make, in this order."""
    assert hybrid(unhex(case["d"] + case["z"])).kem_key().hex() == case["ek"]


@pytest.mark.parametrize("case", cases("ml_kem_768", "decapsulation"))
def test_ml_kem_secrets_match_wycheproof(case: dict[str, Any]) -> None:
    """FIPS 203, algorithm 21: honest ciphertexts, and others, which give a secret of no use."""
    opened = hybrid(unhex(case["seed"])).decapsulate(unhex(case["c"]), peer=PEER)
    assert opened.secret.hex() == case["K"]


@pytest.mark.parametrize("case", cases("ml_kem_768", "refused_ciphertexts"))
def test_ml_kem_refuses_ciphertexts_of_another_size(case: dict[str, Any]) -> None:
    """FIPS 203, section 7.3."""
    keys = hybrid(unhex(case["seed"]))
    with pytest.raises(AbortError) as caught:
        keys.decapsulate(unhex(case["c"]), peer=PEER)
    assert (caught.value.code, caught.value.uid) == (AbortCode.MALFORMED, PEER)


@pytest.mark.parametrize("case", cases("ml_kem_768", "refused_keys"))
def test_ml_kem_refuses_keys_out_of_range(case: dict[str, Any]) -> None:
    """FIPS 203, section 7.2: of another size, or with a coefficient of q or more."""
    with pytest.raises(AbortError) as caught:
        encapsulate(unhex(case["ek"]), peer=PEER)
    assert (caught.value.code, caught.value.uid) == (AbortCode.MALFORMED, PEER)


@pytest.mark.parametrize("case", cases("ml_kem_768", "keygen"))
def test_ml_kem_agrees_with_itself(case: dict[str, Any]) -> None:
    """What is encapsulated to a recorded key is opened with its seed, and by no other."""
    sent = encapsulate(unhex(case["ek"]), peer=PEER)
    seed = unhex(case["d"] + case["z"])
    assert hybrid(seed).decapsulate(sent.ciphertext, peer=PEER).secret == sent.secret
    other = MLKEM768PrivateKey.from_seed_bytes(seed[::-1])
    assert other.decapsulate(sent.ciphertext) != sent.secret
