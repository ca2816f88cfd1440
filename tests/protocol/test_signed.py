"""What holds for the signature of every signed message."""

from __future__ import annotations

from dataclasses import fields, replace
from itertools import permutations
from typing import cast

import pytest

from protocol.errors import AbortCode, AbortError, MalformedMessageError
from protocol.identity import SERVER_UID, region_uid, verify
from protocol.share_messages import Dealing, Shares
from protocol.signed import NO_SIGNATURE, Signed
from tests.protocol.builders import NAMES, identity
from tests.protocol.samples import Sample, message_types, samples

SIGNED = {name: one for name, one in samples().items() if isinstance(one.value, Signed)}
EACH = pytest.mark.parametrize("sample", SIGNED.values(), ids=SIGNED.keys())
KEYS = {region_uid(name): identity(name).public_bytes() for name in NAMES}
KEYS[SERVER_UID] = identity("server").public_bytes()
# What else is signed, by regions and by the server: see `identity`, `config`, `governance`.
OTHER_LABELS = {
    "config",
    "outcome",
    "rounding",
    "registry-approval",
    "registry-old-key",
    "registry-new-key",
}


def signed(sample: Sample) -> Signed:
    """Return a sample that is known to be signed."""
    return cast(Signed, sample.value)  # SIGNED holds no others


def signed_types() -> set[type[Signed]]:
    """Return every kind of signed message of the package."""
    return {kind for kind in message_types() if issubclass(kind, Signed)}


@EACH
def test_the_senders_key_verifies_and_no_other(sample: Sample) -> None:
    """A signature is by the party that the message names."""
    message = signed(sample)
    message.verify(KEYS[message.uid])
    for uid, key in KEYS.items():
        if uid != message.uid:
            with pytest.raises(AbortError) as caught:
                message.verify(key)
            assert (caught.value.code, caught.value.uid) == (
                AbortCode.BAD_SIGNATURE,
                message.uid,
            )


@EACH
def test_the_signature_covers_every_field(sample: Sample) -> None:
    """Whatever is changed on the way, the message is malformed or its signature bad."""
    message, data = signed(sample), sample.value.to_bytes()
    places = range(0, len(data), 1 + len(data) // 400)  # long keys and boxes at every few bytes
    refused = 0
    for at in places:
        damaged = bytearray(data)
        damaged[at] ^= 1 << at % 8
        try:
            changed = sample.read(bytes(damaged))
        except MalformedMessageError:
            refused += 1
            continue
        with pytest.raises(AbortError, match="bad_signature"):
            cast(Signed, changed).verify(KEYS[message.uid])
    assert refused < len(places)


@EACH
def test_the_signature_is_over_everything_but_itself(sample: Sample) -> None:
    """The body is the message without its last 64 bytes, and names the scope and the signer."""
    message, data = signed(sample), sample.value.to_bytes()
    assert (message.body(), message.signature) == (data[:-64], data[-64:])
    assert {"uid", "signature"} < {field.name for field in fields(message)}
    assert message.scope() in message.body()


@EACH
def test_an_unsigned_message_does_not_verify(sample: Sample) -> None:
    """64 zero bytes are no signature."""
    message = replace(signed(sample), signature=NO_SIGNATURE)
    with pytest.raises(AbortError, match="bad_signature"):
        message.verify(KEYS[message.uid])


@EACH
def test_a_signature_of_one_kind_is_none_of_another(sample: Sample) -> None:
    """Under every other label the same body, scope and signer do not verify."""
    message = signed(sample)
    labels = OTHER_LABELS | {signed(one).LABEL for one in SIGNED.values()}
    for label in labels - {message.LABEL}:
        with pytest.raises(AbortError, match="bad_signature"):
            verify(
                KEYS[message.uid],
                message.signature,
                label,
                context=message.scope(),
                uid=message.uid,
                body=message.body(),
            )


@EACH
def test_a_signature_serves_one_scope_and_one_signer(sample: Sample) -> None:
    """It cannot be moved to another round, nor to another party with the same key."""
    message = signed(sample)
    for scope, uid in ((b"\x55" * 32, message.uid), (message.scope(), b"\x55" * 16)):
        with pytest.raises(AbortError, match="bad_signature"):
            verify(
                KEYS[message.uid],
                message.signature,
                message.LABEL,
                context=scope,
                uid=uid,
                body=message.body(),
            )


def test_no_two_kinds_share_a_label() -> None:
    """Every subclass has its own, and none is that of another signature."""
    labels = [kind.LABEL for kind in signed_types()]
    assert len(set(labels) | OTHER_LABELS) == len(labels) + len(OTHER_LABELS)


def test_every_signed_kind_has_a_sample() -> None:
    """A new kind of signed message is tested here, too."""
    assert {type(signed(one)) for one in SIGNED.values()} == signed_types()


def test_a_body_of_one_kind_is_no_other() -> None:
    """The first bytes say what is signed, so the labels are not all that keeps kinds apart."""
    for one, other in permutations(SIGNED.values(), 2):
        if type(one.value) is not type(other.value):
            with pytest.raises(MalformedMessageError):
                other.read(one.value.to_bytes())


def test_dealings_moved_to_another_roster_are_unsigned_there() -> None:
    """Changing the scope everywhere at once changes what each signature is about."""
    shares = cast(Shares, samples()["shares"].value)
    key, elsewhere = KEYS[shares.uid], b"\x55" * 32
    dealings = tuple(replace(dealing, roster_hash=elsewhere) for dealing in shares.dealings)
    moved = replace(shares, roster_hash=elsewhere, dealings=dealings)
    for message in (moved, *moved.dealings):
        with pytest.raises(AbortError, match="bad_signature"):
            message.verify(key)


def test_the_signature_of_shares_covers_each_dealings_own() -> None:
    """Dealings are signed one by one for their holders, and together for the server."""
    shares = cast(Shares, samples()["shares"].value)
    other: Dealing = replace(shares.dealings[0], signature=NO_SIGNATURE)
    with pytest.raises(AbortError, match="bad_signature"):
        replace(shares, dealings=(other, *shares.dealings[1:])).verify(KEYS[shares.uid])
