from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.config import Kem, Recovery
from protocol.coordinator import CoordinatorRound
from protocol.errors import (
    AbortCode,
    AbortError,
    MalformedMessageError,
    OutOfOrderError,
    RoundVoidError,
)
from protocol.fixed_point import encode
from protocol.identity import region_uid
from protocol.masks import word_type
from protocol.messages import Advertise, Masked
from protocol.outcome import published_mean
from protocol.region import RegionRound
from protocol.wire import CHUNK_BYTES
from tests.protocol.builders import Federation, identity, randomness, registry_of

Sent: TypeAlias = tuple[bytes, Sequence[bytes]]
FEDERATION = Federation(4)
FIRST, SECOND, *_ = FEDERATION.names


def masked_by_all(
    federation: Federation, regions: Mapping[str, RegionRound], seed: int = 0
) -> dict[str, Sent]:
    deltas = federation.deltas(seed)
    return {name: regions[name].mask(deltas[name]) for name in federation.names}


@given(
    shares=st.lists(st.integers(1, 9), min_size=3, max_size=6).map(tuple),
    bits=st.sampled_from([16, 32]),
    dim=st.integers(1, 30),
    seed=st.integers(0, 2**32),
    order=st.randoms(use_true_random=False),
)
def test_the_published_sum_is_the_plain_sum(
    shares: tuple[int, ...], bits: int, dim: int, seed: int, order: Any
) -> None:
    """For any cohort, width, size, weights and order of arrival, to the last bit."""
    federation = Federation(len(shares), dim=dim, bits=bits, shares=shares)
    federation.policy = replace(federation.policy, min_cohort=3)
    heavy = sum(4 * share >= max(shares) for share in shares)
    if heavy < 3:
        with pytest.raises(AbortError, match="bad_weights"):
            federation.advertised()
        return
    server, regions = federation.keyed()
    sent = list(masked_by_all(federation, regions, seed).values())
    order.shuffle(sent)
    for masked, chunks in sent:
        server.on_masked(masked, chunks)
    assert (server.close().words == plain_sum(federation, seed)).all()


def plain_sum(federation: Federation, seed: int) -> Any:
    """Return the sum of the encodings, without masks and messages."""
    total = np.zeros(federation.encoding.dim, word_type(federation.encoding.bits))
    deltas = federation.deltas(seed)
    for me, name in enumerate(federation.names):
        source = randomness(name)
        source(32)  # the round's key comes first
        total += encode(
            deltas[name],
            encoding=federation.encoding,
            weights=federation.weights,
            me=me,
            rounding_key=source(32),
        ).words
    return total


def test_a_vector_of_several_chunks_arrives_whole() -> None:
    """The mean of a vector beyond one chunk of 4 MiB is right from end to end."""
    federation = Federation(3, dim=CHUNK_BYTES // 2 + 7, bits=16, bound=0.5)
    server, regions = federation.keyed()
    for masked, chunks in masked_by_all(federation, regions).values():
        assert [len(chunk) for chunk in chunks] == [CHUNK_BYTES, 14]
        server.on_masked(masked, chunks)
    published = server.close()
    mean = published_mean(
        published.outcome.to_bytes(),
        b"".join(published.chunks()),
        config=federation.config,
        registry=federation.registry,
    )
    exact = np.mean(list(federation.deltas().values()), axis=0)
    assert np.abs(mean - exact).max() <= 0.5 / federation.encoding.qmax


def test_a_region_lost_before_its_keys_makes_the_round_void() -> None:
    """Without everybody's keys there is no roster; the missing are named."""
    server = FEDERATION.coordinator()
    for name in FEDERATION.names[1:]:
        server.on_advert(FEDERATION.region(name).start(server.signed_config))
    assert server.missing == {FIRST}
    with pytest.raises(RoundVoidError, match=f"the round is void.*{FIRST}") as caught:
        server.roster()
    assert caught.value.missing == (FIRST,)


def test_a_region_lost_after_its_keys_makes_the_round_void() -> None:
    """Without everybody's vector the masks do not cancel; the missing are named."""
    server, regions = FEDERATION.keyed()
    sent = masked_by_all(FEDERATION, regions)
    for name in FEDERATION.names[2:]:
        server.on_masked(*sent[name])
    with pytest.raises(RoundVoidError, match="the round is void") as caught:
        server.close()
    assert caught.value.missing == tuple(sorted((FIRST, SECOND)))
    for name in FEDERATION.names[:2]:
        server.on_masked(*sent[name])
    assert (server.close().words == plain_sum(FEDERATION, 0)).all()


def test_the_phases_follow_each_other() -> None:
    """Keys, then vectors, then the sum, each once."""
    server, regions = FEDERATION.advertised()
    late = FEDERATION.region(FIRST).start(server.signed_config)
    with pytest.raises(OutOfOrderError, match="replay"):
        server.on_advert(late)
    with pytest.raises(OutOfOrderError):
        server.close()
    assert server.roster() == server.roster()
    with pytest.raises(OutOfOrderError):
        server.on_advert(late)
    for region in regions.values():
        region.on_roster(server.roster())
    for masked, chunks in masked_by_all(FEDERATION, regions).values():
        server.on_masked(masked, chunks)
        with pytest.raises(OutOfOrderError, match="replay"):
            server.on_masked(masked, chunks)
    assert server.missing == frozenset()
    server.close()
    for call in server.close, server.roster:
        with pytest.raises(OutOfOrderError):
            call()


def test_a_vector_before_the_roster_is_out_of_order() -> None:
    """A region that has keys from elsewhere does not get ahead of the round."""
    _, regions = FEDERATION.keyed()
    sent = masked_by_all(FEDERATION, regions)
    with pytest.raises(OutOfOrderError):
        FEDERATION.coordinator().on_masked(*sent[FIRST])


Lie: TypeAlias = Callable[[Masked, list[bytes]], Sent]


def resigned(**changes: Any) -> Lie:
    """The sender itself says something else, and signs it."""

    def lie(message: Masked, chunks: list[bytes]) -> Sent:
        return replace(message, **changes).signed_by(identity(FIRST)).to_bytes(), chunks

    return lie


def unsigned(**changes: Any) -> Lie:
    """Somebody on the way changes the message."""
    return lambda message, chunks: (replace(message, **changes).to_bytes(), chunks)


def instead(change: Callable[[list[bytes]], list[bytes]]) -> Lie:
    """Somebody on the way changes the vector."""
    return lambda message, chunks: (message.to_bytes(), change(chunks))


def by_the_outsider(message: Masked, chunks: list[bytes]) -> Sent:
    """A region of the registry that is not in this cohort signs in its own name."""
    outside = replace(message, uid=region_uid("outsider"))
    return outside.signed_by(identity("outsider")).to_bytes(), chunks


def shortened(message: Masked, chunks: list[bytes]) -> Sent:
    """The sender leaves a coordinate out, and everything it signs agrees with that."""
    short = chunks[0][:-4]
    digests = (hashlib.sha256(short).digest(),)
    message = replace(message, size_bytes=len(short), chunk_hashes=digests)
    return message.signed_by(identity(FIRST)).to_bytes(), [short]


LIES: list[tuple[str, Lie, AbortCode]] = [
    ("a flipped bit", instead(lambda c: [bytes([c[0][0] ^ 1]) + c[0][1:]]), AbortCode.BAD_DIGEST),
    ("cut short", instead(lambda c: [c[0][:-4]]), AbortCode.BAD_LENGTH),
    ("no vector", instead(lambda c: []), AbortCode.BAD_LENGTH),
    ("a chunk too many", instead(lambda c: [*c, b""]), AbortCode.BAD_LENGTH),
    ("in two pieces", instead(lambda c: [c[0][:4], c[0][4:]]), AbortCode.BAD_LENGTH),
    ("too long", instead(lambda c: [c[0] + b"1234"]), AbortCode.BAD_LENGTH),
    ("another size", resigned(size_bytes=24), AbortCode.BAD_LENGTH),
    ("one coordinate fewer", shortened, AbortCode.BAD_LENGTH),
    ("outside the cohort", by_the_outsider, AbortCode.UNKNOWN_REGION),
    ("a peer left out", resigned(base=FEDERATION.uids[2:]), AbortCode.BAD_BASE),
    ("itself in the base", resigned(base=FEDERATION.uids), AbortCode.BAD_BASE),
    ("another round", resigned(context=b"\x0c" * 32), AbortCode.WRONG_CONTEXT),
    ("a stranger", resigned(uid=b"\x42" * 16), AbortCode.UNKNOWN_REGION),
    ("for somebody else", resigned(uid=FEDERATION.uids[1]), AbortCode.BAD_SIGNATURE),
    ("no signature", unsigned(signature=bytes(64)), AbortCode.BAD_SIGNATURE),
    ("another checkpoint", unsigned(checkpoint=b"note"), AbortCode.BAD_SIGNATURE),
]


@pytest.mark.parametrize(("lie", "code"), [row[1:] for row in LIES], ids=[row[0] for row in LIES])
def test_a_faulty_vector_is_refused_and_changes_nothing(lie: Lie, code: AbortCode) -> None:
    """The sender is named, the sum untouched, and an honest vector still welcome."""
    server, regions = FEDERATION.keyed()
    sent = masked_by_all(FEDERATION, regions)
    masked, chunks = sent[FIRST]
    faulty = lie(Masked.from_bytes(masked), list(chunks))
    with pytest.raises(AbortError) as caught:
        server.on_masked(*faulty)
    assert caught.value.code is code
    assert caught.value.uid == Masked.from_bytes(faulty[0]).uid
    for honest in sent.values():
        server.on_masked(*honest)
    assert (server.close().words == plain_sum(FEDERATION, 0)).all()


@pytest.mark.parametrize(
    ("change", "signer", "code"),
    [
        ({"context": b"\x0c" * 32}, FIRST, AbortCode.WRONG_CONTEXT),
        ({"uid": b"\x42" * 16}, FIRST, AbortCode.UNKNOWN_REGION),
        ({"uid": region_uid("outsider")}, "outsider", AbortCode.UNKNOWN_REGION),
        ({"kem_key": bytes(1184)}, FIRST, AbortCode.MALFORMED),
        ({}, SECOND, AbortCode.BAD_SIGNATURE),
    ],
)
def test_faulty_keys_are_refused(change: dict[str, Any], signer: str, code: AbortCode) -> None:
    """Keys of another round, party, kind or signer; the honest ones are still welcome."""
    server = FEDERATION.coordinator()
    honest = FEDERATION.region(FIRST).start(server.signed_config)
    advert = replace(Advertise.from_bytes(honest), **change).signed_by(identity(signer))
    with pytest.raises(AbortError) as caught:
        server.on_advert(advert.to_bytes())
    assert (caught.value.code, caught.value.uid) == (code, advert.uid)
    server.on_advert(honest)


def test_a_repeated_key_is_refused() -> None:
    """Two regions never share a round key."""
    server = FEDERATION.coordinator()
    first = FEDERATION.region(FIRST).start(server.signed_config)
    server.on_advert(first)
    copied = replace(Advertise.from_bytes(first), uid=FEDERATION.uids[1])
    with pytest.raises(AbortError, match="duplicate_keys"):
        server.on_advert(copied.signed_by(identity(SECOND)).to_bytes())


def test_garbage_is_refused_in_every_phase() -> None:
    """Bytes that are no message change nothing."""
    server, _ = FEDERATION.advertised()
    with pytest.raises(MalformedMessageError):
        server.on_advert(b"")
    server.roster()
    with pytest.raises(MalformedMessageError):
        server.on_masked(b"", [])
    assert server.missing == set(FEDERATION.names)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"registry_hash": b"r" * 32}, AbortCode.REGISTRY_MISMATCH),
        ({"encoding": replace(FEDERATION.encoding, qmax=2**30)}, AbortCode.BAD_ENCODING),
        ({"threshold": 3}, AbortCode.BAD_THRESHOLD),
        ({"kem": Kem.X25519_ML_KEM_768}, AbortCode.UNSUPPORTED),
        ({"recovery": Recovery.SHARES}, AbortCode.UNSUPPORTED),
        ({"noise_sigma": 2.0}, AbortCode.BAD_NOISE),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else str(value),
)
def test_the_server_does_not_sign_what_regions_refuse(
    change: dict[str, Any], code: AbortCode
) -> None:
    """An operator's mistake shows before anything is sent."""
    with pytest.raises(AbortError) as caught:
        FEDERATION.coordinator(**change)
    assert caught.value.code is code


def test_the_server_signs_with_the_registered_key() -> None:
    """Another key, or a region that is not registered, is an operator's mistake."""
    with pytest.raises(AbortError, match="another server key"):
        CoordinatorRound(
            config=FEDERATION.config,
            server_identity=identity(FIRST),
            registry=FEDERATION.registry,
        )
    smaller = registry_of(FEDERATION.names[:3])
    with pytest.raises(AbortError, match="unknown_region"):
        CoordinatorRound(
            config=replace(FEDERATION.config, registry_hash=smaller.hash),
            server_identity=identity("server"),
            registry=smaller,
        )
