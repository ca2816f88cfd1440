from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.errors import AbortCode, RoundVoidError
from protocol.history import MemoryHistory
from protocol.masks import Words
from protocol.messages import Advertise
from protocol.region import RegionRound
from protocol.share_messages import Accepted, Encaps, Parcel, Shares
from tests.protocol.attacks import (
    Contested,
    Lie,
    aborting,
    contested,
    one_more,
    redealing,
    resigned,
)
from tests.protocol.builders import STAGES, Federation, identity, payload

CLOSED_SET_FREE = 9  # up to so many regions every survivor must consent


def outcome(size: int, lost: Mapping[int, str]) -> tuple[int, ...] | None:
    """Return whose sum a round must give, by position, or None if it must be void.

    This is the rule of the design, written down without the code under test: a stage needs the
    threshold, and the consents need all survivors where the federation is small.

    Args:
        size: Regions of the cohort.
        lost: The stage before which each region is lost, by position.
    """
    threshold = 2 * size // 3 + 1
    survivors: tuple[int, ...] = ()
    for number, stage in enumerate(STAGES):
        there = tuple(
            one for one in range(size) if one not in lost or STAGES.index(lost[one]) > number
        )
        least = threshold
        if stage == "mask":
            survivors = there
        elif stage == "consent" and size <= CLOSED_SET_FREE:
            least = len(survivors)
        if len(there) < least:
            return None
    return survivors


def run(play: Contested, lost: Mapping[int, str]) -> Words:
    """Play a round in which regions are lost, each before its stage."""
    names = play.federation.names
    anybody = play.regions[names[0]]
    for stage in STAGES:
        play.asked(stage, anybody)
        for position, when in lost.items():
            if when == stage:
                play.lose(names[position])
        play.exchange(stage)
        assert not play.left
        assert not play.refused
    return play.server.close().words


def check(federation: Federation, lost: Mapping[int, str]) -> None:
    """Check that a round gives the exact sum over its survivors, or is void and says so."""
    play, expected = contested(federation), outcome(len(federation.names), lost)
    if expected is None:
        with pytest.raises(RoundVoidError) as caught:
            run(play, lost)
        assert caught.value.code is AbortCode.ROUND_VOID
        gone = {federation.names[position] for position in lost}
        assert set(caught.value.missing) <= gone
        return
    names = [federation.names[position] for position in expected]
    words = run(play, lost)
    assert words.tobytes() == play.expected_sum(names).tobytes()


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("count", [1, 2])
def test_regions_lost_at_every_stage(stage: str, count: int) -> None:
    """Of four one may be lost up to its vector or after its consent; never two."""
    check(Federation(4), {position: stage for position in range(count)})


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.slow
def test_several_regions_lost_at_every_stage(stage: str, count: int) -> None:
    """Of eight two may be lost, and not three."""
    check(Federation(8), {2 * position: stage for position in range(count)})


@pytest.mark.parametrize("stage", ["mask", "consent"])
def test_a_large_federation_needs_no_consent_of_all(stage: str) -> None:
    """Of ten three may be lost, and from ten on also between vector and consent."""
    check(Federation(10, dim=2), {1: stage, 4: stage, 9: stage})


@pytest.mark.slow
@pytest.mark.parametrize("size", range(4, 13))
@pytest.mark.parametrize("stage", STAGES)
def test_as_many_as_may_be_lost_and_one_more(size: int, stage: str) -> None:
    """For every size: the margin holds to the last region, and breaks with the next."""
    margin = size - (2 * size // 3 + 1)
    for count in range(1, margin + 2):
        check(Federation(size, dim=2), {position: stage for position in range(count)})


def test_regions_lost_at_different_stages() -> None:
    """One of seven before its keys are agreed and one before its vector: the sum of five."""
    check(Federation(7), {0: "deal", 5: "mask"})


def test_every_answer_but_one_may_be_lost_after_the_consents_to_a_point() -> None:
    """The threshold of shares is enough, one less is not."""
    check(Federation(5), {0: "unmask"})
    check(Federation(5), {0: "unmask", 4: "unmask"})


drops = st.dictionaries(st.integers(0, 8), st.sampled_from(STAGES), max_size=3)


@given(
    size=st.integers(3, 9),
    dim=st.integers(1, 70),
    bits=st.sampled_from([16, 32]),
    lost=drops,
    rotated=st.booleans(),
)
@settings(max_examples=12, deadline=None, derandomize=True)
def test_the_exact_sum_of_the_survivors_or_a_void_round(
    size: int, dim: int, bits: int, lost: dict[int, str], rotated: bool
) -> None:
    """Never anything else, whoever is lost when, with and without a rotation."""
    seed = b"r" * 32 if rotated else b""
    federation = Federation(size, dim=dim, bits=bits, rotation_seed=seed)
    check(federation, {position % size: stage for position, stage in lost.items()})


@pytest.mark.slow
@given(
    size=st.integers(3, 9),
    dim=st.integers(1, 70),
    bits=st.sampled_from([16, 32]),
    lost=st.dictionaries(st.integers(0, 8), st.sampled_from(STAGES), max_size=4),
    rotated=st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_the_exact_sum_of_the_survivors_or_a_void_round_at_length(
    size: int, dim: int, bits: int, lost: dict[int, str], rotated: bool
) -> None:
    """The same over many more rounds."""
    seed = b"r" * 32 if rotated else b""
    federation = Federation(size, dim=dim, bits=bits, rotation_seed=seed)
    check(federation, {position % size: stage for position, stage in lost.items()})


def attempt(
    federation: Federation,
    number: int,
    histories: Mapping[str, MemoryHistory],
    lost: Mapping[int, str],
) -> Contested:
    """Play one attempt of the federation's round as far as it goes."""
    play = contested(federation, histories=histories, attempt=number)
    for stage in STAGES:
        if stage == "mask":
            play.server.members()
        for position, when in lost.items():
            if when == stage:
                play.lose(federation.names[position])
        try:
            play.exchange(stage)
        except RoundVoidError:
            break
    return play


def test_a_region_comes_back_in_the_next_attempt() -> None:
    """After a void attempt the same round gives the sum over all, with the same words.

    What a region rounds up is the same in every attempt, so nothing is learnt from two.
    """
    federation = Federation(4, dim=40, bits=16)
    histories = {name: MemoryHistory() for name in federation.names}
    first = attempt(federation, 0, histories, {0: "consent"})
    with pytest.raises(RoundVoidError):
        first.server.consents()
    second = attempt(federation, 1, histories, {})
    words = second.server.close().words
    assert words.tobytes() == second.expected_sum(federation.names).tobytes()
    for name in federation.names[1:]:
        before, again = (np.frombuffer(play.masked[name][1][0], "<u2") for play in (first, second))
        assert (before != again).mean() > 0.9  # the words are the same, the masks are not


def test_a_further_attempt_after_the_shares_were_revealed_gives_the_same_sum() -> None:
    """A server that lost the answers asks again; the survivors answer for the same list only."""
    federation = Federation(4, dim=40)
    histories = {name: MemoryHistory() for name in federation.names}
    first = attempt(federation, 0, histories, {0: "mask"})
    second = attempt(federation, 1, histories, {0: "mask"})
    assert first.server.close().words.tobytes() == second.server.close().words.tobytes()
    third = attempt(federation, 2, histories, {})
    assert {name: error.code for name, error in third.left.items()} == dict.fromkeys(
        federation.names[1:], AbortCode.ALREADY_REVEALED
    )


def test_another_delta_in_a_further_attempt_is_refused_once_shares_are_out() -> None:
    """A region that trained again would show the difference of its two deltas."""
    federation = Federation(4)
    histories = {name: MemoryHistory() for name in federation.names}
    attempt(federation, 0, histories, {})
    play = contested(federation, histories=histories, attempt=1).until("mask")
    members, name = play.server.members(), federation.names[0]
    play.server.on_masked(
        *play.regions[name].mask(members, play.inputs[name], payload_sha256=payload("another"))
    )
    region = play.regions.pop(name)
    play.mask()
    with aborting(AbortCode.ALREADY_REVEALED):
        region.on_survivors(play.server.survivors())


def test_what_is_rounded_up_depends_on_the_delta_and_the_round() -> None:
    """Another payload or another round rounds anew."""
    federation = Federation(3, dim=64)
    region = federation.region(federation.names[0])
    region.start(federation.signed())
    other = federation.region(federation.names[0], round_=4)
    other.start(federation.signed(round_=4))
    retry = federation.region(federation.names[0])
    retry.start(federation.signed(attempt=1))
    keys = [one._rounding_key(payload("a")) for one in (region, other, retry)]
    assert keys[0] == keys[2]
    assert len({*keys, region._rounding_key(payload("b"))}) == 3


FIVE = Federation(5)
LIAR, *OTHERS = FIVE.names  # the lowest: it sends ciphertexts to all others
HIGHEST = FIVE.names[-1]  # it gets them from all others
UIDS = dict(zip(FIVE.names, FIVE.uids, strict=True))


def sends(**changes: object) -> Lie:
    """A region signs another advert, and stands by it."""

    def lie(play: Contested, region: RegionRound, message: bytes) -> bytes:
        advert = resigned(Advertise.from_bytes(message), play.name_of(region), **changes)
        region._advert = advert.to_bytes()
        return region._advert

    return lie


def ciphertexts(ciphertext: bytes, *, by: str = LIAR) -> Lie:
    """A region encapsulates nothing that its peers could open."""

    def lie(play: Contested, region: RegionRound, message: bytes) -> bytes:
        read = Parcel.from_bytes(message)
        items = [
            replace(Encaps.from_bytes(item), ciphertext=ciphertext).signed_by(identity(by))
            for item in read.items
        ]
        return replace(read, items=tuple(item.to_bytes() for item in items)).to_bytes()

    return lie


def damaged_inside(play: Contested, region: RegionRound, message: bytes) -> bytes:
    """One dealing in the message is no message; the bytes around it are."""
    start = message.index(b"FSA1", 100)
    return message[:start] + b"XXXX" + message[start + 4 :]


PEERS: list[tuple[str, str, str, Lie, AbortCode]] = [
    ("low_order_key", LIAR, "advertise", sends(x25519_key=bytes(32)), AbortCode.MALFORMED),
    ("no_kem_key", HIGHEST, "advertise", sends(kem_key=b"\xff" * 1184), AbortCode.MALFORMED),
    ("ciphertext", LIAR, "key", ciphertexts(b"\x01" * 1088), AbortCode.BAD_BOX),
    ("no_ciphertext", LIAR, "key", ciphertexts(b""), AbortCode.MALFORMED),
    (
        "box",
        LIAR,
        "deal",
        redealing(lambda dealt: dealt, box=bytes(144)),
        AbortCode.BAD_BOX,
    ),
    (
        "share",
        LIAR,
        "deal",
        redealing(lambda dealt: replace(dealt, own=one_more(dealt.own))),
        AbortCode.BAD_SHARE,
    ),
    (
        "escrow_share",
        LIAR,
        "deal",
        redealing(lambda dealt: replace(dealt, escrow=one_more(dealt.escrow))),
        AbortCode.BAD_SHARE,
    ),
    (
        "number",
        LIAR,
        "deal",
        redealing(
            lambda dealt: replace(dealt, own=replace(dealt.own, share=b"\xff" * 32)), commit=True
        ),
        AbortCode.MALFORMED,
    ),
    (
        "seed",
        LIAR,
        "deal",
        redealing(lambda dealt: dealt, seed=bytes(32)),
        AbortCode.SEED_MISMATCH,
    ),
]


@pytest.fixture
def blind_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that looks at no key, ciphertext or dealing: then regions find what it would."""
    for check in "check_public_keys", "check_parcel", "check_dealings":
        monkeypatch.setattr(f"protocol.coordinator_checks.{check}", lambda *_, **__: None)


@pytest.mark.usefixtures("blind_server")
@pytest.mark.parametrize(
    ("liar", "stage", "lie", "code"), [row[1:] for row in PEERS], ids=[row[0] for row in PEERS]
)
def test_a_faulty_peer_costs_the_others_that_peer(
    liar: str, stage: str, lie: Lie, code: AbortCode
) -> None:
    """Not the round: each of the others names it, and the sum over them is exact."""
    play = contested(FIVE, up={(stage, liar): lie})
    for each in STAGES:
        play.exchange(each)
    assert play.left.keys() <= {liar}
    others = [name for name in FIVE.names if name != liar]
    for name in others:
        assert play.regions[name].faults == {UIDS[liar]: code}
    assert play.server.close().words.tobytes() == play.expected_sum(others).tobytes()
    assert liar not in play.masked


def test_a_key_that_everybody_can_see_is_wrong_costs_no_honest_peer() -> None:
    """The only lower peer refuses an ML-KEM key that is none; the liar should leave, not it."""
    honest, liar = FIVE.names[:2]
    play = contested(FIVE, up={("advertise", liar): sends(kem_key=b"\xff" * 1184)})
    for each in STAGES:
        play.exchange(each)
    assert honest in play.masked
    assert liar not in play.masked


def test_a_disputed_dealing_without_a_signature_costs_its_dealer_only() -> None:
    """The only lower peer refuses it; the server sees that it is not signed, and who lies."""
    honest, liar = FIVE.names[:2]

    def unsigned(play: Contested, region: RegionRound, message: bytes) -> bytes:
        shares = Shares.from_bytes(message)
        dealings = tuple(
            replace(one, signature=bytes(64)) if one.recipient == UIDS[honest] else one
            for one in shares.dealings
        )
        return resigned(shares, liar, dealings=dealings).to_bytes()

    play = contested(FIVE, up={("deal", liar): unsigned})
    for each in STAGES:
        play.exchange(each)
    assert honest in play.masked
    assert liar not in play.masked


REFUSED: list[tuple[str, str, Lie, AbortCode]] = [
    ("encaps_signature", "key", ciphertexts(b"\x01" * 1088, by=HIGHEST), AbortCode.BAD_SIGNATURE),
    ("dealing_inside", "deal", damaged_inside, AbortCode.MALFORMED),
    ("no_message", "accept", lambda *_: b"FSA1", AbortCode.MALFORMED),
]


@pytest.mark.parametrize(
    ("stage", "lie", "code"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED]
)
def test_what_the_server_refuses_costs_the_sender_only(
    stage: str, lie: Lie, code: AbortCode
) -> None:
    """It is lost from there on, and the sum over the others is exact."""
    play = contested(FIVE, up={(stage, LIAR): lie})
    for each in STAGES:
        play.exchange(each)
    assert {name: error.code for name, error in play.refused.items()} == {LIAR: code}
    assert play.server.close().words.tobytes() == play.expected_sum(OTHERS).tobytes()


RELAYED: list[tuple[str, str, AbortCode]] = [
    ("encaps_signature", "deal", AbortCode.BAD_SIGNATURE),
    ("dealing_signature", "accept", AbortCode.BAD_SIGNATURE),
]


@pytest.mark.usefixtures("blind_server")
@pytest.mark.parametrize(
    ("stage", "code"), [row[1:] for row in RELAYED], ids=[row[0] for row in RELAYED]
)
def test_a_bad_signature_inside_costs_that_peer(stage: str, code: AbortCode) -> None:
    """Whether the peer or the server changed the message: the others go on without the two's masks.

    The server cannot use it to name an honest peer to anybody: the signature is not that peer's.
    """

    def lie(play: Contested, region: RegionRound, message: bytes) -> bytes:
        read = Parcel.from_bytes(message)
        first = read.items[0][:-64] + bytes(64)
        return replace(read, items=(first, *read.items[1:])).to_bytes()

    play = contested(FIVE, down={(stage, name): lie for name in OTHERS})
    for each in STAGES:
        play.exchange(each)
    for name in OTHERS:
        assert play.regions[name].faults == {UIDS[LIAR]: code}
    assert play.server.close().words.tobytes() == play.expected_sum(OTHERS).tobytes()


def test_a_peer_that_left_somebody_out_is_left_out_there() -> None:
    """No ciphertext, no dealing: nothing to name, and no mask with that peer."""

    def nothing(play: Contested, region: RegionRound, message: bytes) -> bytes:
        return replace(Parcel.from_bytes(message), items=()).to_bytes()

    play = contested(FIVE, up={("key", LIAR): nothing})
    for each in STAGES:
        play.exchange(each)
    assert LIAR not in play.masked
    assert all(not region.faults for region in play.regions.values())
    assert play.server.close().words.tobytes() == play.expected_sum(OTHERS).tobytes()


def test_one_that_accuses_everybody_is_left_out_alone() -> None:
    """A region that accepts nobody leaves; the others keep each other."""

    def accuse(play: Contested, region: RegionRound, message: bytes) -> bytes:
        return resigned(Accepted.from_bytes(message), LIAR, peers=()).to_bytes()

    play = contested(FIVE, up={("accept", LIAR): accuse})
    for each in STAGES:
        play.exchange(each)
    assert LIAR not in play.masked
    assert play.server.close().words.tobytes() == play.expected_sum(OTHERS).tobytes()


def test_shares_are_dealt_by_the_place_in_the_cohort() -> None:
    """Share i belongs to the i-th region, also when others were lost before the dealing."""
    play = contested(FIVE).until("deal")
    play.server.encaps_for(bytes(16))
    play.lose(LIAR).deal()
    for shares in play.server._shares.values():
        assert isinstance(shares, Shares)
        assert shares.recipients == tuple(uid for uid in FIVE.uids if uid != shares.uid)
    play.accept()
    play.mask()
    play.consent()
    play.unmask()
    assert play.server.close().words.tobytes() == play.expected_sum(OTHERS).tobytes()
