from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import TypeAlias

import pytest

from protocol.errors import AbortCode
from protocol.history import MemoryHistory, Reveal
from protocol.identity import SERVER_UID, region_uid
from protocol.messages import Advertise, Checkpoint, Roster
from protocol.share_messages import Dealing, Encaps, Members, Parcel
from protocol.unmask_messages import Consent, Survivors
from protocol.wire import KEM_KEY_BYTES
from tests.protocol.attacks import (
    Contested,
    LedgerHistory,
    aborting,
    assert_ended,
    contested,
    resigned,
)
from tests.protocol.builders import Federation, identity, payload, with_advert

FEDERATION = Federation(4)
LOWER, PEER, ME, LAST = FEDERATION.names
UID = dict(zip(FEDERATION.names, FEDERATION.uids, strict=True))
STRANGER = region_uid("outsider")

Attack: TypeAlias = Callable[[bytes], bytes]


def refuses(
    attack: Attack,
    stage: str,
    code: AbortCode,
    blamed: bytes | None = None,
    play: Contested | None = None,
) -> None:
    """Check that one region refuses what this attack makes of an honest server's message."""
    there = (play or contested(FEDERATION)).until(stage)
    region = there.regions[ME]
    message = attack(there.asked(stage, region))
    with aborting(code, blamed):
        there.answer(stage, region, message)
    assert_ended(region)


def advert_of(roster: Roster, name: str) -> Advertise:
    return next(advert for advert in roster.adverts if advert.uid == UID[name])


def with_changed_advert(roster: bytes, name: str, signer: str | None, **changes: object) -> bytes:
    read = Roster.from_bytes(roster)
    advert = replace(advert_of(read, name), **changes)  # type: ignore[arg-type]
    if signer is not None:
        advert = advert.signed_by(identity(signer))
    return with_advert(read, advert)


def key_substitution(roster: bytes) -> bytes:
    """The server puts its own key in a peer's advert; it cannot sign for the peer."""
    return with_changed_advert(roster, PEER, None, x25519_key=b"\x05" * 32)


def kem_key_substitution(roster: bytes) -> bytes:
    key = advert_of(Roster.from_bytes(roster), LAST).kem_key
    return with_changed_advert(roster, PEER, "server", kem_key=key)


def signed_by_a_colluder(roster: bytes) -> bytes:
    return with_changed_advert(roster, PEER, LAST, x25519_key=b"\x05" * 32)


def own_key_replaced(roster: bytes) -> bytes:
    return with_changed_advert(roster, ME, None, x25519_key=b"\x05" * 32)


def without(roster: bytes, *names: str) -> bytes:
    read = Roster.from_bytes(roster)
    gone = {UID[name] for name in names}
    adverts = tuple(advert for advert in read.adverts if advert.uid not in gone)
    return Roster(read.context, adverts).to_bytes()


def own_advert_left_out(roster: bytes) -> bytes:
    return without(roster, ME)


def peers_left_out(roster: bytes) -> bytes:
    return without(roster, PEER, LAST)


def repeated_key(roster: bytes) -> bytes:
    """A colluder repeats a peer's key and signs it."""
    key = advert_of(Roster.from_bytes(roster), PEER).x25519_key
    return with_changed_advert(roster, LAST, LAST, x25519_key=key)


def repeated_kem_key(roster: bytes) -> bytes:
    key = advert_of(Roster.from_bytes(roster), PEER).kem_key
    return with_changed_advert(roster, LAST, LAST, kem_key=key)


def no_kem_key(roster: bytes) -> bytes:
    """A colluder and the server would rather do without the hybrid."""
    return with_changed_advert(roster, LAST, LAST, kem_key=b"")


def sybil(roster: bytes) -> bytes:
    read = Roster.from_bytes(roster)
    advert = replace(advert_of(read, LAST), uid=b"\x42" * 16, x25519_key=b"\x05" * 32)
    return with_advert(read, advert.signed_by(identity(LAST)))


def outside_the_cohort(roster: bytes) -> bytes:
    """A region of the registry, but not of the plan."""
    read = Roster.from_bytes(roster)
    advert = replace(advert_of(read, LAST), uid=STRANGER, x25519_key=b"\x05" * 32)
    return with_advert(read, advert.signed_by(identity("outsider")))


def another_round(roster: bytes) -> bytes:
    context = b"\x0c" * 32
    adverts = tuple(
        replace(advert, context=context) for advert in Roster.from_bytes(roster).adverts
    )
    return Roster(context, adverts).to_bytes()


ROSTERS: list[tuple[Attack, AbortCode, bytes | None]] = [
    (key_substitution, AbortCode.BAD_SIGNATURE, UID[PEER]),
    (kem_key_substitution, AbortCode.BAD_SIGNATURE, UID[PEER]),
    (signed_by_a_colluder, AbortCode.BAD_SIGNATURE, UID[PEER]),
    (own_key_replaced, AbortCode.OWN_KEY_REPLACED, None),
    (own_advert_left_out, AbortCode.OWN_KEY_REPLACED, None),
    (peers_left_out, AbortCode.TOO_FEW_KEYS, None),
    (repeated_key, AbortCode.DUPLICATE_KEYS, None),
    (repeated_kem_key, AbortCode.DUPLICATE_KEYS, None),
    (no_kem_key, AbortCode.MALFORMED, UID[LAST]),
    (sybil, AbortCode.UNKNOWN_REGION, b"\x42" * 16),
    (outside_the_cohort, AbortCode.UNKNOWN_REGION, STRANGER),
    (another_round, AbortCode.WRONG_CONTEXT, None),
]


@pytest.mark.parametrize(
    ("attack", "code", "blamed"), ROSTERS, ids=[attack.__name__ for attack, _, _ in ROSTERS]
)
def test_a_roster_that_was_tampered_with_is_refused(
    attack: Attack, code: AbortCode, blamed: bytes | None
) -> None:
    """The region names the check and, where one peer is at fault, the peer."""
    refuses(attack, "key", code, blamed)


def test_a_kem_key_that_the_round_has_no_use_for_is_refused() -> None:
    """It could carry what nobody checks."""
    federation = Federation(4, kem=FEDERATION.config.kem.X25519)
    play = contested(federation).until("key")
    region = play.regions[ME]
    roster = with_changed_advert(play.server.roster(), LAST, LAST, kem_key=bytes(KEM_KEY_BYTES))
    with aborting(AbortCode.MALFORMED, UID[LAST]):
        region.on_roster(roster)
    assert_ended(region)


def test_a_peer_that_saw_a_later_ledger_stops_the_round() -> None:
    """A region on an older copy of its folder spends nothing; a genuine checkpoint shows it."""
    later = LedgerHistory(ME)
    later.append(b"an entry that a copy lacks")
    later.append(b"and one more")
    for holder, note, behind in [
        (PEER, later.checkpoint(), True),
        (PEER, b"not a checkpoint", False),
        (ME, later.checkpoint(), False),
    ]:
        ledgers = {name: LedgerHistory(name) for name in FEDERATION.names}
        ledgers[holder].seen[UID[ME]] = Checkpoint(UID[ME], note)
        play = contested(FEDERATION, ledgers=ledgers).until("key")
        region = play.regions[ME]
        if not behind:
            assert region.on_roster(play.server.roster())
            continue
        with aborting(AbortCode.LEDGER_BEHIND):
            region.on_roster(play.server.roster())
        assert_ended(region)


def parcel_with(parcel: bytes, **changes: object) -> bytes:
    return replace(Parcel.from_bytes(parcel), **changes).to_bytes()  # type: ignore[arg-type]


def of_another_roster(parcel: bytes) -> bytes:
    return parcel_with(parcel, roster_hash=b"\x0d" * 32)


def with_item(parcel: bytes, item: bytes) -> bytes:
    """Return the parcel with this message instead of its first."""
    items = Parcel.from_bytes(parcel).items
    return parcel_with(parcel, items=(item, *items[1:]))


def item_of(parcel: bytes) -> Encaps | Dealing:
    item = Parcel.from_bytes(parcel).items[0]
    return Encaps.from_bytes(item) if len(item) > 1000 else Dealing.from_bytes(item)


def with_a_message_of_another_roster(parcel: bytes) -> bytes:
    item = resigned(item_of(parcel), LOWER, roster_hash=b"\x0d" * 32)
    return with_item(parcel, item.to_bytes())


def with_a_message_for_another(parcel: bytes) -> bytes:
    item = resigned(item_of(parcel), LOWER, recipient=UID[LAST])
    return with_item(parcel, item.to_bytes())


def with_a_message_of_a_stranger(parcel: bytes) -> bytes:
    item = item_of(parcel)
    stranger = b"\x00" * 15 + b"\x01"  # below every region, as a sender of R1 must be
    return with_item(parcel, resigned(item, "outsider", uid=stranger).to_bytes())


def with_a_message_twice(parcel: bytes) -> bytes:
    items = Parcel.from_bytes(parcel).items
    return parcel_with(parcel, items=(*items, items[0]))


def with_garbage(parcel: bytes) -> bytes:
    return with_item(parcel, b"FSA1")


def emptied(parcel: bytes) -> bytes:
    return parcel_with(parcel, items=())


PARCELS: list[tuple[Attack, AbortCode]] = [
    (of_another_roster, AbortCode.ROSTER_MISMATCH),
    (with_a_message_of_another_roster, AbortCode.ROSTER_MISMATCH),
    (with_a_message_for_another, AbortCode.WRONG_CONTEXT),
    (with_a_message_of_a_stranger, AbortCode.UNKNOWN_REGION),
    (with_a_message_twice, AbortCode.DUPLICATE_KEYS),
    (with_garbage, AbortCode.MALFORMED),
]


@pytest.mark.parametrize("stage", ["deal", "accept"])
@pytest.mark.parametrize(
    ("attack", "code"), PARCELS, ids=[attack.__name__ for attack, _ in PARCELS]
)
def test_a_parcel_that_no_honest_server_sends_is_refused(
    stage: str, attack: Attack, code: AbortCode
) -> None:
    """Of ciphertexts or of dealings: what the server itself gets wrong is not a peer's fault."""
    refuses(attack, stage, code)


@pytest.mark.parametrize(
    ("stage", "code"),
    [("deal", AbortCode.TOO_FEW_KEYS), ("accept", AbortCode.TOO_FEW_SHARES)],
)
def test_a_region_that_is_left_with_too_few_peers_leaves(stage: str, code: AbortCode) -> None:
    """One peer short of the threshold no sum can be unmasked."""
    refuses(emptied, stage, code)


@pytest.mark.parametrize("stage", ["deal", "accept"])
def test_a_region_that_is_left_with_just_enough_peers_goes_on(stage: str) -> None:
    """The threshold counts the region itself."""
    play = contested(FEDERATION).until(stage)
    region = play.regions[ME]
    parcel = Parcel.from_bytes(play.asked(stage, region))
    kept = parcel.items[: 1 if stage == "deal" else 2]  # one lower and one higher peer, or two
    assert play.answer(stage, region, replace(parcel, items=kept).to_bytes())


def members_of(message: bytes, *names: str, extra: tuple[bytes, ...] = ()) -> bytes:
    uids = tuple(sorted([*(UID[name] for name in names), *extra]))
    return replace(Members.from_bytes(message), uids=uids).to_bytes()


MEMBERS: list[tuple[str, Attack, AbortCode]] = [
    (
        "another_roster",
        lambda data: replace(Members.from_bytes(data), roster_hash=b"\x0d" * 32).to_bytes(),
        AbortCode.ROSTER_MISMATCH,
    ),
    ("not_me", lambda data: members_of(data, LOWER, PEER, LAST), AbortCode.BAD_MEMBERS),
    (
        "a_stranger",
        lambda data: members_of(data, LOWER, PEER, ME, extra=(STRANGER,)),
        AbortCode.BAD_MEMBERS,
    ),
    ("too_few", lambda data: members_of(data, PEER, ME), AbortCode.TOO_FEW_SHARES),
]


@pytest.mark.parametrize(
    ("attack", "code"), [row[1:] for row in MEMBERS], ids=[row[0] for row in MEMBERS]
)
def test_a_region_masks_only_with_peers_that_it_accepted(attack: Attack, code: AbortCode) -> None:
    """And only with enough of them."""
    refuses(attack, "mask", code)


def test_a_region_does_not_mask_with_a_peer_that_it_refused() -> None:
    """Also if that one is in the roster: no share of its own mask is in good hands there."""
    play = contested(FEDERATION).until("accept")
    region = play.regions[ME]
    parcel = Parcel.from_bytes(play.asked("accept", region))
    region.on_shares(replace(parcel, items=parcel.items[:2]).to_bytes())
    members = Members(parcel.roster_hash, FEDERATION.uids).to_bytes()
    with aborting(AbortCode.BAD_MEMBERS):
        play.answer("mask", region, members)
    assert_ended(region)


def survivors_of(message: bytes, *, by: str = "server", **changes: object) -> bytes:
    read = replace(Survivors.from_bytes(message), **changes)  # type: ignore[arg-type]
    return read.signed_by(identity(by)).to_bytes()


def some(*names: str) -> tuple[bytes, ...]:
    return tuple(sorted(UID[name] for name in names))


SURVIVORS: list[tuple[str, Attack, AbortCode, bytes | None]] = [
    (
        "another_roster",
        lambda data: survivors_of(data, roster_hash=b"\x0d" * 32),
        AbortCode.ROSTER_MISMATCH,
        None,
    ),
    (
        "not_by_the_server",
        lambda data: survivors_of(data, by=LAST),
        AbortCode.BAD_SIGNATURE,
        SERVER_UID,
    ),
    (
        "not_me",
        lambda data: survivors_of(data, survivors=some(LOWER, PEER, LAST)),
        AbortCode.BAD_SURVIVORS,
        None,
    ),
    (
        "a_stranger",
        lambda data: survivors_of(
            data, survivors=tuple(sorted([*some(LOWER, PEER, ME), STRANGER]))
        ),
        AbortCode.UNKNOWN_SURVIVOR,
        None,
    ),
    (
        "too_few",
        lambda data: survivors_of(data, survivors=some(PEER, ME)),
        AbortCode.TOO_FEW_SURVIVORS,
        None,
    ),
    (
        "a_checkpoint_that_it_did_not_send",
        lambda data: survivors_of(data, checkpoints=(Checkpoint(UID[ME], b"note"),)),
        AbortCode.BAD_CHECKPOINT,
        None,
    ),
]


@pytest.mark.parametrize(
    ("attack", "code", "blamed"), [row[1:] for row in SURVIVORS], ids=[row[0] for row in SURVIVORS]
)
def test_a_list_of_survivors_that_nobody_should_sum_gets_no_consent(
    attack: Attack, code: AbortCode, blamed: bytes | None
) -> None:
    """Another round's, another signer's, too short, or with the wrong regions."""
    refuses(attack, "consent", code, blamed)


def test_a_checkpoint_that_was_sent_may_not_be_left_out() -> None:
    """The list of survivors shows every region's ledger to all, unchanged."""
    ledgers = {name: LedgerHistory(name) for name in FEDERATION.names}
    for checkpoints in (), (Checkpoint(UID[ME], b"another"),):
        play = contested(FEDERATION, ledgers=dict(ledgers)).until("consent")
        region = play.regions[ME]
        with aborting(AbortCode.BAD_CHECKPOINT):
            region.on_survivors(survivors_of(play.server.survivors(), checkpoints=checkpoints))
        assert_ended(region)
        ledgers = {name: LedgerHistory(name) for name in FEDERATION.names}
    play = contested(FEDERATION, ledgers=ledgers).until("consent")
    assert play.regions[ME].on_survivors(play.server.survivors())


def test_survivors_hide_nobody_behind_light_ones() -> None:
    """Three heavy regions are enough for a round; two of them and light ones make no sum."""
    federation = Federation(5, shares=(8, 8, 8, 1, 1))
    play = contested(federation).until("mask")
    play.server.members()
    play.lose(federation.names[0]).mask()
    region = play.regions[federation.names[1]]
    with aborting(AbortCode.BAD_WEIGHTS):
        region.on_survivors(play.server.survivors())
    assert_ended(region)


def test_no_survivor_weighs_more_than_the_policy_allows_in_the_sum() -> None:
    """A quarter of five becomes more of four: the share counts, not the weight."""
    federation = Federation(5, shares=(5, 4, 4, 4, 3))
    largest = Fraction(5, 20)
    play = contested(federation, policy={"max_weight": largest}).until("mask")
    play.server.members()
    play.lose(federation.names[4]).mask()
    region = play.regions[federation.names[1]]
    with aborting(AbortCode.BAD_WEIGHTS):
        region.on_survivors(play.server.survivors())
    assert_ended(region)


def reveal(round_: int, survivors: tuple[bytes, ...], of: str = ME) -> Reveal:
    return Reveal(
        plan_hash=FEDERATION.config.plan_hash,
        round_=round_,
        context=b"\x0e" * 32,
        survivors=survivors,
        payload_sha256=payload(of),
    )


REVEALS = [
    (reveal(3, FEDERATION.uids), None),
    (reveal(3, some(LOWER, PEER, ME)), AbortCode.ALREADY_REVEALED),
    (reveal(3, FEDERATION.uids, of=PEER), AbortCode.ALREADY_REVEALED),
    (reveal(2, FEDERATION.uids), None),
    (reveal(2, some(LOWER, PEER, ME)), AbortCode.DIFFERENCING),
]


@pytest.mark.parametrize(
    ("before", "code"),
    REVEALS,
    ids=["the_same", "another_list", "another_delta", "earlier_round", "a_difference_of_one"],
)
def test_a_sum_may_not_add_to_what_earlier_ones_showed(
    before: Reveal, code: AbortCode | None
) -> None:
    """The same list and delta again are allowed; any other in this round is not."""
    history = MemoryHistory()
    history.reveal(before)
    play = contested(FEDERATION, histories={ME: history})
    if code is not None:
        refuses(lambda data: data, "consent", code, None, play)
    else:
        assert play.until("consent").regions[ME].on_survivors(play.server.survivors())


def test_the_differencing_rule_can_be_given_up_by_name() -> None:
    """A policy without it leaves the protection to each region's own noise."""
    history = MemoryHistory()
    history.reveal(reveal(2, some(LOWER, PEER, ME)))
    play = contested(FEDERATION, histories={ME: history}, policy={"differencing": False})
    assert play.until("consent").regions[ME].on_survivors(play.server.survivors())


def consents_with(parcel: bytes, name: str, *, by: str, **changes: object) -> bytes:
    """Return the consents with this region's changed, signed by a name."""
    read = Parcel.from_bytes(parcel)
    items = []
    for data in read.items:
        consent = Consent.from_bytes(data)
        if consent.uid == UID[name]:
            changed = replace(consent, **changes)  # type: ignore[arg-type]
            data = changed.signed_by(identity(by)).to_bytes()
        items.append(data)
    return replace(read, items=tuple(items)).to_bytes()


def consents_without(parcel: bytes, name: str) -> bytes:
    read = Parcel.from_bytes(parcel)
    kept = [data for data in read.items if Consent.from_bytes(data).uid != UID[name]]
    return replace(read, items=tuple(kept)).to_bytes()


CONSENTS: list[tuple[str, Attack, AbortCode, bytes | None]] = [
    (
        "another_roster",
        lambda data: consents_with(data, PEER, by=PEER, roster_hash=b"\x0d" * 32),
        AbortCode.ROSTER_MISMATCH,
        None,
    ),
    (
        "another_list",
        lambda data: consents_with(data, PEER, by=PEER, survivors_hash=b"\x0d" * 32),
        AbortCode.BAD_SURVIVORS,
        UID[PEER],
    ),
    (
        "a_stranger",
        lambda data: consents_with(data, PEER, by="outsider", uid=STRANGER),
        AbortCode.BAD_SURVIVORS,
        STRANGER,
    ),
    (
        "one_region_twice",
        lambda data: consents_with(data, LAST, by=PEER, uid=UID[PEER]),
        AbortCode.BAD_SURVIVORS,
        UID[PEER],
    ),
    (
        "another_signer",
        lambda data: consents_with(data, PEER, by=LAST),
        AbortCode.BAD_SIGNATURE,
        UID[PEER],
    ),
    ("not_mine", lambda data: consents_without(data, ME), AbortCode.BAD_SURVIVORS, None),
    ("too_few", lambda data: consents_without(data, PEER), AbortCode.TOO_FEW_CONSENTS, None),
    (
        "garbage",
        lambda data: replace(Parcel.from_bytes(data), items=(b"FSA1",)).to_bytes(),
        AbortCode.MALFORMED,
        None,
    ),
]


@pytest.mark.parametrize(
    ("attack", "code", "blamed"), [row[1:] for row in CONSENTS], ids=[row[0] for row in CONSENTS]
)
def test_no_share_leaves_without_the_consents_of_all_to_one_list(
    attack: Attack, code: AbortCode, blamed: bytes | None
) -> None:
    """Distinct survivors, one of them the region itself, each with a signature of its own."""
    refuses(attack, "unmask", code, blamed)
