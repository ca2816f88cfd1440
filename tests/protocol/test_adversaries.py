"""Attacks on a secure sum, each of which works where the check that it names is missing.

The server lies, alone or with some regions; what they use are the real classes. The rows follow
the threat model: an attacked region leaves, names the check and answers nothing more, or the round
goes on without the liar. The faulty peers that only cost themselves are in ``test_dropouts``,
wrong shares in ``test_unmasking``.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from functools import partial
from os import urandom
from typing import Any

import pytest

from protocol.config import Deadlines, Kem, Recovery
from protocol.errors import AbortCode, AbortError, OutOfOrderError, RoundVoidError
from protocol.fixed_point import Block
from protocol.history import MemoryHistory
from protocol.identity import SERVER_UID, region_uid
from protocol.keys import Encapsulated, RoundKeys
from protocol.messages import Advertise, Masked, Roster
from protocol.region import RegionRound, State
from protocol.sealing import DealtShares
from protocol.share_messages import Dealing, Encaps, Parcel, Shares
from protocol.transcript import transcript_hash
from protocol.unmask_messages import Consent, Survivors
from tests.protocol.attacks import (
    Contested,
    LedgerHistory,
    aborting,
    assert_ended,
    blamed,
    contested,
    dealt_by,
    redealing,
    resigned,
)
from tests.protocol.builders import LATER, NOW, STAGES, Federation, identity, randomness

FEDERATION = Federation(5)
VICTIM, PEER, COLLUDER, FOURTH, LAST = FEDERATION.names
UID = dict(zip(FEDERATION.names, FEDERATION.uids, strict=True))
SYBIL = b"\xff" * 16


def play_to(play: Contested, stage: str, lost: Mapping[str, str] | None = None) -> Contested:
    """Play every stage before this one; lose regions before the stage that is given."""
    for each in STAGES[: STAGES.index(stage)]:
        lose(play, each, lost)
        play.exchange(each)
    lose(play, stage, lost)
    return play


def lose(play: Contested, stage: str, lost: Mapping[str, str] | None) -> None:
    """Lose those regions whose time has come, after the stage before has ended."""
    gone = [name for name, when in (lost or {}).items() if when == stage and name in play.regions]
    if gone:
        play.asked(stage, play.regions[gone[0]])
        play.lose(*gone)


# What the server proposes: every bound is computed anew by the region.

PROPOSALS: list[tuple[str, dict[str, Any], dict[str, Any], AbortCode, bytes | None]] = [
    ("another_registry", {"registry_hash": bytes(32)}, {}, AbortCode.REGISTRY_MISMATCH, None),
    (
        "sybils",
        {"cohort": (*FEDERATION.uids[:4], SYBIL)},
        {},
        AbortCode.UNKNOWN_REGION,
        SYBIL,
    ),
    (
        "a_stranger_to_the_plan",
        {"cohort": tuple(sorted([*FEDERATION.uids[:4], region_uid("outsider")]))},
        {},
        AbortCode.BAD_COHORT,
        None,
    ),
    (
        "without_me",
        {"cohort": FEDERATION.uids[1:], "weights": (Fraction(1, 4),) * 4},
        {},
        AbortCode.BAD_COHORT,
        None,
    ),
    (
        "a_tiny_cohort",
        {"cohort": FEDERATION.uids[:3], "weights": (Fraction(1, 3),) * 3},
        {"min_cohort": 5},
        AbortCode.COHORT_TOO_SMALL,
        None,
    ),
    (
        "a_smaller_cohort",
        {"cohort": FEDERATION.uids[:4], "weights": (Fraction(1, 4),) * 4},
        {},
        AbortCode.BAD_COHORT,
        None,
    ),
    ("threshold_of_one", {"threshold": 1}, {}, AbortCode.BAD_THRESHOLD, None),
    (
        "another_threshold",
        {"threshold": 5, "min_survivors": 5, "min_cohort": 5},
        {},
        AbortCode.BAD_THRESHOLD,
        None,
    ),
    ("fewer_survivors", {"min_survivors": 3}, {}, AbortCode.BAD_THRESHOLD, None),
    ("more_colluders_than_the_plan", {}, {"assumed_colluders": 1}, AbortCode.BAD_COHORT, None),
    (
        "all_weight_on_one",
        {"weights": (Fraction(96, 100), *[Fraction(1, 100)] * 4)},
        {},
        AbortCode.BAD_WEIGHTS,
        None,
    ),
    (
        "a_sum_that_wraps",
        {"encoding": replace(FEDERATION.encoding, qmax=2**30)},
        {},
        AbortCode.BAD_ENCODING,
        None,
    ),
    (
        "another_scale",
        {"encoding": replace(FEDERATION.encoding, blocks=(Block(5, 1e-9),))},
        {},
        AbortCode.BAD_ENCODING,
        None,
    ),
    ("another_rotation", {"rotation_seed": b"r" * 32}, {}, AbortCode.BAD_ENCODING, None),
    ("another_model", {"model_hash": b"m" * 32}, {}, AbortCode.MODEL_MISMATCH, None),
    ("another_layout", {"layout_hash": b"l" * 32}, {}, AbortCode.LAYOUT_MISMATCH, None),
    ("another_plan", {"plan_hash": b"p" * 32}, {}, AbortCode.PLAN_MISMATCH, None),
    ("no_hybrid", {"kem": Kem.X25519}, {}, AbortCode.KEM_DOWNGRADE, None),
    ("no_recovery", {"recovery": Recovery.NONE}, {}, AbortCode.RECOVERY_REFUSED, None),
    ("noise_that_it_does_not_add", {"noise_sigma": 3.0}, {}, AbortCode.BAD_NOISE, None),
    (
        "no_end",
        {"deadlines": Deadlines(advertise_s=60, masked_s=2**31)},
        {},
        AbortCode.BAD_DEADLINES,
        None,
    ),
]


@pytest.mark.parametrize(
    ("proposal", "policy", "code", "culprit"),
    [row[1:] for row in PROPOSALS],
    ids=[row[0] for row in PROPOSALS],
)
def test_a_server_cannot_choose_the_rules(
    proposal: dict[str, Any], policy: dict[str, Any], code: AbortCode, culprit: bytes | None
) -> None:
    """Cohort, threshold, weights, encoding, model, plan: the region knows better and leaves."""
    history = MemoryHistory()
    region = FEDERATION.region(VICTIM, history=history, **policy)
    with aborting(code, culprit):
        region.start(FEDERATION.signed(**proposal))
    assert_ended(region)
    assert history.latest(FEDERATION.config.plan_hash) is None


def test_weights_that_only_colluders_share_are_refused() -> None:
    """A quarter for the victim and three colluders, next to nothing elsewhere (8.4)."""
    for shares, refused in [((60, 60, 60, 60, 1, 1), True), ((60, 60, 60, 60, 60, 60), False)]:
        federation = Federation(6, shares=shares, threshold=5)
        region = federation.region(
            federation.names[0], assumed_colluders=3, min_survivors=6, max_weight=Fraction(1, 2)
        )
        signed = federation.signed(assumed_colluders=3, min_survivors=6)
        if refused:
            with aborting(AbortCode.BAD_WEIGHTS):
                region.start(signed)
            assert_ended(region)
        else:
            assert region.start(signed)


def test_colluders_that_could_sign_two_lists_are_too_many() -> None:
    """Twice the threshold must exceed regions and colluders together (8.2)."""
    region = FEDERATION.region(VICTIM, assumed_colluders=3, min_survivors=5)
    with aborting(AbortCode.BAD_THRESHOLD):
        region.start(FEDERATION.signed(assumed_colluders=3, min_survivors=5))
    assert_ended(region)


def test_a_proposal_that_the_server_did_not_sign_is_refused() -> None:
    """Nobody else opens a round, and nobody changes one on its way."""
    signed = FEDERATION.signed()
    region = FEDERATION.region(VICTIM)
    with aborting(AbortCode.BAD_SIGNATURE, SERVER_UID):
        region.start(signed[:-64] + bytes(64))
    assert_ended(region)


def test_rounds_do_not_come_again() -> None:
    """Neither the same context nor an earlier attempt or round, also after a restart."""
    history = MemoryHistory()
    FEDERATION.region(VICTIM, history=history).start(FEDERATION.signed(attempt=1))
    proposals: list[tuple[dict[str, Any], AbortCode]] = [
        ({"attempt": 1}, AbortCode.REPLAYED_CONTEXT),
        ({"attempt": 0}, AbortCode.STALE_ROUND),
        ({"round_": 2, "attempt": 7}, AbortCode.STALE_ROUND),
        ({"attempt": 1, "deadlines": Deadlines(advertise_s=61, masked_s=1)}, AbortCode.STALE_ROUND),
    ]
    for changes, code in proposals:
        region = FEDERATION.region(VICTIM, history=history)
        with aborting(code):
            region.start(FEDERATION.signed(**changes))
        assert_ended(region)
    assert FEDERATION.region(VICTIM, history=history).start(FEDERATION.signed(attempt=2))


def test_a_region_takes_no_round_after_its_registry_has_ended() -> None:
    """An old registry holds old keys."""
    for now, accepted in [(NOW, True), (LATER, False)]:
        region = FEDERATION.region(VICTIM, now=now)
        if accepted:
            assert region.start(FEDERATION.signed())
        else:
            with aborting(AbortCode.EXPIRED):
                region.start(FEDERATION.signed())
            assert_ended(region)


# Keys, models and rosters: regions that see different things share no mask.


def test_a_key_that_the_server_swaps_costs_it_the_victim_only() -> None:
    """The victim leaves with the check's name; the others never see the swapped key."""

    def swap(play: Contested, region: RegionRound, message: bytes) -> bytes:
        roster = Roster.from_bytes(message)
        adverts = [
            replace(advert, x25519_key=b"\x05" * 32) if advert.uid == UID[PEER] else advert
            for advert in roster.adverts
        ]
        return Roster(roster.context, tuple(adverts)).to_bytes()

    play = contested(FEDERATION, down={("key", VICTIM): swap})
    for stage in STAGES:
        play.exchange(stage)
    assert play.left.keys() == {VICTIM}
    assert play.left[VICTIM].code is AbortCode.BAD_SIGNATURE
    assert blamed(play.left[VICTIM]) == UID[PEER]
    assert_ended(play.gone[VICTIM])
    others = [name for name in FEDERATION.names if name != VICTIM]
    assert play.server.close().words.tobytes() == play.expected_sum(others).tobytes()


def test_regions_with_different_models_agree_on_nothing() -> None:
    """A victim whose model is another signs another context: no roster holds both (Pasquini 2022).

    The server cannot carry the others' adverts over: their signatures cover the context.
    """
    server = FEDERATION.coordinator()
    other = FEDERATION.coordinator(model_hash=b"m" * 32)
    victim = FEDERATION.region(VICTIM, model_hash=b"m" * 32)
    own = Advertise.from_bytes(victim.start(other.signed_config))
    adverts = {own.uid: own}
    for name in FEDERATION.names[1:]:
        advert = Advertise.from_bytes(FEDERATION.region(name).start(server.signed_config))
        adverts[advert.uid] = replace(advert, context=own.context)
    with aborting(AbortCode.WRONG_CONTEXT, own.uid):
        server.on_advert(own.to_bytes())
    roster = Roster(own.context, tuple(adverts[uid] for uid in sorted(adverts)))
    with aborting(AbortCode.BAD_SIGNATURE, UID[PEER]):
        victim.on_roster(roster.to_bytes())
    assert_ended(victim)


def test_the_same_keys_in_another_roster_give_another_secret() -> None:
    """Model and roster are in the context, the context in the roster, and it in every seed (8.11).

    So keys that a peer uses twice give no seed twice.
    """
    ours, theirs = (RoundKeys(Kem.X25519, randomness(name)) for name in (VICTIM, PEER))
    secrets = [
        ours.pair_secret(
            me=UID[VICTIM],
            peer=UID[PEER],
            peer_key=theirs.x25519_key(),
            roster_hash=roster_hash,
            kem=Encapsulated(),
        )
        for roster_hash in (b"\x01" * 32, b"\x02" * 32)
    ]
    values = {value for one in secrets for value in (one.key_up, one.key_down, one.seed)}
    assert len(values) == 6


def test_a_region_never_uses_a_key_twice() -> None:
    """Every context has fresh X25519 and ML-KEM keys (8.11)."""
    keys = set()
    for attempt in range(3):
        region = RegionRound(
            identity=identity(VICTIM),
            policy=FEDERATION.policy,
            history=MemoryHistory(),
            now=NOW,
            randomness=urandom,
        )
        advert = Advertise.from_bytes(region.start(FEDERATION.signed(attempt=attempt)))
        keys |= {advert.x25519_key, advert.kem_key}
    assert len(keys) == 6


def split_roster(play: Contested, region: RegionRound, message: bytes) -> bytes:
    """A colluder has signed a second advert, and only the victim is shown that one."""
    roster = Roster.from_bytes(message)
    adverts = [
        resigned(advert, COLLUDER, x25519_key=b"\x09" + bytes(31))
        if advert.uid == UID[COLLUDER]
        else advert
        for advert in roster.adverts
    ]
    return Roster(roster.context, tuple(adverts)).to_bytes()


def test_two_rosters_share_no_mask() -> None:
    """A victim that was shown another roster is alone with it, whatever the server relays."""
    play = play_to(contested(FEDERATION, down={("key", VICTIM): split_roster}), "deal")
    assert play.refused[VICTIM].code is AbortCode.ROSTER_MISMATCH
    victim = play.gone[VICTIM]
    with aborting(AbortCode.ROSTER_MISMATCH):
        victim.on_encaps(play.server.encaps_for(victim.uid))
    assert_ended(victim)


def test_messages_of_one_roster_cannot_be_carried_to_another() -> None:
    """A server that writes the victim's roster over the peers' messages breaks their signatures."""
    federation = Federation(5, kem=Kem.X25519)
    play = play_to(contested(federation, down={("key", LAST): split_roster}), "deal")
    victim = play.gone[LAST]
    parcel = Parcel.from_bytes(play.server.encaps_for(victim.uid))
    items = [
        replace(Encaps.from_bytes(item), roster_hash=victim._roster_hash) for item in parcel.items
    ]
    carried = Parcel(victim._roster_hash, victim.uid, tuple(item.to_bytes() for item in items))
    with aborting(AbortCode.TOO_FEW_KEYS):
        victim.on_encaps(carried.to_bytes())
    assert victim.faults == dict.fromkeys(federation.uids[:4], AbortCode.BAD_SIGNATURE)
    assert_ended(victim)


# Replays: nothing of one attempt means anything in another.

REPLAYS = [
    ("key", AbortCode.WRONG_CONTEXT),
    ("deal", AbortCode.ROSTER_MISMATCH),
    ("accept", AbortCode.ROSTER_MISMATCH),
    ("mask", AbortCode.ROSTER_MISMATCH),
    ("consent", AbortCode.ROSTER_MISMATCH),
    ("unmask", AbortCode.ROSTER_MISMATCH),
]


def test_nothing_of_an_earlier_attempt_is_taken_again() -> None:
    """Each message that the server sends twice ends the round of whoever gets it."""
    old = contested(FEDERATION)
    before = {}
    for stage in STAGES:
        before[stage] = old.asked(stage, old.regions[VICTIM])
        old.exchange(stage)
    for stage, code in REPLAYS:
        play = play_to(contested(FEDERATION, attempt=1), stage)
        region = play.regions[VICTIM]
        with aborting(code):
            play.answer(stage, region, before[stage])
        assert_ended(region)


def test_a_vector_of_an_earlier_attempt_is_not_added() -> None:
    """The signature covers the context; another context needs another signature."""
    old = play_to(contested(FEDERATION), "consent")
    play = play_to(contested(FEDERATION, attempt=1), "mask")
    play.server.members()
    masked, chunks = old.masked[VICTIM]
    with aborting(AbortCode.WRONG_CONTEXT, UID[VICTIM]):
        play.server.on_masked(masked, chunks)
    carried = replace(Masked.from_bytes(masked), context=play.server.context)
    with aborting(AbortCode.BAD_SIGNATURE, UID[VICTIM]):
        play.server.on_masked(carried.to_bytes(), chunks)
    play.exchange("mask")
    play.exchange("consent")
    play.exchange("unmask")
    words = play.server.close().words
    assert words.tobytes() == play.expected_sum(FEDERATION.names).tobytes()


def reboxed(box: bytes, *, by: str) -> Callable[[Contested, RegionRound, bytes], bytes]:
    """A dealer, or the server in its name, puts this box in the dealing to the victim."""

    def lie(play: Contested, region: RegionRound, message: bytes) -> bytes:
        parcel = Parcel.from_bytes(message)
        items = []
        for item in parcel.items:
            dealing = Dealing.from_bytes(item)
            if dealing.uid == UID[COLLUDER]:
                item = resigned(dealing, by, box=box).to_bytes()
            items.append(item)
        return replace(parcel, items=tuple(items)).to_bytes()

    return lie


def test_a_box_opens_for_one_round_dealer_and_holder_only() -> None:
    """Replayed from an attempt before, or another dealer's, or another holder's."""
    old = play_to(contested(FEDERATION), "accept")
    boxes = {
        "replayed": old.server._shares[UID[COLLUDER]].dealing_to(UID[VICTIM]).box,
        "another_holders": old.server._shares[UID[COLLUDER]].dealing_to(UID[PEER]).box,
        "another_dealers": old.server._shares[UID[PEER]].dealing_to(UID[VICTIM]).box,
    }
    for name, box in boxes.items():
        for author, code in [
            (COLLUDER, AbortCode.BAD_BOX),
            ("server", AbortCode.BAD_SIGNATURE),
        ]:
            attempt = 1 if name == "replayed" else 0
            play = contested(
                FEDERATION,
                down={("accept", VICTIM): reboxed(box, by=author)},
                attempt=attempt,
            )
            play_to(play, "mask")
            assert play.regions[VICTIM].faults == {UID[COLLUDER]: code}, name


def test_a_box_for_another_region_ends_the_round_of_who_gets_it() -> None:
    """The server relays what it should not."""
    play = play_to(contested(FEDERATION), "accept")
    victim = play.regions[VICTIM]
    with aborting(AbortCode.WRONG_CONTEXT):
        victim.on_shares(
            replace(Parcel.from_bytes(play.server.shares_for(UID[PEER])), uid=victim.uid).to_bytes()
        )
    assert_ended(victim)


def test_a_share_of_another_place_has_an_author() -> None:
    """Two holders' shares exchanged, both committed to: the secret is wrong, and signed (8.11)."""

    def lie(play: Contested, region: RegionRound, message: bytes) -> bytes:
        shares = Shares.from_bytes(message)
        for one, other in ((PEER, FOURTH), (FOURTH, PEER)):
            swapped = partial(_instead, dealt_by(region, shares, UID[other]))
            message = redealing(swapped, to=[one], commit=True)(play, region, message)
        return message

    play = play_to(contested(FEDERATION, up={("deal", COLLUDER): lie}), "unmask")
    play.exchange("unmask")
    assert not play.refused
    with aborting(AbortCode.WRONG_DEALING, UID[COLLUDER]):
        play.server.close()


def _instead(other: DealtShares, dealt: DealtShares) -> DealtShares:
    return other


# Survivors and consents: nobody reveals for two lists.


def listing(play: Contested, *names: str) -> bytes:
    """Return a list of survivors as a lying server signs it."""
    made = Survivors(
        roster_hash=play.server._roster_hash,
        survivors=tuple(sorted(UID[name] for name in names)),
    )
    return made.signed_by(identity("server")).to_bytes()


def test_both_shares_of_one_region_are_never_out() -> None:
    """Two lists, one with the victim and one without, each shown to some: nobody reveals.

    With the shares of the victim's own mask from the first and those of its escrow from the second
    the server would read its vector.
    """
    play = play_to(contested(FEDERATION), "consent")
    full = listing(play, *FEDERATION.names)
    others = [name for name in FEDERATION.names if name != VICTIM]
    without = listing(play, *others)
    consents = [
        region.on_survivors(without if name in (PEER, COLLUDER) else full)
        for name, region in play.regions.items()
    ]
    parcel = Parcel(play.server._roster_hash, SERVER_UID, tuple(consents)).to_bytes()
    for region in play.regions.values():
        with pytest.raises(AbortError) as caught:
            region.on_consents(parcel)
        assert caught.value.code is AbortCode.BAD_SURVIVORS
        assert_ended(region)


def test_consents_to_another_list_do_not_count_for_mine() -> None:
    """A region that is shown only those to its own list sees that they are too few."""
    play = play_to(contested(FEDERATION), "consent")
    full, others = listing(play, *FEDERATION.names), [PEER, COLLUDER, FOURTH, LAST]
    without = listing(play, *others)
    consents = {
        name: region.on_survivors(without if name == LAST else full)
        for name, region in play.regions.items()
    }
    shown = tuple(consents[name] for name in FEDERATION.names if name != LAST)
    parcel = Parcel(play.server._roster_hash, SERVER_UID, shown).to_bytes()
    region = play.regions[VICTIM]
    with aborting(AbortCode.TOO_FEW_CONSENTS):
        region.on_consents(parcel)
    assert_ended(region)


def test_a_region_consents_to_one_list_in_an_attempt() -> None:
    """A second list ends its round: its shares are gone."""
    play = play_to(contested(FEDERATION), "consent")
    region = play.regions[VICTIM]
    region.on_survivors(listing(play, *FEDERATION.names))
    with pytest.raises(OutOfOrderError):
        region.on_survivors(listing(play, VICTIM, PEER, COLLUDER, FOURTH))
    assert_ended(region)


def test_one_colluders_consent_counts_once() -> None:
    """Its signature as often as the threshold asks for (8.2)."""
    play = play_to(contested(FEDERATION), "unmask")
    mine, colluders = (play.server._consents[UID[name]].to_bytes() for name in (VICTIM, COLLUDER))
    items = (mine, *[colluders] * FEDERATION.config.threshold)
    parcel = Parcel(play.server._roster_hash, SERVER_UID, items).to_bytes()
    region = play.regions[VICTIM]
    with aborting(AbortCode.BAD_SURVIVORS, UID[COLLUDER]):
        region.on_consents(parcel)
    assert_ended(region)


@pytest.mark.parametrize("size", [5, 9, 10])
def test_small_federations_need_every_survivors_consent(size: int) -> None:
    """Up to nine regions a set of survivors could have no consenter in it; then all must (8.12)."""
    federation = Federation(size, dim=2)
    play = contested(federation)
    for stage in STAGES[:-1]:
        play.exchange(stage)
    kept = sorted(play.server._consents)[: federation.config.threshold]
    items = tuple(play.server._consents[uid].to_bytes() for uid in kept)
    parcel = Parcel(play.server._roster_hash, SERVER_UID, items).to_bytes()
    region = play.regions[federation.names[0]]
    if size > 9:
        assert region.on_consents(parcel)
        fewer = Parcel(play.server._roster_hash, SERVER_UID, items[:-1]).to_bytes()
        region = play.regions[federation.names[1]]
        parcel = fewer
    with aborting(AbortCode.TOO_FEW_CONSENTS):
        region.on_consents(parcel)
    assert_ended(region)


# Attempts and rounds: sums that could be subtracted.


def lists_revealed(histories: Mapping[str, MemoryHistory], round_: int) -> list[tuple[bytes, ...]]:
    """Return what each region has revealed for in a round."""
    plan = FEDERATION.config.plan_hash
    found = [history.revealed(plan, round_) for history in histories.values()]
    return [one.survivors for one in found if one is not None]


def greedy_attempt(
    federation: Federation,
    histories: Mapping[str, MemoryHistory],
    attempt: int,
    *,
    lost: Sequence[str],
    shown: Sequence[str],
) -> None:
    """Play an attempt in which the server shows the consents to some regions only."""
    play = contested(federation, histories=histories, attempt=attempt)
    try:
        play_to(play, "unmask", dict.fromkeys(lost, "mask"))
        consents = play.server.consents()
    except RoundVoidError:
        return
    for name in shown:
        if name in play.regions:
            region = play.regions[name]
            play.server.on_unmask(region.on_consents(consents))
    if len(play.server._answers) >= federation.config.threshold:
        play.server.close()


@pytest.mark.parametrize("size", [5, 7])
def test_no_region_reveals_for_two_lists_over_shrinking_attempts(size: int) -> None:
    """The server unmasks one list with the fewest answers and starts again without others (8.1).

    On the same deltas the difference of two sums is what the regions between them sent.
    """
    federation = Federation(size)
    histories = {name: MemoryHistory() for name in federation.names}
    names, least = federation.names, federation.config.threshold
    greedy_attempt(federation, histories, 0, lost=[], shown=names[:least])
    assert lists_revealed(histories, 3) == [federation.uids] * least
    for attempt in range(1, size + 1):
        lost = names[attempt - 1 : attempt]
        rest = [name for name in names if name not in lost]
        greedy_attempt(federation, histories, attempt, lost=lost, shown=rest)
    assert set(lists_revealed(histories, 3)) == {federation.uids}
    assert len(lists_revealed(histories, 3)) == least


def test_who_only_consented_may_consent_to_another_list() -> None:
    """Nothing was revealed, so nothing can be subtracted: the round is not lost."""
    histories = {name: MemoryHistory() for name in FEDERATION.names}
    greedy_attempt(FEDERATION, histories, 0, lost=[], shown=[])
    assert lists_revealed(histories, 3) == []
    greedy_attempt(FEDERATION, histories, 1, lost=[LAST], shown=FEDERATION.names)
    assert set(lists_revealed(histories, 3)) == {FEDERATION.uids[:4]}


def test_the_region_between_two_rounds_is_not_shown() -> None:
    """All in one round, all but one in the next: the survivors of both refuse (8.10)."""
    histories = {name: MemoryHistory() for name in FEDERATION.names}
    play = play_to(contested(FEDERATION, histories=histories), "unmask")
    play.exchange("unmask")
    play = contested(FEDERATION, histories=histories, round_=4)
    play_to(play, "unmask", {VICTIM: "mask"})
    assert {error.code for error in play.left.values()} == {AbortCode.DIFFERENCING}
    assert play.left.keys() == set(FEDERATION.names) - {VICTIM}
    for region in play.gone.values():
        assert_ended(region)


def span_attack(federation: Federation) -> tuple[list[Any], Contested]:
    """Play the four rounds of 8.10 with groups v, P, Q, R of 1, 3, 3, 3 regions."""
    names = federation.names
    victim, first, second, third = names[:1], names[1:4], names[4:7], names[7:]
    histories = {name: MemoryHistory() for name in names}
    sums = []
    for number, lost in enumerate([third, first, second, victim]):
        play = contested(federation, histories=histories, round_=3 + number)
        play_to(play, "unmask", dict.fromkeys(lost, "mask"))
        if play.left:
            break
        play.exchange("unmask")
        published = play.server.close()
        sums.append(published.words)
        for history in histories.values():
            history.record_sum(
                plan_hash=federation.config.plan_hash,
                round_=3 + number,
                survivors=published.outcome.survivors,
                transcript=transcript_hash(published.transcript.to_bytes()),
            )
    return sums, play


def test_four_rounds_do_not_span_one_region() -> None:
    """For disjoint P, Q, R of three, S1..S3 with v and two of them, S4 without v (8.10).

    No region is in all four sets, so each judges by what was published, too. With the fourth sum,
    (S1 + S2 + S3 - 2 S4) / 3 would be what v sent; the third already tells v from all others.
    """
    federation = Federation(10, dim=4)
    sums, play = span_attack(federation)

    assert len(sums) == 2
    assert {error.code for error in play.left.values()} == {AbortCode.DIFFERENCING}
    assert play.left.keys() == set(federation.names) - set(federation.names[4:7])


def test_a_region_restored_from_an_older_copy_is_stopped_by_its_peers() -> None:
    """Its folder forgot a reveal; a peer that saw a later checkpoint has not (8.6).

    Otherwise a copy made before the first reveal could be made to reveal for another list.
    """
    ledgers = {name: LedgerHistory(name) for name in FEDERATION.names}
    older = copy.deepcopy(ledgers[VICTIM])
    play = play_to(contested(FEDERATION, ledgers=ledgers), "unmask")
    play.exchange("unmask")
    play.server.close()
    assert older.revealed(FEDERATION.config.plan_hash, 3) is None
    restored = {**ledgers, VICTIM: older}
    play = play_to(contested(FEDERATION, ledgers=restored, attempt=1), "deal")
    assert play.left.keys() == {VICTIM}
    assert play.left[VICTIM].code is AbortCode.LEDGER_BEHIND
    assert_ended(play.gone[VICTIM])


def test_a_region_with_its_own_ledger_is_not_stopped() -> None:
    """The same attempt with the folder as it is: the checkpoints of peers are behind it."""
    ledgers = {name: LedgerHistory(name) for name in FEDERATION.names}
    for attempt in range(2):
        play = play_to(contested(FEDERATION, ledgers=ledgers, attempt=attempt), "unmask")
        play.exchange("unmask")
        assert not play.left
        assert all(len(ledger.seen) == 4 for ledger in ledgers.values())
        words = play.server.close().words
        assert words.tobytes() == play.expected_sum(FEDERATION.names).tobytes()


def test_a_server_cannot_leave_out_or_change_a_checkpoint() -> None:
    """It would hide from the peers how far a ledger has come: the consent covers all of them."""
    ledgers = {name: LedgerHistory(name) for name in FEDERATION.names}
    play = play_to(contested(FEDERATION, ledgers=ledgers), "consent")
    honest = Survivors.from_bytes(play.server.survivors())
    kept = tuple(one for one in honest.checkpoints if one.uid != UID[VICTIM])
    hidden = resigned(honest, "server", checkpoints=kept).to_bytes()
    with aborting(AbortCode.BAD_CHECKPOINT):
        play.regions[VICTIM].on_survivors(hidden)
    consent = Consent.from_bytes(play.regions[PEER].on_survivors(hidden))
    assert consent.survivors_hash != honest.hash()
    region = play.regions[FOURTH]
    mine = region.on_survivors(honest.to_bytes())
    parcel = Parcel(honest.roster_hash, SERVER_UID, (mine, consent.to_bytes()))
    with aborting(AbortCode.BAD_SURVIVORS, UID[PEER]):
        region.on_consents(parcel.to_bytes())
    assert region.state is State.ABORTED
