from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeAlias

import pytest

from protocol.coordinator import CoordinatorRound
from protocol.coordinator_checks import mutual
from protocol.errors import AbortCode, ProtocolError
from protocol.identity import region_uid
from protocol.messages import Advertise, Masked
from protocol.share_messages import Accepted, Encaps, Parcel, Shares
from protocol.unmask_messages import Consent, Unmask
from protocol.wire import CHUNK_BYTES
from tests.protocol.attacks import Contested, aborting, blamed, contested, resigned
from tests.protocol.builders import STAGES, Federation, identity

FEDERATION = Federation(4)
LOST, ME, PEER, LAST = FEDERATION.names
UID = dict(zip(FEDERATION.names, FEDERATION.uids, strict=True))
STRANGER = b"\xff" * 16  # above every region, as the recipient of R1 must be
OUTSIDER = region_uid("outsider")

Change: TypeAlias = Callable[[Contested, Any], Any]

READERS: dict[str, Callable[[bytes], Any]] = {
    "advertise": Advertise.from_bytes,
    "key": Parcel.from_bytes,
    "deal": Shares.from_bytes,
    "accept": Accepted.from_bytes,
    "mask": Masked.from_bytes,
    "consent": Consent.from_bytes,
    "unmask": Unmask.from_bytes,
}


def changed(by: str = ME, **changes: Any) -> Change:
    """The sender, or whoever signs in its place, says something else."""
    return lambda play, message: resigned(message, by, **changes)


def unsigned(**changes: Any) -> Change:
    """Somebody on the way changes the message."""
    return lambda play, message: replace(message, **changes)


def repeats_a_key(field: str) -> Change:
    def change(play: Contested, message: Advertise) -> Advertise:
        first = next(iter(play.server._adverts.values()))
        return resigned(message, ME, **{field: getattr(first, field)})

    return change


def with_ciphertext(by: str = ME, **changes: Any) -> Change:
    """One of the ciphertexts is another."""

    def change(play: Contested, message: Parcel) -> Parcel:
        item = resigned(Encaps.from_bytes(message.items[0]), by, **changes)
        return replace(message, items=(item.to_bytes(), *message.items[1:]))

    return change


def with_a_ciphertext_of_another(play: Contested, message: Parcel) -> Parcel:
    """A genuine one, in the wrong parcel."""
    parcel = Parcel.from_bytes(play.answer("key", play.regions[PEER], play.server.roster()))
    return replace(message, items=parcel.items)


def with_a_ciphertext_twice(play: Contested, message: Parcel) -> Parcel:
    return replace(message, items=(*message.items, message.items[0]))


def without_a_ciphertext(play: Contested, message: Parcel) -> Parcel:
    return replace(message, items=message.items[1:])


def with_an_empty_ciphertext(play: Contested, message: Parcel) -> Parcel:
    empty = resigned(Encaps.from_bytes(message.items[0]), ME, ciphertext=b"").to_bytes()
    return replace(message, items=(empty, *message.items[1:]))


def with_garbage(play: Contested, message: Parcel) -> Parcel:
    return replace(message, items=(b"FSA1",))


def of_another_roster(play: Contested, message: Shares) -> Shares:
    dealings = tuple(
        resigned(dealing, ME, roster_hash=b"\x0d" * 32) for dealing in message.dealings
    )
    return resigned(message, ME, roster_hash=b"\x0d" * 32, dealings=dealings)


def with_dealings(keep: int, recipient: bytes | None = None) -> Change:
    """It deals to so many peers, the last of them another one."""

    def change(play: Contested, message: Shares) -> Shares:
        dealings = list(message.dealings[:keep])
        if recipient is not None:
            dealings[-1] = resigned(dealings[-1], ME, recipient=recipient)
        return resigned(
            message, ME, dealings=tuple(dealings), escrow=bytes(32 * len(dealings) + 16)
        )

    return change


def by_a_stranger(play: Contested, message: Shares) -> Shares:
    dealings = tuple(resigned(dealing, "outsider", uid=OUTSIDER) for dealing in message.dealings)
    return resigned(message, "outsider", uid=OUTSIDER, dealings=dealings)


def with_shares(change: Callable[[Unmask], dict[str, Any]]) -> Change:
    return lambda play, message: resigned(message, ME, **change(message))


def with_a_wrong_share(message: Unmask) -> dict[str, Any]:
    first, *others = message.self_shares
    return {"self_shares": (replace(first, share=bytes(32)), *others)}


def with_a_wrong_salt(message: Unmask) -> dict[str, Any]:
    (only,) = message.escrow_shares
    return {"escrow_shares": (replace(only, salt=bytes(32)),)}


def with_its_own_share_wrong(message: Unmask) -> dict[str, Any]:
    return {
        "self_shares": tuple(
            replace(share, share=bytes(32)) if share.dealer == message.uid else share
            for share in message.self_shares
        )
    }


def with_one_share_less(message: Unmask) -> dict[str, Any]:
    return {"self_shares": message.self_shares[1:]}


def with_the_kinds_swapped(message: Unmask) -> dict[str, Any]:
    return {"self_shares": message.escrow_shares, "escrow_shares": message.self_shares}


ROWS: list[tuple[str, str, Change, AbortCode, bytes | None]] = [
    ("advertise", "round", changed(context=b"\x0c" * 32), AbortCode.WRONG_CONTEXT, UID[ME]),
    ("advertise", "sybil", changed(uid=STRANGER), AbortCode.UNKNOWN_REGION, STRANGER),
    (
        "advertise",
        "outsider",
        changed("outsider", uid=OUTSIDER),
        AbortCode.UNKNOWN_REGION,
        OUTSIDER,
    ),
    ("advertise", "no_kem_key", changed(kem_key=b""), AbortCode.MALFORMED, UID[ME]),
    ("advertise", "signer", changed(PEER), AbortCode.BAD_SIGNATURE, UID[ME]),
    ("advertise", "twin", repeats_a_key("x25519_key"), AbortCode.DUPLICATE_KEYS, UID[ME]),
    ("advertise", "kem_twin", repeats_a_key("kem_key"), AbortCode.DUPLICATE_KEYS, UID[ME]),
    ("key", "roster", unsigned(roster_hash=b"\x0d" * 32), AbortCode.ROSTER_MISMATCH, UID[ME]),
    ("key", "stranger", unsigned(uid=STRANGER), AbortCode.UNKNOWN_REGION, STRANGER),
    (
        "key",
        "roster_inside",
        with_ciphertext(roster_hash=b"\x0d" * 32),
        AbortCode.ROSTER_MISMATCH,
        UID[ME],
    ),
    ("key", "signer", with_ciphertext(PEER), AbortCode.BAD_SIGNATURE, UID[ME]),
    (
        "key",
        "recipient",
        with_ciphertext(recipient=STRANGER),
        AbortCode.UNKNOWN_REGION,
        UID[ME],
    ),
    ("key", "of_another", with_a_ciphertext_of_another, AbortCode.UNKNOWN_REGION, UID[ME]),
    ("key", "twice", with_a_ciphertext_twice, AbortCode.UNKNOWN_REGION, UID[ME]),
    ("key", "one_less", without_a_ciphertext, AbortCode.UNKNOWN_REGION, UID[ME]),
    ("key", "empty", with_an_empty_ciphertext, AbortCode.MALFORMED, UID[ME]),
    ("key", "garbage", with_garbage, AbortCode.MALFORMED, None),
    ("deal", "roster", of_another_roster, AbortCode.ROSTER_MISMATCH, UID[ME]),
    ("deal", "stranger", by_a_stranger, AbortCode.UNKNOWN_REGION, OUTSIDER),
    ("deal", "signer", changed(PEER), AbortCode.BAD_SIGNATURE, UID[ME]),
    ("deal", "recipient", with_dealings(3, STRANGER), AbortCode.UNKNOWN_REGION, UID[ME]),
    ("deal", "too_few", with_dealings(1), AbortCode.TOO_FEW_SHARES, UID[ME]),
    ("accept", "roster", changed(roster_hash=b"\x0d" * 32), AbortCode.ROSTER_MISMATCH, UID[ME]),
    (
        "accept",
        "stranger",
        changed("outsider", uid=OUTSIDER),
        AbortCode.UNKNOWN_REGION,
        OUTSIDER,
    ),
    ("accept", "signer", changed(PEER), AbortCode.BAD_SIGNATURE, UID[ME]),
    ("accept", "peer", changed(peers=(STRANGER,)), AbortCode.UNKNOWN_REGION, UID[ME]),
    ("mask", "round", changed(context=b"\x0c" * 32), AbortCode.WRONG_CONTEXT, UID[ME]),
    ("mask", "sybil", changed(uid=STRANGER), AbortCode.UNKNOWN_REGION, STRANGER),
    (
        "mask",
        "size",
        changed(size_bytes=24, chunk_hashes=(bytes(32),)),
        AbortCode.BAD_LENGTH,
        UID[ME],
    ),
    ("mask", "base", changed(base=(UID[PEER], UID[LAST])), AbortCode.BAD_BASE, UID[ME]),
    ("mask", "signer", changed(PEER), AbortCode.BAD_SIGNATURE, UID[ME]),
    ("consent", "roster", changed(roster_hash=b"\x0d" * 32), AbortCode.ROSTER_MISMATCH, UID[ME]),
    ("consent", "lost", changed(LOST, uid=UID[LOST]), AbortCode.UNKNOWN_REGION, UID[LOST]),
    ("consent", "signer", changed(PEER), AbortCode.BAD_SIGNATURE, UID[ME]),
    ("consent", "list", changed(survivors_hash=bytes(32)), AbortCode.BAD_SURVIVORS, UID[ME]),
    ("unmask", "roster", changed(roster_hash=b"\x0d" * 32), AbortCode.ROSTER_MISMATCH, UID[ME]),
    ("unmask", "lost", changed(LOST, uid=UID[LOST]), AbortCode.UNKNOWN_REGION, UID[LOST]),
    ("unmask", "signer", changed(PEER), AbortCode.BAD_SIGNATURE, UID[ME]),
    ("unmask", "list", changed(survivors_hash=bytes(32)), AbortCode.BAD_SURVIVORS, UID[ME]),
    ("unmask", "share", with_shares(with_a_wrong_share), AbortCode.BAD_SHARE, UID[ME]),
    ("unmask", "salt", with_shares(with_a_wrong_salt), AbortCode.BAD_SHARE, UID[ME]),
    ("unmask", "own", with_shares(with_its_own_share_wrong), AbortCode.BAD_SHARE, UID[ME]),
    ("unmask", "less", with_shares(with_one_share_less), AbortCode.BAD_SHARE, UID[ME]),
    ("unmask", "swapped", with_shares(with_the_kinds_swapped), AbortCode.BAD_SHARE, UID[ME]),
]


@pytest.mark.parametrize("stage", STAGES)
def test_a_faulty_message_is_refused_and_changes_nothing(stage: str) -> None:
    """Its sender is named; the honest message is still welcome, and the sum is the plain one.

    The first region is lost after it accepted, so that both kinds of shares are revealed.
    """
    play = contested(FEDERATION)
    for earlier in STAGES[: STAGES.index(stage)]:
        _lose_the_first(play, earlier)
        play.exchange(earlier)
    _lose_the_first(play, stage)
    region = play.regions[ME]
    if stage == "advertise":
        play.take(stage, play.answer(stage, play.regions[LAST], play.asked(stage, region)))
    sent = play.answer(stage, region, play.asked(stage, region))
    message = READERS[stage](sent[0] if stage == "mask" else sent)
    refused = {}
    for name, change in [row[1:3] for row in ROWS if row[0] == stage]:
        lie = change(play, message).to_bytes()
        with pytest.raises(ProtocolError) as caught:
            play.take(stage, (lie, sent[1]) if stage == "mask" else lie)
        refused[name] = (caught.value.code, blamed(caught.value))
    assert refused == {row[1]: row[3:] for row in ROWS if row[0] == stage}
    if stage == "key":
        return  # one of the lies used up the honest peer
    play.take(stage, sent)
    there = play.regions
    play.regions = {
        name: one
        for name, one in there.items()
        if name != ME and not (stage == "advertise" and name == LAST)
    }
    play.exchange(stage)
    play.regions = dict(there)
    for later in STAGES[STAGES.index(stage) + 1 :]:
        _lose_the_first(play, later)
        play.exchange(later)
    assert [int(word) for word in play.server.close().words] == play.sum_over(ME, PEER, LAST)


def _lose_the_first(play: Contested, stage: str) -> None:
    if stage == "mask":
        play.server.members()
        play.lose(LOST)


CHUNKS: list[tuple[str, Callable[[list[bytes]], list[bytes]], AbortCode]] = [
    ("none", lambda chunks: [], AbortCode.BAD_LENGTH),
    ("one_more", lambda chunks: [*chunks, b""], AbortCode.BAD_LENGTH),
    ("short", lambda chunks: [chunks[0], chunks[1][:-4]], AbortCode.BAD_LENGTH),
    (
        "cut_elsewhere",
        lambda chunks: [chunks[0][:-4], chunks[0][-4:] + chunks[1]],
        AbortCode.BAD_LENGTH,
    ),
    ("other_bytes", lambda chunks: [chunks[0], bytes(len(chunks[1]))], AbortCode.BAD_DIGEST),
    ("swapped", lambda chunks: [bytes(len(chunks[0])), chunks[1]], AbortCode.BAD_DIGEST),
]


def test_a_vector_is_added_as_a_whole_or_not_at_all() -> None:
    """Chunks that are not those that were signed leave the sum as it was."""
    federation = Federation(3, dim=CHUNK_BYTES // 4 + 2)
    play = contested(federation).until("mask")
    play.server.members()
    name = federation.names[0]
    region = play.regions[name]
    masked, chunks = play.answer("mask", region, play.server.members())
    assert [len(chunk) for chunk in chunks] == [CHUNK_BYTES, 8]
    for _, change, code in CHUNKS:
        with aborting(code, region.uid):
            play.server.on_masked(masked, change([bytes(chunk) for chunk in chunks]))
        assert not play.server._sum.any()
    play.server.on_masked(masked, chunks)
    assert play.server._sum.tobytes() == b"".join(chunks)


@pytest.mark.parametrize("size_bytes", [16, 24])
def test_a_vector_of_another_size_is_not_added(size_bytes: int) -> None:
    """Also if its message, its hashes and its signature agree with it."""
    play = contested(FEDERATION).until("mask")
    region, members = play.regions[ME], play.server.members()
    message = Masked.from_bytes(play.answer("mask", region, members)[0])
    chunk = bytes(size_bytes)
    digest = hashlib.sha256(chunk).digest()
    other = resigned(message, ME, size_bytes=size_bytes, chunk_hashes=(digest,))
    with aborting(AbortCode.BAD_LENGTH, UID[ME]):
        play.server.on_masked(other.to_bytes(), [chunk])
    assert not play.server._masked


def test_a_region_that_is_no_member_cannot_send_a_vector() -> None:
    """Also if it is in the cohort, and its base is the others."""
    play = contested(FEDERATION).until("accept")
    play.lose(LOST).accept()
    play.mask()
    message = Masked.from_bytes(play.masked[ME][0])
    stranger = resigned(message, LOST, uid=UID[LOST], base=FEDERATION.uids[1:])
    play.server._masked.clear()
    with aborting(AbortCode.BAD_BASE, UID[LOST]):
        play.server.on_masked(stranger.to_bytes(), play.masked[ME][1])
    assert not play.server._masked


OWN: list[tuple[str, dict[str, Any], AbortCode]] = [
    ("registry", {"registry_hash": b"r" * 32}, AbortCode.REGISTRY_MISMATCH),
    (
        "encoding",
        {"encoding": replace(FEDERATION.encoding, qmax=2**30)},
        AbortCode.BAD_ENCODING,
    ),
    ("threshold", {"threshold": 2}, AbortCode.BAD_THRESHOLD),
    ("noise", {"noise_sigma": 2.0}, AbortCode.BAD_NOISE),
    ("cohort", {"cohort": (*FEDERATION.uids[:3], STRANGER)}, AbortCode.UNKNOWN_REGION),
]


@pytest.mark.parametrize(("change", "code"), [row[1:] for row in OWN], ids=[row[0] for row in OWN])
def test_the_server_does_not_sign_what_regions_refuse(
    change: dict[str, Any], code: AbortCode
) -> None:
    """An operator's mistake shows before anything is sent."""
    with aborting(code, STRANGER if code is AbortCode.UNKNOWN_REGION else None):
        FEDERATION.coordinator(**change)


def test_the_server_signs_with_the_registered_key() -> None:
    """Another key is an operator's mistake."""
    with aborting(AbortCode.REGISTRY_MISMATCH):
        CoordinatorRound(
            config=FEDERATION.config,
            server_identity=identity(ME),
            registry=FEDERATION.registry,
        )


A, B, C, D, E = (bytes([letter]) * 16 for letter in range(1, 6))

GRAPHS = [
    ("nobody", {}, ""),
    ("two_that_never_met", {A: "", B: ""}, "B"),
    ("all", {A: "BCDE", B: "ACDE", C: "ABDE", D: "ABCE", E: "ABCD"}, "ABCDE"),
    ("one_dispute", {A: "CDE", B: "ACDE", C: "ABDE", D: "ABCE", E: "ABCD"}, "BCDE"),
    ("refused_by_two", {A: "BCDE", B: "ACD", C: "ABD", D: "ABCE", E: "ABCD"}, "ABCD"),
    ("refuses_all", {A: "", B: "ACDE", C: "ABDE", D: "ABCE", E: "ABCD"}, "BCDE"),
    ("two_camps", {A: "BC", B: "AC", C: "AB", D: "E", E: "D"}, "ABC"),
]


@pytest.mark.parametrize(
    ("graph", "expected"), [row[1:] for row in GRAPHS], ids=[row[0] for row in GRAPHS]
)
def test_members_all_accept_each_other(graph: dict[bytes, str], expected: str) -> None:
    """Whoever quarrels with most leaves first, so that the others keep each other."""
    letters = dict(zip("ABCDE", (A, B, C, D, E), strict=True))
    accepted = {one: frozenset(letters[other] for other in each) for one, each in graph.items()}
    members = mutual(accepted)
    assert members == tuple(letters[one] for one in expected)
    assert all(other in accepted[one] for one in members for other in members if one != other)
