from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

import pytest

from tests.protocol.make_vectors import VECTORS, vectors

MADE = vectors()


def stored(name: str) -> Mapping[str, Any]:
    """Return the content of a vector file."""
    content: Mapping[str, Any] = json.loads((VECTORS / f"{name}.json").read_text(encoding="utf-8"))
    return content


@pytest.mark.parametrize("name", sorted(MADE))
def test_what_is_sent_is_the_recorded_vector(name: str) -> None:
    """A change here breaks every running peer: it needs a new version of the protocol."""
    assert MADE[name] == stored(name)


def test_no_vector_is_left_over() -> None:
    """Every recorded file is still made."""
    assert {path.stem for path in VECTORS.glob("fsa1_*.json")} == set(MADE)


def _blob(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


def _uids(values: list[str]) -> bytes:
    return struct.pack(">H", len(values)) + bytes.fromhex("".join(values))


def _advertise(f: Mapping[str, Any]) -> bytes:
    body = b"FSA1\x01\x10" + bytes.fromhex(f["context"] + f["uid"] + f["x25519_key"])
    body += _blob(bytes.fromhex(f["kem_key"])) + struct.pack(">H", len(f["checkpoints"]))
    for point in f["checkpoints"]:
        body += bytes.fromhex(point["uid"]) + _blob(bytes.fromhex(point["note"]))
    return body + bytes.fromhex(f["signature"])


def _roster(f: Mapping[str, Any]) -> bytes:
    head = b"FSA1\x01\x11" + bytes.fromhex(f["context"]) + struct.pack(">H", len(f["adverts"]))
    return head + b"".join(_blob(_advertise(advert)) for advert in f["adverts"])


def _masked(f: Mapping[str, Any]) -> bytes:
    head = b"FSA1\x01\x14" + bytes.fromhex(f["context"] + f["uid"]) + _uids(f["base"])
    head += struct.pack(">Q", f["size_bytes"]) + bytes.fromhex("".join(f["chunk_hashes"]))
    return head + _blob(bytes.fromhex(f["checkpoint"])) + bytes.fromhex(f["signature"])


def _outcome(f: Mapping[str, Any]) -> bytes:
    head = b"FSA1\x01\x20" + bytes.fromhex(f["context"]) + _uids(f["survivors"])
    return (
        head + struct.pack(">Q", f["size_bytes"]) + bytes.fromhex(f["sum_sha256"] + f["signature"])
    )


def _config(f: Mapping[str, Any]) -> bytes:
    data = b"FSA1\x01\x02" + bytes.fromhex(f["plan_hash"])
    data += struct.pack(">IH", f["round_"], f["attempt"])
    data += bytes.fromhex(f["model_hash"] + f["layout_hash"] + f["registry_hash"])
    blocks = f["encoding"]["blocks"]
    data += struct.pack(">BII", f["encoding"]["bits"], f["encoding"]["qmax"], len(blocks))
    for block in blocks:
        data += struct.pack(">Qd", block["length"], float.fromhex(block["bound"]))
    data += _blob(bytes.fromhex(f["rotation_seed"]))
    data += struct.pack(">d", float.fromhex(f["noise_sigma"])) + _uids(f["cohort"])
    for weight in map(Fraction, f["weights"]):
        data += struct.pack(">QQ", weight.numerator, weight.denominator)
    counts = ("threshold", "min_cohort", "min_survivors", "assumed_colluders")
    data += struct.pack(">4H", *(f[name] for name in counts))
    for name in "prf", "kem", "recovery":
        data += _blob(f[name].encode())
    steps = ("advertise_s", "encaps_s", "shares_s", "masked_s", "consent_s", "unmask_s")
    return data + struct.pack(">6I", *(f["deadlines"][name] for name in steps))


def _signed_config(f: Mapping[str, Any]) -> bytes:
    return b"FSA1\x01\x03" + _blob(_config(f["config"])) + bytes.fromhex(f["signature"])


def _registry(f: Mapping[str, Any]) -> bytes:
    data = b"FSA1\x01\x01" + struct.pack(">IH", f["epoch"], f["quorum"])
    data += bytes.fromhex(f["server_key"] + f["cosigner_key"])
    data += struct.pack(">QH", f["server_not_after"], len(f["regions"]))
    for record in f["regions"]:
        data += _blob(record["name"].encode())
        data += bytes.fromhex(record["identity_key"] + record["ledger_key"])
        data += _blob(bytes.fromhex(record["node_key"])) + struct.pack(">Q", record["not_after"])
    return data


def _refusal(f: Mapping[str, Any]) -> bytes:
    return b"FSA1\x01\x23" + bytes.fromhex(f["context"] + f["uid"]) + _blob(f["code"].encode())


SPELLED: dict[str, Callable[[Mapping[str, Any]], bytes]] = {
    "registry": _registry,
    "config": _config,
    "config_with_all_fields": _config,
    "signed_config": _signed_config,
    "advertise": _advertise,
    "advertise_hybrid": _advertise,
    "roster": _roster,
    "masked": _masked,
    "outcome": _outcome,
    "collect": lambda f: b"FSA1\x01\x21" + bytes.fromhex(f["context"]),
    "pending": lambda f: b"FSA1\x01\x22" + bytes.fromhex(f["context"]),
    "refusal": _refusal,
}


@pytest.mark.parametrize("name", sorted(SPELLED))
def test_the_vectors_are_spelled_as_the_format_says(name: str) -> None:
    """The recorded bytes, written a second time from their fields with ``struct`` alone."""
    vector = stored(f"fsa1_{name}")
    assert SPELLED[name](vector["fields"]).hex() == vector["bytes"]


@pytest.mark.parametrize("bits", [16, 32])
def test_the_recorded_vectors_add_up(bits: int) -> None:
    """The recorded masked vectors, added as plain integers, are the recorded sum."""
    vector = stored(f"fsa1_round_{bits}_bit")
    code = "<4H" if bits == 16 else "<4I"
    rows = [struct.unpack(code, bytes.fromhex(region["masked"])) for region in vector["regions"]]
    total = [sum(column) % 2**bits for column in zip(*rows, strict=True)]
    assert total == list(struct.unpack(code, bytes.fromhex(vector["sum"])))
