"""Cosignatures: the published key and signature are read, and nothing else passes for one."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from privacy.cosignatures import (
    COSIGNATURE_V1,
    MAX_PROOF,
    WitnessRequest,
    cosign,
    cosigned_at,
    ledger_origin,
)
from privacy.errors import MalformedDocumentError
from privacy.notes import Checkpoint, key_id, open_note, read_note, sign_note

# A witness's public key as it publishes it, from the tests of transparency-dev/formats; the part in
# the middle is the key's identifier.
VKEY = "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2"
# A cosignature of another program, from the same file, and the time that it says.
SIGNATURE = (
    "ZGhGuQAAAABm/qTPeyKXD+R2rzyQsxPiP8mXum7qq/iF0u4vanlqJyocWODBt97w9uL+8qT7S5gxEHWWOworDcFiEBYJXO"
    "RmnFBOBA=="
)
SIGNED_AT = 1_727_964_367

REGION = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
WITNESS = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
PUBLIC = WITNESS.public_key().public_bytes_raw()
ORIGIN = ledger_origin(bytes(16))
TEXT = Checkpoint(ORIGIN, 7, bytes(32)).to_text()
NOTE = sign_note(TEXT, name=ORIGIN, key=REGION)
HASHES = st.lists(st.binary(min_size=32, max_size=32), max_size=MAX_PROOF)


def test_a_published_key_has_its_identifier() -> None:
    """The algorithm's byte is in it: the same key for another use has another one."""
    name, identifier, encoded = VKEY.split("+", 2)
    key = base64.b64decode(encoded)
    assert key[:1] == COSIGNATURE_V1
    assert key_id(name, key[1:], algorithm=COSIGNATURE_V1).hex() == identifier
    assert key_id(name, key[1:]).hex() != identifier


def test_a_published_cosignature_has_our_layout() -> None:
    """Four bytes name the key, eight are the time, the rest is Ed25519's."""
    _, (line,) = read_note(f"{TEXT}\n\N{EM DASH} witness {SIGNATURE}\n".encode())
    assert int.from_bytes(line.signature[:8], "big") == SIGNED_AT
    assert len(line.signature) == 8 + 64
    assert line.to_line() == f"\N{EM DASH} witness {SIGNATURE}\n"


@given(time=st.integers(0, 2**63 - 1))
def test_a_cosigned_checkpoint_says_when(time: int) -> None:
    """Below the ledger's own signature, which stays good; under another key or name it is none."""
    note = cosign(NOTE, name="witness", key=WITNESS, time=time)
    assert cosigned_at(note, name="witness", public_key=PUBLIC) == time
    assert cosigned_at(note, name="other", public_key=PUBLIC) is None
    assert cosigned_at(note, name="witness", public_key=bytes(32)) is None
    assert cosigned_at(NOTE, name="witness", public_key=PUBLIC) is None
    assert open_note(note, name=ORIGIN, public_key=REGION.public_key().public_bytes_raw()) == TEXT
    assert cosign(note, name="witness", key=WITNESS, time=time) == note + note[len(NOTE) :]


def test_what_is_signed_is_what_the_format_says() -> None:
    """A line of the format, one of the time, and the checkpoint: checked with the bare key."""
    note = cosign(NOTE, name="witness", key=WITNESS, time=1_679_315_147)
    _, (_, line) = read_note(note)
    signed = b"cosignature/v1\ntime 1679315147\n" + TEXT.encode()
    WITNESS.public_key().verify(line.signature[8:], signed)
    assert line.signature[:8] == (1_679_315_147).to_bytes(8, "big")


def test_of_several_cosignatures_the_latest_counts() -> None:
    """A witness that signs again says that nothing larger came since."""
    note = cosign(NOTE, name="witness", key=WITNESS, time=5)
    note = cosign(note, name="witness", key=WITNESS, time=9)
    note = cosign(note, name="witness", key=REGION, time=11)
    assert cosigned_at(note, name="witness", public_key=PUBLIC) == 9


@given(place=st.integers(0, 400), bit=st.integers(0, 7))
def test_a_changed_bit_is_no_cosignature_of_something_else(place: int, bit: int) -> None:
    """Text and time are under the signature."""
    note = bytearray(cosign(NOTE, name="witness", key=WITNESS, time=9))
    note[place % len(note)] ^= 1 << bit
    try:
        time = cosigned_at(bytes(note), name="witness", public_key=PUBLIC)
    except MalformedDocumentError:
        return
    assert time is None or (time == 9 and read_note(bytes(note))[0] == TEXT)


@given(old=st.integers(1, 2**62), proof=HASHES)
def test_a_request_survives_the_round_trip(old: int, proof: list[bytes]) -> None:
    """Size, hashes and note are read as they were written."""
    request = WitnessRequest(old, tuple(proof), NOTE)
    assert WitnessRequest.from_bytes(request.to_bytes()) == request


@given(data=st.binary(max_size=80))
def test_garbage_is_no_request(data: bytes) -> None:
    """Whatever a region sends is a request or malformed."""
    try:
        request = WitnessRequest.from_bytes(data)
    except MalformedDocumentError:
        return
    assert request.to_bytes() == data


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"old\n\n",
        b"old 07\n\n",
        b"old -1\n\n",
        b"old \xd9\xa7\n\n",
        b"7\n\n",
        b"old 7\nAAAA\n\n",
        b"old 0\n" + base64.b64encode(bytes(32)) + b"\n\n",
        b"old 7\n" + (base64.b64encode(bytes(32)) + b"\n") * (MAX_PROOF + 1) + b"\n",
        b"old " + b"9" * 20 + b"\n\n",
    ],
)
def test_what_is_no_request_is_refused(head: bytes) -> None:
    """No size, another spelling, too short a hash, too many of them, or a proof from nothing."""
    with pytest.raises(MalformedDocumentError):
        WitnessRequest.from_bytes(head + NOTE)


def test_a_request_is_no_longer_than_its_format_allows() -> None:
    with pytest.raises(MalformedDocumentError):
        WitnessRequest.from_bytes(b"old 0\n\n" + b"x" * 5000)
