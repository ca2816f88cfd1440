"""The recorded vectors, and a second spelling of them that does not use the package."""

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


# The format, a second time: each message from its fields with ``struct`` alone.


def _blob(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


def _hex(*parts: str) -> bytes:
    return bytes.fromhex("".join(parts))


def _uids(values: list[str]) -> bytes:
    return struct.pack(">H", len(values)) + _hex(*values)


def _points(values: list[Mapping[str, str]]) -> bytes:
    points = (_hex(point["uid"]) + _blob(_hex(point["note"])) for point in values)
    return struct.pack(">H", len(values)) + b"".join(points)


def _advertise(f: Mapping[str, Any]) -> bytes:
    body = b"FSA1\x01\x10" + _hex(f["context"], f["uid"], f["x25519_key"])
    return body + _blob(_hex(f["kem_key"])) + _points(f["checkpoints"]) + _hex(f["signature"])


def _roster(f: Mapping[str, Any]) -> bytes:
    head = b"FSA1\x01\x11" + _hex(f["context"]) + struct.pack(">H", len(f["adverts"]))
    return head + b"".join(_blob(_advertise(advert)) for advert in f["adverts"])


def _encaps(f: Mapping[str, Any]) -> bytes:
    head = b"FSA1\x01\x12" + _hex(f["roster_hash"], f["uid"], f["recipient"])
    return head + _blob(_hex(f["ciphertext"])) + _hex(f["signature"])


def _dealing(f: Mapping[str, Any]) -> bytes:
    names = ("roster_hash", "uid", "recipient", "box", "self_share", "escrow_share", "seed")
    return b"FSA1\x01\x17" + _hex(*(f[name] for name in names), f["signature"])


def _shares(f: Mapping[str, Any]) -> bytes:
    names = ("roster_hash", "uid", "self_secret", "escrow_secret", "self_share")
    head = b"FSA1\x01\x13" + _hex(*(f[name] for name in names)) + _blob(_hex(f["escrow"]))
    head += struct.pack(">H", len(f["dealings"])) + b"".join(map(_dealing, f["dealings"]))
    return head + _hex(f["signature"])


def _accepted(f: Mapping[str, Any]) -> bytes:
    head = b"FSA1\x01\x18" + _hex(f["roster_hash"], f["uid"])
    return head + _uids(f["peers"]) + _hex(f["signature"])


def _parcel(f: Mapping[str, Any]) -> bytes:
    head = b"FSA1\x01\x24" + _hex(f["roster_hash"], f["uid"]) + struct.pack(">H", len(f["items"]))
    return head + b"".join(_blob(_hex(item)) for item in f["items"])


def _masked(f: Mapping[str, Any]) -> bytes:
    head = b"FSA1\x01\x14" + _hex(f["context"], f["uid"]) + _uids(f["base"])
    head += struct.pack(">Q", f["size_bytes"]) + _hex(*f["chunk_hashes"])
    return head + _blob(_hex(f["checkpoint"])) + _hex(f["signature"])


def _survivors(f: Mapping[str, Any]) -> bytes:
    head = b"FSA1\x01\x26" + _hex(f["roster_hash"]) + _uids(f["survivors"])
    return head + _points(f["checkpoints"]) + _hex(f["signature"])


def _unmask(f: Mapping[str, Any]) -> bytes:
    data = b"FSA1\x01\x16" + _hex(f["roster_hash"], f["uid"], f["survivors_hash"])
    for shares in f["self_shares"], f["escrow_shares"]:
        data += struct.pack(">H", len(shares))
        data += _hex(*(share[name] for share in shares for name in ("dealer", "share", "salt")))
    return data + _hex(f["signature"])


def _outcome(f: Mapping[str, Any]) -> bytes:
    head = b"FSA1\x01\x20" + _hex(f["context"]) + _uids(f["survivors"])
    return head + struct.pack(">Q", f["size_bytes"]) + _hex(f["sum_sha256"], f["signature"])


def _transcript(f: Mapping[str, Any]) -> bytes:
    data = b"FSA1\x01\x27" + b"".join(
        _blob(_hex(f[name])) for name in ("signed_config", "roster", "survivors")
    )
    data += struct.pack(">H", len(f["consents"])) + b"".join(_blob(_hex(c)) for c in f["consents"])
    return data + _blob(_hex(f["outcome"]))


def _config(f: Mapping[str, Any]) -> bytes:
    data = b"FSA1\x01\x02" + _hex(f["plan_hash"])
    data += struct.pack(">IH", f["round_"], f["attempt"])
    data += _hex(f["model_hash"], f["layout_hash"], f["registry_hash"])
    blocks = f["encoding"]["blocks"]
    data += struct.pack(">BII", f["encoding"]["bits"], f["encoding"]["qmax"], len(blocks))
    for block in blocks:
        data += struct.pack(">Qd", block["length"], float.fromhex(block["bound"]))
    data += _blob(_hex(f["rotation_seed"]))
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
    return b"FSA1\x01\x03" + _blob(_config(f["config"])) + _hex(f["signature"])


def _registry(f: Mapping[str, Any]) -> bytes:
    data = b"FSA1\x01\x01" + struct.pack(">IH", f["epoch"], f["quorum"])
    data += _hex(f["server_key"], f["cosigner_key"])
    data += struct.pack(">QH", f["server_not_after"], len(f["regions"]))
    for record in f["regions"]:
        data += _blob(record["name"].encode()) + _hex(record["identity_key"], record["ledger_key"])
        data += _blob(_hex(record["node_key"])) + struct.pack(">Q", record["not_after"])
    return data


def _registry_change(f: Mapping[str, Any]) -> bytes:
    data = b"FSA1\x01\x04" + _hex(f["previous_hash"]) + _blob(_registry(f["registry"]))
    for rows, names in (
        (f["approvals"], ("uid", "signature")),
        (f["rotations"], ("uid", "old_signature", "new_signature")),
    ):
        data += struct.pack(">H", len(rows)) + _hex(*(row[name] for row in rows for name in names))
    return data


SPELLED: dict[str, Callable[[Mapping[str, Any]], bytes]] = {
    "registry": _registry,
    "registry_change": _registry_change,
    "config": _config,
    "config_with_all_fields": _config,
    "signed_config": _signed_config,
    "advertise": _advertise,
    "advertise_hybrid": _advertise,
    "roster": _roster,
    "encaps": _encaps,
    "encaps_hybrid": _encaps,
    "parcel": _parcel,
    "dealing": _dealing,
    "shares": _shares,
    "accepted": _accepted,
    "members": lambda f: b"FSA1\x01\x25" + _hex(f["roster_hash"]) + _uids(f["uids"]),
    "masked": _masked,
    "survivors": _survivors,
    "consent": lambda f: (
        b"FSA1\x01\x15" + _hex(f["roster_hash"], f["uid"], f["survivors_hash"], f["signature"])
    ),
    "unmask": _unmask,
    "outcome": _outcome,
    "transcript": _transcript,
    "receipt": lambda f: (
        b"FSA1\x01\x28" + _hex(f["context"], f["uid"], f["transcript_hash"], f["signature"])
    ),
    "collect": lambda f: b"FSA1\x01\x21" + _hex(f["context"]),
    "pending": lambda f: b"FSA1\x01\x22" + _hex(f["context"]),
    "behind": lambda f: (
        b"FSA1\x01\x29" + _hex(f["plan_hash"], f["uid"]) + struct.pack(">I", f["round_"])
    ),
    "refusal": lambda f: b"FSA1\x01\x23" + _hex(f["context"], f["uid"]) + _blob(f["code"].encode()),
}


@pytest.mark.parametrize("name", sorted(SPELLED))
def test_the_vectors_are_spelled_as_the_format_says(name: str) -> None:
    """The recorded bytes, written a second time from their fields with ``struct`` alone."""
    vector = stored(f"fsa1_{name}")
    assert SPELLED[name](vector["fields"]).hex() == vector["bytes"]


def test_every_message_is_spelled_a_second_time() -> None:
    """A new message needs its own lines above."""
    others = {"fsa1_round_16_bit", "fsa1_round_32_bit", "fsa1_pair_hybrid"}
    assert {f"fsa1_{name}" for name in SPELLED} == set(MADE) - others
