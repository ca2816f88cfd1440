from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from protocol import sealing
from protocol.errors import AbortCode, AbortError, RoundVoidError
from protocol.identity import region_uid
from protocol.region import RegionRound
from protocol.share_messages import Accepted, Shares
from protocol.unmask_messages import RevealedShare, Unmask
from tests.protocol.attacks import (
    Contested,
    Lie,
    Lies,
    aborting,
    blamed,
    contested,
    one_more,
    redealing,
    resigned,
    secret_of,
)
from tests.protocol.builders import STAGES, Federation

FEDERATION = Federation(5)
LIAR, SECOND, THIRD, FOURTH, LAST = FEDERATION.names
UID = dict(zip(FEDERATION.names, FEDERATION.uids, strict=True))


def unmasked(lies: Lies, *, lost: str | None = None) -> Contested:
    """Return a round in which all shares are revealed; one region was lost before its vector."""
    play = contested(FEDERATION, up=lies)
    for stage in STAGES:
        if stage == "mask" and lost:
            play.server.members()
            play.lose(lost)
        play.exchange(stage)
    assert not play.left
    return play


def test_masks_come_off_with_and_without_a_lost_region() -> None:
    """The sum is exact; a lost member's vector is not in it, its pair masks are gone."""
    for lost in (None, LIAR, THIRD, LAST):
        play = unmasked({}, lost=lost)
        names = [name for name in FEDERATION.names if name != lost]
        assert play.server._unmasking().lost == (() if lost is None else (UID[lost],))
        assert [int(word) for word in play.server.close().words] == play.sum_over(*names)


def test_any_threshold_of_answers_gives_the_sum() -> None:
    """Four of five are enough, whichever they are and in whatever order."""
    words = set()
    for missing in FEDERATION.names:
        play = contested(FEDERATION).until("unmask")
        play.server.consents()
        play.regions.pop(missing)
        play.regions = dict(reversed(play.regions.items()))
        play.unmask()
        words.add(play.server.close().words.tobytes())
    assert words == {play.expected_sum(FEDERATION.names).tobytes()}


def other_self_share(dealt: sealing.DealtShares) -> sealing.DealtShares:
    return replace(dealt, own=one_more(dealt.own))


def other_escrow_share(dealt: sealing.DealtShares) -> sealing.DealtShares:
    return replace(dealt, escrow=one_more(dealt.escrow))


def another_self_secret(play: Contested, region: RegionRound, message: bytes) -> bytes:
    shares = Shares.from_bytes(message)
    return resigned(shares, play.name_of(region), self_secret=bytes(32)).to_bytes()


def another_escrow_secret(play: Contested, region: RegionRound, message: bytes) -> bytes:
    shares = Shares.from_bytes(message)
    return resigned(shares, play.name_of(region), escrow_secret=bytes(32)).to_bytes()


def an_escrow_of_nothing(play: Contested, region: RegionRound, message: bytes) -> bytes:
    shares = Shares.from_bytes(message)
    return resigned(shares, play.name_of(region), escrow=bytes(len(shares.escrow))).to_bytes()


def an_escrow_of_another_seed(play: Contested, region: RegionRound, message: bytes) -> bytes:
    """It opens, and one of the seeds in it would take off another mask."""
    shares, config = Shares.from_bytes(message), play.federation.config
    seeds = [region._secrets.pairs[peer].seed for peer in shares.recipients]
    escrow = sealing.seal_escrow(
        secret_of(region, shares, config.cohort, config.threshold),
        [bytes(32), *seeds[1:]],
        roster_hash=shares.roster_hash,
        dealer=region.uid,
    )
    return resigned(shares, play.name_of(region), escrow=escrow).to_bytes()


DEALERS: list[tuple[str, Lie, bool, AbortCode]] = [
    (
        "off_the_polynomial",
        redealing(other_self_share, to=[SECOND], commit=True),
        False,
        AbortCode.WRONG_DEALING,
    ),
    (
        "off_the_escrows_polynomial",
        redealing(other_escrow_share, to=[SECOND], commit=True),
        True,
        AbortCode.WRONG_DEALING,
    ),
    ("self_secret", another_self_secret, False, AbortCode.WRONG_DEALING),
    ("escrow_secret", another_escrow_secret, True, AbortCode.WRONG_DEALING),
    ("escrow", an_escrow_of_nothing, True, AbortCode.BAD_ESCROW),
    ("seed", an_escrow_of_another_seed, True, AbortCode.WRONG_DEALING),
]


@pytest.mark.parametrize(
    ("lie", "lost", "code"), [row[1:] for row in DEALERS], ids=[row[0] for row in DEALERS]
)
def test_a_dealer_that_contradicts_itself_is_named(lie: Lie, lost: bool, code: AbortCode) -> None:
    """Nothing noticed before the shares were revealed; then there is no sum, and an author."""
    play = unmasked({("deal", LIAR): lie}, lost=LIAR if lost else None)
    assert not play.refused
    before = play.server._sum.copy()
    for _ in range(2):
        with aborting(code, UID[LIAR]):
            play.server.close()
        assert (play.server._sum == before).all()


@pytest.mark.parametrize(
    "lie", [row[1] for row in DEALERS if row[2]], ids=[row[0] for row in DEALERS if row[2]]
)
def test_an_escrow_is_opened_for_a_lost_region_only(lie: Lie) -> None:
    """What is wrong with a survivor's escrow matters to nobody: the sum is exact."""
    play = unmasked({("deal", LIAR): lie})
    assert [int(word) for word in play.server.close().words] == play.sum_over(*FEDERATION.names)


Tamper = Callable[[Unmask], dict[str, tuple[RevealedShare, ...]]]

ANSWERS: list[tuple[str, Tamper]] = [
    ("value", lambda one: {"self_shares": (one_more(one.self_shares[0]), *one.self_shares[1:])}),
    ("escrow", lambda one: {"escrow_shares": (one_more(one.escrow_shares[0]),)}),
    ("none", lambda one: {"self_shares": (), "escrow_shares": ()}),
    ("no_escrow", lambda one: {"escrow_shares": ()}),
    (
        "a_survivors_escrow",
        lambda one: {
            "self_shares": one.self_shares[1:],
            "escrow_shares": (one.escrow_shares[0], one.self_shares[0]),
        },
    ),
]


@pytest.mark.parametrize("tamper", [row[1] for row in ANSWERS], ids=[row[0] for row in ANSWERS])
def test_a_wrong_answer_names_its_author_and_the_others_answers_give_the_sum(
    tamper: Tamper,
) -> None:
    """A share is held against the dealer's commitment before it is used (8.8)."""

    def lie(play: Contested, region: RegionRound, message: bytes) -> bytes:
        unmask = Unmask.from_bytes(message)
        changes = {
            key: tuple(sorted(value, key=lambda share: share.dealer))
            for key, value in tamper(unmask).items()
        }
        return resigned(unmask, play.name_of(region), **changes).to_bytes()

    federation = Federation(7)
    lost, liar, *others = federation.names
    play = contested(federation, up={("unmask", liar): lie})
    for stage in STAGES:
        if stage == "mask":
            play.server.members()
            play.lose(lost)
        play.exchange(stage)
    assert play.refused.keys() == {liar}
    assert play.refused[liar].code is AbortCode.BAD_SHARE
    assert blamed(play.refused[liar]) == region_uid(liar)
    words = play.server.close().words
    assert [int(word) for word in words] == play.sum_over(liar, *others)


def test_a_number_that_is_no_element_is_refused() -> None:
    """A share has one spelling; a larger one is not even compared."""

    def lie(play: Contested, region: RegionRound, message: bytes) -> bytes:
        unmask = Unmask.from_bytes(message)
        first = replace(unmask.self_shares[0], share=b"\xff" * 32)
        changed = (first, *unmask.self_shares[1:])
        return resigned(unmask, LIAR, self_shares=changed).to_bytes()

    play = unmasked({("unmask", LIAR): lie})
    assert play.refused.keys() == {LIAR}
    assert [int(word) for word in play.server.close().words] == play.sum_over(*FEDERATION.names)


def test_shares_show_in_no_repr() -> None:
    """What the server collects is on its way to a secret."""
    play = unmasked({})
    unmasking, answer = play.server._unmasking(), next(iter(play.server._answers.values()))
    share = answer.self_shares[0]
    shown = repr(unmasking) + repr(answer)
    assert repr(share.share) not in shown
    assert share.share.hex() not in shown


def names_a_liar_or_sums(play: Contested, *names: str) -> bool:
    """Return whether the server gets the sum over these, or learns who lied."""
    try:
        words = play.server.close().words
    except AbortError as error:
        return error.uid in (UID[LIAR], UID[LAST])
    return words.tobytes() == play.expected_sum(names).tobytes()


def without_a_dealing(peer: str) -> Lie:
    """A dealer leaves a peer out."""

    def lie(play: Contested, region: RegionRound, message: bytes) -> bytes:
        shares = Shares.from_bytes(message)
        dealings = tuple(one for one in shares.dealings if one.recipient != UID[peer])
        escrow = bytes(32 * len(dealings) + 16)
        name = play.name_of(region)
        return resigned(shares, name, dealings=dealings, escrow=escrow).to_bytes()

    return lie


def accepting(peer: str) -> Lie:
    """A holder says that it holds what it was never dealt."""

    def lie(play: Contested, region: RegionRound, message: bytes) -> bytes:
        share = RevealedShare(UID[peer], bytes(32), bytes(32))
        region._secrets.held[UID[peer]] = sealing.DealtShares(share, share)
        accepted = Accepted.from_bytes(message)
        peers = tuple(sorted({*accepted.peers, UID[peer]}))
        return resigned(accepted, play.name_of(region), peers=peers).to_bytes()

    return lie


def test_two_colluders_cannot_stop_the_server_without_a_name() -> None:
    """One deals to all but the other, who accepts it: both are refused by name, and lost."""
    lies = {("deal", LIAR): without_a_dealing(LAST), ("accept", LAST): accepting(LIAR)}
    play = contested(FEDERATION, up=lies)
    for stage in STAGES[:4]:
        play.exchange(stage)

    assert {name: error.code for name, error in play.refused.items()} == {
        LIAR: AbortCode.TOO_FEW_SHARES,
        LAST: AbortCode.UNKNOWN_REGION,
    }
    with pytest.raises(RoundVoidError):
        play.server.members()


def test_two_colluders_with_one_secret_cannot_stop_the_server_without_a_name() -> None:
    """They share one stream of masks: it comes off twice, or an error names one of them."""
    generator = np.random.default_rng(0)

    def same(size: int) -> bytes:
        return bytes(size) if size == 32 else generator.bytes(size)

    play = contested(FEDERATION).until("deal")
    for name in LIAR, LAST:
        play.regions[name]._randomness = same
    for stage in STAGES[2:]:
        play.exchange(stage)
    assert names_a_liar_or_sums(play, *FEDERATION.names)
