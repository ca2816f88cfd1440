"""Writes tests/vectors/fsa1_*.json: ``python -m tests.protocol.make_vectors``.

The vectors pin the wire. They are made again only with a new protocol version: a difference that
this script shows under the same version breaks every running peer.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from fractions import Fraction
from pathlib import Path
from typing import TypeAlias

from protocol.config import Kem
from protocol.fixed_point import encode
from protocol.identity import region_uid
from protocol.keys import RoundKeys
from protocol.masks import bytes_of
from protocol.messages import Roster
from protocol.wire import KEM_CIPHERTEXT_BYTES
from tests.protocol.builders import identity, randomness, rounding_key
from tests.protocol.samples import Recorded, recorded, samples

VECTORS = Path(__file__).parent.parent / "vectors"
SOURCE = (
    "Stillroom, FSA1 version 1; made by `python -m tests.protocol.make_vectors` from fixed test "
    "keys: the Ed25519 secret of NAME is SHA-256(enc('FSA1/test/identity', NAME)), and the n-th "
    "secret bytes that region NAME draws are SHAKE-256('NAME/n')."
)
ROUND_SOURCE = (
    SOURCE + " Key agreement is X25519 alone, because ML-KEM encapsulation draws its own "
    "randomness. The draws of a region are its X25519 key, the two secrets, the coefficients of "
    "the first and of the second from x to x**(t - 1), each shifted right by one bit, then salts. "
    "The lost region dealt its shares and sent no vector. test_round_vectors.py computes "
    "masks, shares, signatures and the sum again, from these secrets and without the package."
)
PAIR_SOURCE = (
    SOURCE + " The lower region is avonlea/pair, the higher one brindle/pair: their X25519 keys, "
    "then the ML-KEM-768 seed d | z of the higher. The ciphertext is SHAKE-256('ciphertext'), "
    "which nobody encapsulated: FIPS 203 then gives the implicit-rejection secret, "
    "SHAKE-256(z | ciphertext)."
)

Json: TypeAlias = "str | int | list[Json] | dict[str, Json]"


def vectors() -> Mapping[str, Json]:
    """Return the content of every vector file by its name."""
    made: dict[str, Json] = {}
    for name, sample in samples().items():
        made[f"fsa1_{name}"] = {
            "source": SOURCE,
            "fields": describe(sample.value),
            "bytes": sample.value.to_bytes().hex(),
        }
    for bits in 16, 32:
        made[f"fsa1_round_{bits}_bit"] = whole_round(recorded(bits))
    made["fsa1_pair_hybrid"] = hybrid_pair()
    return made


def whole_round(play: Recorded) -> Json:
    """Return one round of five regions, one of them lost, from deltas to the sum."""
    config, published = play.federation.config, play.result
    transcript = published.transcript
    return {
        "source": ROUND_SOURCE,
        "bits": config.encoding.bits,
        "threshold": config.threshold,
        "weights": [str(weight) for weight in config.weights],
        "step": str(next(config.encoding.steps(config.weights))[1]),
        "registry": play.federation.registry.to_bytes().hex(),
        "signed_config": transcript.signed_config.hex(),
        "config": config.to_bytes().hex(),
        "context": config.context().hex(),
        "roster": transcript.roster.hex(),
        "roster_hash": Roster.from_bytes(transcript.roster).hash().hex(),
        "regions": [_region(play, name) for name in play.federation.names],
        "survivors": transcript.survivors.hex(),
        "sum": bytes(bytes_of(published.words)).hex(),
        "outcome": transcript.outcome.hex(),
        "transcript": transcript.to_bytes().hex(),
    }


def _region(play: Recorded, name: str) -> Json:
    config, delta = play.federation.config, play.inputs[name]
    degree, draw = config.threshold - 1, randomness(name)
    x25519 = draw(32)
    elements = [int.from_bytes(draw(32), "big") >> 1 for _ in range(2 + 2 * degree)]
    coefficients = [
        [elements[0], *elements[2 : 2 + degree]],
        [elements[1], *elements[2 + degree :]],
    ]
    own, escrow = ([element.to_bytes(32, "big").hex() for element in row] for row in coefficients)
    words = encode(
        delta,
        encoding=config.encoding,
        weights=config.weights,
        me=play.federation.names.index(name),
        rounding_key=rounding_key(config, name),
    ).words
    chunks = play.masked[name][1] if name in play.masked else ()
    return {
        "name": name,
        "uid": region_uid(name).hex(),
        "identity_private_key": identity(name).private_bytes().hex(),
        "x25519_private_key": x25519.hex(),
        "self_coefficients": list(own),
        "escrow_coefficients": list(escrow),
        "delta": [value.hex() for value in delta.tolist()],
        "words": bytes(bytes_of(words)).hex(),
        "masked_words": b"".join(chunks).hex(),
        "messages": {kind: data.hex() for kind, data in play.sent[name].items()},
    }


def hybrid_pair() -> Json:
    """Return what two regions derive from X25519 and ML-KEM-768 together."""
    low, high = b"\x01" * 16, b"\x02" * 16
    roster_hash = b"\x07" * 32
    ciphertext = hashlib.shake_256(b"ciphertext").digest(KEM_CIPHERTEXT_BYTES)
    lower = RoundKeys(Kem.X25519, randomness("avonlea/pair"))
    higher = RoundKeys(Kem.X25519_ML_KEM_768, randomness("brindle/pair"))
    kem = higher.decapsulate(ciphertext, peer=low)
    pair = lower.pair_secret(
        me=low, peer=high, peer_key=higher.x25519_key(), roster_hash=roster_hash, kem=kem
    )
    fresh = randomness("brindle/pair")
    return {
        "source": PAIR_SOURCE,
        "low": low.hex(),
        "high": high.hex(),
        "roster_hash": roster_hash.hex(),
        "low_x25519_private_key": randomness("avonlea/pair")(32).hex(),
        "high_x25519_private_key": fresh(32).hex(),
        "high_kem_seed": fresh(64).hex(),
        "high_kem_key_sha256": hashlib.sha256(higher.kem_key()).hexdigest(),
        "ciphertext": kem.ciphertext.hex(),
        "kem_secret": kem.secret.hex(),
        "key_up": pair.key_up.hex(),
        "key_down": pair.key_down.hex(),
        "seed": pair.seed.hex(),
    }


def describe(value: object) -> Json:
    """Return a value's fields in JSON: bytes in hex, fractions and reals as text."""
    match value:
        case bytes():
            return value.hex()
        case Enum():
            return str(value.value)
        case float():
            return value.hex()
        case Fraction():
            return str(value)
        case tuple():
            return [describe(item) for item in value]
        case str() | int():
            return value
        case _ if is_dataclass(value):
            return {field.name: describe(getattr(value, field.name)) for field in fields(value)}
        case _:
            raise TypeError(f"expected a message's field, got {type(value)}")


def main() -> None:
    """Write every file whose content is new."""
    for name, content in vectors().items():
        path = VECTORS / f"{name}.json"
        if not path.exists() or json.loads(path.read_text(encoding="utf-8")) != content:
            text = json.dumps(content, indent=1, ensure_ascii=False)
            path.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
