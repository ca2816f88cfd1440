"""Writes tests/vectors/fsa1_*.json: ``python -m tests.protocol.make_vectors``.

The vectors pin the wire. They are made again only with a new protocol version: a difference that
this script shows under the same version breaks every running peer.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from fractions import Fraction
from pathlib import Path
from typing import TypeAlias

from protocol.masks import bytes_of
from protocol.messages import Masked
from tests.protocol.builders import Federation, identity
from tests.protocol.samples import samples

VECTORS = Path(__file__).parent.parent / "vectors"
SOURCE = (
    "Stillroom, FSA1 version 1; made by `python -m tests.protocol.make_vectors` from fixed test "
    "keys: the Ed25519 secret of NAME is SHA-256(enc('FSA1/test/identity', NAME)), and the n-th "
    "secret bytes that region NAME draws are SHAKE-256('NAME/n')."
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
        made[f"fsa1_round_{bits}_bit"] = whole_round(bits)
    return made


def whole_round(bits: int) -> Json:
    """Return one round of three regions, from deltas to the sum."""
    federation = Federation(3, dim=4, bits=bits, shares=(1, 2, 3))
    server, regions = federation.keyed()
    roster = server.roster()
    sent: list[Json] = []
    for name, delta in federation.deltas().items():
        masked, chunks = regions[name].mask(delta)
        server.on_masked(masked, chunks)
        sent.append(
            {
                "name": name,
                "identity_private_key": identity(name).private_bytes().hex(),
                "delta": [value.hex() for value in delta.tolist()],
                "masked_sha256": [
                    digest.hex() for digest in Masked.from_bytes(masked).chunk_hashes
                ],
                "masked": b"".join(chunks).hex(),
            }
        )
    published = server.close()
    return {
        "source": SOURCE,
        "registry": federation.registry.to_bytes().hex(),
        "signed_config": server.signed_config.hex(),
        "roster": roster.hex(),
        "regions": sent,
        "sum": bytes(bytes_of(published.words)).hex(),
        "outcome": published.outcome.to_bytes().hex(),
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
    """Write every file."""
    for name, content in vectors().items():
        text = json.dumps(content, indent=1, ensure_ascii=False)
        (VECTORS / f"{name}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
