"""The recorded rounds, computed again from their secrets, in plain Python without the package."""

from __future__ import annotations

import hashlib
import hmac
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

VECTORS = Path(__file__).parent.parent / "vectors"
EACH_WIDTH = pytest.mark.parametrize("bits", [16, 32])
PRIME = 2**255 - 19


@cache
def stored(name: str) -> Mapping[str, Any]:
    """Return the content of a vector file."""
    content: Mapping[str, Any] = json.loads((VECTORS / f"{name}.json").read_text(encoding="utf-8"))
    return content


def unhex(*parts: str) -> bytes:
    return bytes.fromhex("".join(parts))


def enc(*items: str | bytes) -> bytes:
    """Return text and bytes as tag, length and content."""
    data = ((b"S", one.encode()) if isinstance(one, str) else (b"B", one) for one in items)
    return b"".join(tag + struct.pack(">Q", len(body)) + body for tag, body in data)


def tagged(label: str, *items: str | bytes) -> bytes:
    return hashlib.sha256(enc("FSA1/" + label, *items)).digest()


def hkdf(secret: bytes, info: bytes, size: int = 32) -> bytes:
    """RFC 5869 with SHA-256 and no salt."""
    key, block, out, count = hmac.digest(bytes(32), secret, "sha256"), b"", b"", 1
    while len(out) < size:
        block = hmac.digest(key, block + info + bytes([count]), "sha256")
        out, count = out + block, count + 1
    return out[:size]


def x25519(private: str, peer: str) -> bytes:
    public = X25519PrivateKey.from_private_bytes(unhex(peer)).public_key()
    return X25519PrivateKey.from_private_bytes(unhex(private)).exchange(public)


@dataclass
class Recomputed:
    """A recorded round, computed again."""

    vector: Mapping[str, Any]

    @cached_property
    def regions(self) -> Mapping[bytes, Mapping[str, Any]]:
        """The regions by uid, in the cohort's order."""
        return {unhex(region["uid"]): region for region in self.vector["regions"]}

    @cached_property
    def survivors(self) -> list[bytes]:
        return [uid for uid, region in self.regions.items() if region["masked_words"]]

    @property
    def lost(self) -> bytes:
        lost: bytes
        (lost,) = set(self.regions) - set(self.survivors)
        return lost

    @property
    def roster_hash(self) -> bytes:
        return tagged("roster", unhex(self.vector["roster"]))

    @property
    def threshold(self) -> int:
        return int(self.vector["threshold"])

    @property
    def code(self) -> str:
        return "<4H" if self.vector["bits"] == 16 else "<4I"

    def words(self, data: bytes) -> list[int]:
        return list(struct.unpack(self.code, data))

    def stream(self, seed: bytes) -> list[int]:
        """Return a seed's mask."""
        cipher = Cipher(algorithms.AES256(hkdf(seed, b"FSA1/mask")), modes.CTR(bytes(16)))
        return self.words(cipher.encryptor().update(bytes(struct.calcsize(self.code))))

    def total(self, *rows: tuple[int, list[int]]) -> list[int]:
        """Return the sum of signed rows modulo 2**bits."""
        columns = zip(*([sign * word for word in row] for sign, row in rows), strict=True)
        return [sum(column) % 2 ** self.vector["bits"] for column in columns]

    def pair(self, one: bytes, other: bytes) -> tuple[bytes, bytes, bytes]:
        """Return the keys up and down and the seed of two regions."""
        shared = x25519(
            self.regions[one]["x25519_private_key"], self.regions[other]["x25519_private_key"]
        )
        info = enc("pair", self.roster_hash, min(one, other), max(one, other), b"")
        material = hkdf(shared, info, 96)
        return material[:32], material[32:64], material[64:]

    def secret(self, kind: str, uid: bytes) -> bytes:
        return unhex(self.regions[uid][f"{kind}_coefficients"][0])

    def self_seed(self, uid: bytes, secret: bytes) -> bytes:
        """Return the seed of a region's own mask."""
        return hkdf(secret, enc("self", self.roster_hash, uid))

    def share(self, kind: str, dealer: bytes, holder: bytes) -> bytes:
        """Evaluate the dealer's polynomial at the holder's position, counted from 1."""
        x = list(self.regions).index(holder) + 1
        row = [int(one, 16) for one in self.regions[dealer][f"{kind}_coefficients"]]
        return (sum(c * pow(x, i, PRIME) for i, c in enumerate(row)) % PRIME).to_bytes(32, "big")

    def message(self, uid: bytes, kind: str) -> bytes:
        return unhex(self.regions[uid]["messages"][kind])


def recomputed(bits: int) -> Recomputed:
    return Recomputed(stored(f"fsa1_round_{bits}_bit"))


@EACH_WIDTH
def test_the_recorded_hashes_follow_from_the_messages(bits: int) -> None:
    """Context and roster hash are labelled hashes over the messages themselves."""
    round_ = recomputed(bits)
    assert tagged("ctx", unhex(round_.vector["config"])).hex() == round_.vector["context"]
    assert round_.roster_hash.hex() == round_.vector["roster_hash"]


@EACH_WIDTH
def test_the_recorded_words_are_the_weighted_deltas(bits: int) -> None:
    """Each word stands within a step of the weighted delta (and 2**-6 of one at 16 bit)."""
    round_ = recomputed(bits)
    step, half = Fraction(round_.vector["step"]), 2 ** (bits - 1)
    for region, weight in zip(round_.regions.values(), round_.vector["weights"], strict=True):
        words = round_.words(unhex(region["words"]))
        for word, delta in zip(words, region["delta"], strict=True):
            exact = Fraction(float.fromhex(delta)) * Fraction(weight) / step
            assert abs((word + half) % 2**bits - half - exact) <= 1 + Fraction(1, 64)


@EACH_WIDTH
def test_the_recorded_masks_follow_from_the_recorded_secrets(bits: int) -> None:
    """Own mask, plus the masks shared with higher members, less those shared with lower ones."""
    round_ = recomputed(bits)
    assert len(round_.survivors) == 4
    for uid in round_.survivors:
        rows = [(1, round_.words(unhex(round_.regions[uid]["words"])))]
        rows.append((1, round_.stream(round_.self_seed(uid, round_.secret("self", uid)))))
        for peer in round_.regions:
            if peer != uid:
                seed = round_.pair(uid, peer)[2]
                rows.append((1 if peer > uid else -1, round_.stream(seed)))
        assert round_.total(*rows) == round_.words(unhex(round_.regions[uid]["masked_words"]))


@EACH_WIDTH
def test_the_recorded_sum_follows_from_masked_vectors_and_revealed_shares(bits: int) -> None:
    """From nothing but what the server has: vectors, messages, and the shares in `Unmask`."""
    round_ = recomputed(bits)
    basis = revealed(round_)
    rows = [(1, round_.words(unhex(round_.regions[uid]["masked_words"]))) for uid in basis.members]
    for dealer in round_.survivors:
        rows.append((-1, round_.stream(round_.self_seed(dealer, basis.secret("self", dealer)))))
    escrow_secret = basis.secret("escrow", round_.lost)
    key = hkdf(escrow_secret, enc("escrow", round_.roster_hash, round_.lost))
    shares = round_.message(round_.lost, "shares")
    at = 6 + 32 + 16 + 3 * 32  # header, roster, uid, three commitments
    size = int.from_bytes(shares[at : at + 4], "big")
    seeds = AESGCM(key).decrypt(bytes(12), shares[at + 4 : at + 4 + size], None)
    for position, survivor in enumerate(sorted(round_.survivors)):
        seed = seeds[32 * position : 32 * position + 32]
        assert seed == round_.pair(survivor, round_.lost)[2]
        rows.append((-1 if survivor < round_.lost else 1, round_.stream(seed)))
    found = round_.total(*rows)
    clear = [(1, round_.words(unhex(round_.regions[uid]["words"]))) for uid in round_.survivors]
    assert found == round_.total(*clear) == round_.words(unhex(round_.vector["sum"]))
    digest = hashlib.sha256(unhex(round_.vector["sum"])).hexdigest()
    assert unhex(round_.vector["outcome"])[-64 - 32 : -64].hex() == digest


@dataclass
class Revealed:
    """What the survivors revealed, by dealer and holder, read off their messages."""

    shares: Mapping[tuple[str, bytes, bytes], bytes]
    members: list[bytes]
    order: list[bytes]

    def secret(self, kind: str, dealer: bytes) -> bytes:
        """Interpolate at 0 over the survivors."""
        points = {self.order.index(holder) + 1: holder for holder in self.members}
        total = 0
        for x, holder in points.items():
            value = Fraction(int.from_bytes(self.shares[kind, dealer, holder], "big"))
            for other in points:
                if other != x:
                    value *= Fraction(other, other - x)
            total += value.numerator * pow(value.denominator, -1, PRIME)
        return (total % PRIME).to_bytes(32, "big")


def revealed(round_: Recomputed) -> Revealed:
    shares = {}
    for holder in round_.survivors:
        data = round_.message(holder, "unmask")[6 + 32 + 16 + 32 : -64]
        for kind in "self", "escrow":
            count, data = int.from_bytes(data[:2], "big"), data[2:]
            for _ in range(count):
                shares[kind, data[:16], holder], data = data[16:48], data[80:]
        assert not data
    return Revealed(shares, round_.survivors, list(round_.regions))


@EACH_WIDTH
def test_the_recorded_shares_lie_on_the_recorded_polynomials(bits: int) -> None:
    """Each survivor revealed its share of each survivor's first and the lost one's second."""
    round_ = recomputed(bits)
    shares = revealed(round_).shares
    kinds = {("self", dealer) for dealer in round_.survivors} | {("escrow", round_.lost)}
    assert set(shares) == {(*kind, holder) for kind in kinds for holder in round_.survivors}
    for (kind, dealer, holder), share in shares.items():
        assert share == round_.share(kind, dealer, holder)


@EACH_WIDTH
def test_the_recorded_boxes_and_commitments_are_the_dealt_ones(bits: int) -> None:
    """Each box opens with the pair's key for its direction; what it commits to is inside."""
    round_ = recomputed(bits)
    scope, size = round_.roster_hash, 6 + 4 * 32 + 2 * 16 + 144 + 64
    for dealer in round_.regions:
        data = round_.message(dealer, "shares")[:-64]
        own, escrow = (
            tagged("secret", kind, scope, dealer, round_.secret(kind, dealer))
            for kind in ("self", "escrow")
        )
        assert data[54 : 54 + 64] == own + escrow
        dealings = [data[len(data) - size * i :][:size] for i in range(4, 0, -1)]
        for dealing, holder in zip(dealings, sorted(set(round_.regions) - {dealer}), strict=True):
            assert dealing[38:70] == dealer + holder
            up, down, seed = round_.pair(dealer, holder)
            label = enc("box", scope, dealer, holder)
            key = AESGCM(up if dealer < holder else down)
            box = key.decrypt(bytes(12), dealing[70 : 70 + 144], label)
            found = b""
            for kind, part in (("self", box[:64]), ("escrow", box[64:])):
                assert part[:32] == round_.share(kind, dealer, holder)
                found += tagged("share", kind, scope, dealer, holder, part[32:], part[:32])
            pair = (min(dealer, holder), max(dealer, holder))
            assert dealing[214 : 214 + 96] == found + tagged("seed", scope, *pair, seed)


@EACH_WIDTH
def test_the_recorded_signatures_verify(bits: int) -> None:
    """Ed25519 over H("sig", label, scope, uid, body), the body being all before the signature."""
    round_ = recomputed(bits)
    context = unhex(round_.vector["context"])
    kinds = {"advertise", "shares", "accepted", "masked", "consent", "unmask"}
    for uid, region in round_.regions.items():
        private = Ed25519PrivateKey.from_private_bytes(unhex(region["identity_private_key"]))
        for kind in kinds & set(region["messages"]):
            data = round_.message(uid, kind)
            scope = context if kind in {"advertise", "masked"} else round_.roster_hash
            signed = tagged("sig", kind, scope, uid, data[:-64])
            private.public_key().verify(data[-64:], signed)
            with pytest.raises(InvalidSignature):
                private.public_key().verify(data[-64:], tagged("sig", kind, scope, uid, data))


def test_the_recorded_hybrid_pair_follows_from_its_secrets() -> None:
    """HKDF over X25519 and ML-KEM secrets together; the ciphertext is in the info."""
    f = stored("fsa1_pair_hybrid")
    kem = MLKEM768PrivateKey.from_seed_bytes(unhex(f["high_kem_seed"]))
    key = kem.public_key().public_bytes_raw()
    assert hashlib.sha256(key).hexdigest() == f["high_kem_key_sha256"]
    ciphertext = hashlib.shake_256(b"ciphertext").digest(1088)
    rejected = hashlib.shake_256(unhex(f["high_kem_seed"])[32:] + ciphertext).digest(32)
    assert rejected.hex() == f["kem_secret"]
    assert (kem.decapsulate(ciphertext), ciphertext) == (rejected, unhex(f["ciphertext"]))
    shared = x25519(f["low_x25519_private_key"], f["high_x25519_private_key"])
    info = enc("pair", *(unhex(f[name]) for name in ("roster_hash", "low", "high", "ciphertext")))
    material = hkdf(shared + rejected, info, 96)
    assert material == unhex(f["key_up"], f["key_down"], f["seed"])
