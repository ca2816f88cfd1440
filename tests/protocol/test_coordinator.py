from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.coordinator import CoordinatorRound, Phase
from protocol.errors import MalformedMessageError, OutOfOrderError, RoundVoidError
from protocol.masks import bytes_of
from protocol.share_messages import Parcel
from protocol.wire import CHUNK_BYTES
from tests.protocol.attacks import TAKES, Contested, contested
from tests.protocol.builders import STAGES, Federation

FEDERATION = Federation(4)
FIRST, SECOND, *_ = FEDERATION.names
PHASES = tuple(Phase)
ASKS = ("roster", "encaps_for", "shares_for", "members", "survivors", "consents", "close")


@cache
def recorded() -> tuple[object, ...]:
    """Return what the first region sends in each stage of another play of the same round."""
    play = contested(FEDERATION)
    sent = []
    for stage in STAGES:
        region = play.regions[FIRST]
        answer = play.answer(stage, region, play.asked(stage, region))
        sent.append(answer)
        play.take(stage, answer)
        play.regions = {name: one for name, one in play.regions.items() if name != FIRST}
        play.exchange(stage)
        play.regions[FIRST] = region
    return tuple(sent)


def in_phase(phase: Phase) -> Contested:
    """Return a round that has just come to a phase."""
    play = contested(FEDERATION)
    position = PHASES.index(phase)
    for stage in STAGES[:position]:
        play.exchange(stage)
    if phase is Phase.CLOSED:
        play.server.close()
    elif position:
        play.asked(STAGES[position], play.regions[FIRST])
    assert play.server.phase is phase
    return play


def ask(server: CoordinatorRound, name: str) -> object:
    """Ask the server for what comes next."""
    call = getattr(server, name)
    return call(FEDERATION.uids[0]) if name.endswith("_for") else call()


@pytest.mark.parametrize("phase", PHASES, ids=lambda phase: phase.name)
def test_each_phase_takes_one_kind_of_message_and_makes_one(phase: Phase) -> None:
    """Every other call is out of order, for ever or until its time; it changes nothing."""
    play, position = in_phase(phase), PHASES.index(phase)
    for number, (take, message) in enumerate(zip(TAKES, recorded(), strict=True)):
        if number != position:
            with pytest.raises(OutOfOrderError, match=f"now is {phase.name}"):
                play.take(STAGES[number], message)
            assert take
    for number, name in enumerate(ASKS):
        if number not in (position, position - 1) or phase is Phase.CLOSED:
            with pytest.raises(OutOfOrderError, match=f"now is {phase.name}"):
                ask(play.server, name)
    assert play.server.phase is phase
    if phase is not Phase.CLOSED:
        for stage in STAGES[position:]:
            play.exchange(stage)
        sum_ = play.server.close()
        assert [int(word) for word in sum_.words] == play.sum_over(*FEDERATION.names)


@pytest.mark.parametrize("stage", STAGES)
def test_what_comes_twice_is_a_replay(stage: str) -> None:
    """Whoever has answered in a phase is not awaited any more; the sum does not change."""
    play = contested(FEDERATION).until(stage)
    region = play.regions[FIRST]
    sent = play.answer(stage, region, play.asked(stage, region))
    assert play.server.missing == set(FEDERATION.names)
    for _ in range(2):
        if not play.server.missing - {FIRST}:
            break
        play.take(stage, sent)
        assert play.server.missing == set(FEDERATION.names) - {FIRST}
        with pytest.raises(OutOfOrderError, match=f"{FIRST} sent this before"):
            play.take(stage, sent)
        play.regions = {name: one for name, one in play.regions.items() if name != FIRST}
        play.exchange(stage)
        play.regions[FIRST] = region
    with pytest.raises(OutOfOrderError, match="sent this before"):
        play.take(stage, sent)
    for later in STAGES[STAGES.index(stage) + 1 :]:
        play.exchange(later)
    assert [int(word) for word in play.server.close().words] == play.sum_over(*FEDERATION.names)


@pytest.mark.parametrize("stage", STAGES)
def test_garbage_is_refused_in_every_phase(stage: str) -> None:
    """Bytes that are no message change nothing."""
    play = contested(FEDERATION).until(stage)
    play.asked(stage, play.regions[FIRST])
    for garbage in b"", b"FSA1", bytes(200):
        with pytest.raises(MalformedMessageError):
            play.take(stage, (garbage, []) if stage == "mask" else garbage)
    assert play.server.missing == set(FEDERATION.names)


@pytest.mark.parametrize("stage", STAGES)
def test_too_few_answers_make_the_attempt_void_until_the_others_come(stage: str) -> None:
    """The missing are named; nothing is lost, and who comes late is welcome."""
    play = contested(FEDERATION).until(stage)
    there = dict(play.regions)
    play.asked(stage, play.regions[FIRST])
    play.regions = {name: there[name] for name in FEDERATION.names[2:]}
    play.exchange(stage)
    for _ in range(2):
        with pytest.raises(RoundVoidError, match="the attempt is void") as caught:
            ask(play.server, ASKS[STAGES.index(stage)])
        assert caught.value.missing == tuple(sorted((FIRST, SECOND)))
    play.regions = {name: there[name] for name in FEDERATION.names[:2]}
    play.exchange(stage)
    play.regions = there
    for later in STAGES[STAGES.index(stage) + 1 :]:
        play.exchange(later)
    assert [int(word) for word in play.server.close().words] == play.sum_over(*FEDERATION.names)


@pytest.mark.parametrize("stage", STAGES[:-1])
def test_who_has_not_answered_when_a_phase_ends_is_lost(stage: str) -> None:
    """Its message comes too late; up to the vectors the others go on without it."""
    play = contested(FEDERATION).until(stage)
    region = play.regions[FIRST]
    late = play.answer(stage, region, play.asked(stage, region))
    play.lose(FIRST).exchange(stage)
    if stage == "consent":
        with pytest.raises(RoundVoidError, match="expected at least 4"):
            play.server.consents()
        return
    following = STAGES[STAGES.index(stage) + 1 :]
    play.asked(following[0], play.regions[SECOND])
    with pytest.raises(OutOfOrderError):
        play.take(stage, late)
    for later in following:
        play.exchange(later)
    others = FEDERATION.names[1:]
    assert [int(word) for word in play.server.close().words] == play.sum_over(*others)


def test_a_round_may_ask_for_more_keys_than_its_threshold() -> None:
    """The configuration's own least cohort holds at the roster."""
    play = contested(FEDERATION, min_cohort=4)
    play.lose(FIRST).advertise()
    with pytest.raises(RoundVoidError, match="expected at least 4 regions to send their keys"):
        play.server.roster()


def test_more_survivors_may_be_asked_for_than_the_threshold() -> None:
    """With four of four nobody may be lost before the vectors."""
    for stage in ("key", "deal", "accept", "mask"):
        play = contested(FEDERATION, min_survivors=4, policy={"min_survivors": 4}).until(stage)
        play.asked(stage, play.regions[FIRST])
        play.lose(FIRST)
        play.exchange(stage)
        with pytest.raises(RoundVoidError, match="expected at least 4"):
            ask(play.server, ASKS[STAGES.index(stage)])


def test_the_sum_comes_with_what_proves_the_consent_to_it() -> None:
    """The transcript checks, names the survivors, and the outcome is about these words."""
    play = contested(FEDERATION).until("mask")
    play.server.members()
    play.lose(FIRST)
    for stage in STAGES[4:]:
        play.exchange(stage)
    published = play.server.close()
    checked = published.transcript.check(FEDERATION.registry)
    assert checked.config == FEDERATION.config
    assert checked.outcome == published.outcome
    assert checked.outcome.survivors == FEDERATION.uids[1:]
    assert len(published.transcript.consents) == 3
    assert b"".join(published.chunks()) == bytes(bytes_of(published.words))
    mean = published.outcome.mean(b"".join(published.chunks()), config=FEDERATION.config)
    exact = np.mean([play.inputs[name] for name in FEDERATION.names[1:]], axis=0)
    assert np.abs(mean - exact).max() <= 4 / FEDERATION.encoding.qmax


def test_parcels_hold_what_was_sent_for_their_region() -> None:
    """One message of each peer that may send one."""
    play = contested(FEDERATION).until("deal")
    for position, uid in enumerate(FEDERATION.uids):
        assert len(Parcel.from_bytes(play.server.encaps_for(uid)).items) == position
    play.deal()
    for uid in FEDERATION.uids:
        assert len(Parcel.from_bytes(play.server.shares_for(uid)).items) == 3
    assert Parcel.from_bytes(play.server.shares_for(bytes(16))).items == ()


@pytest.mark.slow
def test_a_vector_of_several_chunks_arrives_whole() -> None:
    """The mean of a vector beyond one chunk of 4 MiB is right from end to end."""
    federation = Federation(3, dim=CHUNK_BYTES // 2 + 7, bits=16, bound=0.5)
    play = federation.play()
    published = play.finish()
    assert [len(chunk) for chunk in published.chunks()] == [CHUNK_BYTES, 14]
    assert (published.words == play.expected_sum(federation.names)).all()


@pytest.mark.slow
@settings(deadline=None)
@given(
    shares=st.lists(st.integers(4, 16), min_size=3, max_size=6).map(tuple),
    bits=st.sampled_from([16, 32]),
    dim=st.integers(1, 30),
    order=st.randoms(use_true_random=False),
)
def test_the_published_sum_is_the_plain_sum(
    shares: tuple[int, ...], bits: int, dim: int, order: st.DataObject
) -> None:
    """For any cohort, width, size, weights and order of arrival, to the last bit."""
    federation = Federation(len(shares), dim=dim, bits=bits, shares=shares)
    play = contested(federation)
    for stage in STAGES:
        names = list(federation.names)
        order.shuffle(names)  # type: ignore[attr-defined]
        play.regions = {name: play.regions[name] for name in names}
        play.exchange(stage)
    assert (play.server.close().words == play.expected_sum(federation.names)).all()
