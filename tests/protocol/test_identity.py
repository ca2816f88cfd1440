from __future__ import annotations

import copy
import pickle
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import AbortCode, AbortError, MalformedMessageError
from protocol.identity import Identity, RegionRecord, Registry, region_uid, verify
from tests.protocol.builders import LATER, Federation, identity, registry_of

SIGNED = {"label": "test", "context": b"c" * 32, "uid": b"u" * 16, "body": b"body"}


def check(signature: bytes, key: bytes, **changes: Any) -> None:
    arguments: dict[str, Any] = SIGNED | changes
    verify(key, signature, arguments.pop("label"), **arguments)


def test_ed25519_matches_rfc_8032() -> None:
    """Section 7.1, test 1: the public key (the signature is over our own encoding)."""
    secret = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"
    public = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    signer = Identity.from_private_bytes(bytes.fromhex(secret))
    assert signer.public_bytes().hex() == public
    assert signer._private_key.sign(b"").hex() == (
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555"
        "fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
    )


def test_an_identity_survives_its_key_file() -> None:
    """The stored secret gives the same public key."""
    signer = Identity.generate()
    assert Identity.from_private_bytes(signer.private_bytes()).public_bytes() == (
        signer.public_bytes()
    )


@pytest.mark.parametrize(
    "change",
    [{"label": "other"}, {"context": b"d" * 32}, {"uid": b"v" * 16}, {"body": b"bodz"}],
    ids=lambda change: next(iter(change)),
)
def test_a_signature_serves_one_purpose(change: dict[str, Any]) -> None:
    """It cannot be moved to another label, round, party or text."""
    signer = identity("avonlea")
    signature = signer.sign("test", context=b"c" * 32, uid=b"u" * 16, body=b"body")
    check(signature, signer.public_bytes())
    with pytest.raises(AbortError) as caught:
        check(signature, signer.public_bytes(), **change)
    assert caught.value.code is AbortCode.BAD_SIGNATURE


@given(key=st.binary(min_size=32, max_size=32), signature=st.binary(min_size=64, max_size=64))
def test_keys_and_signatures_from_nowhere_are_bad_signatures(key: bytes, signature: bytes) -> None:
    """A key that is no point, too, is a bad signature and no other error."""
    with pytest.raises(AbortError, match="bad_signature"):
        check(signature, key)


def test_an_identity_stays_where_it_is() -> None:
    """Neither ``repr`` nor pickle nor copy shows the secret."""
    signer = identity("avonlea")
    for leave in pickle.dumps, copy.copy, copy.deepcopy:
        with pytest.raises(TypeError, match="secret"):
            leave(signer)
    assert signer.private_bytes().hex() not in repr(signer)


def test_a_uid_is_a_function_of_the_name() -> None:
    """16 bytes, different names apart."""
    uids = {region_uid(name) for name in ("a", "b", "ab", "A")}
    assert len(uids) == 4
    assert {len(uid) for uid in uids} == {16}


def test_the_hash_of_a_registry_covers_every_field() -> None:
    """Any change of any record or key is another registry."""
    registry = Federation().registry
    first = registry.regions[0]
    changed = [
        replace(registry, epoch=2),
        replace(registry, quorum=1),
        replace(registry, server_key=b"s" * 32),
        replace(registry, cosigner_key=b"s" * 32),
        replace(registry, server_not_after=LATER + 1),
        replace(registry, regions=registry.regions[1:]),
    ] + [
        replace(registry, regions=(replace(first, **change), *registry.regions[1:]))
        for change in (
            {"identity_key": b"k" * 32},
            {"ledger_key": b"k" * 32},
            {"node_key": b"k"},
            {"not_after": 7},
        )
    ]
    assert len({other.hash for other in changed} | {registry.hash}) == len(changed) + 1


def test_a_registry_names_its_regions_and_refuses_others() -> None:
    """Unknown uids are an error with the uid in it."""
    registry = registry_of(("avonlea", "brindle"))
    assert registry.names({region_uid("brindle"), region_uid("avonlea")}) == ("avonlea", "brindle")
    with pytest.raises(AbortError) as caught:
        registry.record(b"?" * 16)
    assert (caught.value.code, caught.value.uid) == (AbortCode.UNKNOWN_REGION, b"?" * 16)


def test_no_two_parties_share_a_key() -> None:
    """One key for two regions, or for signing and for the ledger, is refused."""
    registry = registry_of(("avonlea", "brindle"))
    first, second = registry.regions
    for regions in (
        (first, replace(second, identity_key=first.identity_key)),
        (first, replace(second, ledger_key=second.identity_key)),
        (first, replace(second, identity_key=registry.server_key)),
        (second, first),
        (first, first),
        (),
    ):
        with pytest.raises(MalformedMessageError):
            replace(registry, regions=regions)


@pytest.mark.parametrize(
    "change",
    [
        {"epoch": -1},
        {"epoch": 2**32},
        {"quorum": 0},
        {"quorum": 3},
        {"server_not_after": 2**63},
        {"server_key": b"s" * 31},
        {"cosigner_key": b""},
    ],
)
def test_a_registry_out_of_its_limits_is_refused(change: dict[str, Any]) -> None:
    """A quorum of nobody, or of more than there are, is none."""
    with pytest.raises(MalformedMessageError):
        replace(registry_of(("avonlea", "brindle")), **change)


@pytest.mark.parametrize(
    "change",
    [
        {"name": ""},
        {"name": "x" * 65},
        {"name": "two\nlines"},
        {"name": "\ud800"},
        {"identity_key": b"k" * 31},
        {"ledger_key": b""},
        {"node_key": b"k" * 1025},
        {"not_after": -1},
        {"not_after": 2**63},
    ],
)
def test_a_record_out_of_its_limits_is_refused(change: dict[str, Any]) -> None:
    """Names, keys and dates have fixed limits."""
    record = RegionRecord(name="a", identity_key=b"i" * 32, ledger_key=b"l" * 32, not_after=1)
    with pytest.raises(MalformedMessageError):
        replace(record, **change)


@given(
    name=st.text(
        st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=16
    ),
    epoch=st.integers(0, 2**32 - 1),
    not_after=st.integers(0, 2**63 - 1),
    node_key=st.binary(max_size=1024),
)
def test_any_registry_survives_the_wire(
    name: str, epoch: int, not_after: int, node_key: bytes
) -> None:
    """What was written is read, whatever the names and dates."""
    record = RegionRecord(
        name=name,
        identity_key=b"i" * 32,
        ledger_key=b"l" * 32,
        node_key=node_key,
        not_after=not_after,
    )
    registry = Registry(
        epoch=epoch,
        quorum=1,
        regions=(record,),
        server_key=b"s" * 32,
        cosigner_key=b"c" * 32,
        server_not_after=not_after,
    )
    assert Registry.from_bytes(registry.to_bytes()) == registry
