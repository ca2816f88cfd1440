"""What anybody can check of a finished round, and that nothing in it can be exchanged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from protocol.config import Kem, Recovery, RoundConfig, SignedConfig
from protocol.errors import AbortCode, AbortError, MalformedMessageError
from protocol.identity import region_uid
from protocol.masks import words_from_bytes
from protocol.messages import Advertise, Roster
from protocol.outcome import Outcome
from protocol.transcript import PublishedSum, Receipt, Transcript, transcript_hash
from protocol.unmask_messages import Consent, Survivors
from tests.protocol.builders import Federation, identity, registry_of

FEDERATION = Federation(5, kem=Kem.X25519)
NAMES, LOST = FEDERATION.names, FEDERATION.names[1]
CONFIG, REGISTRY = FEDERATION.config, FEDERATION.registry
SERVER = identity("server")


@cache
def published(**changes: Any) -> PublishedSum:
    """Return the sum of a round in which one region was lost after it dealt its shares."""
    play = FEDERATION.play(**changes)
    play.until("mask").lose(LOST)
    for stage in "mask", "consent", "unmask":
        getattr(play, stage)()
    return play.server.close()


GOOD = published().transcript
OTHER = published(attempt=1).transcript
ROSTER = Roster.from_bytes(GOOD.roster)
LIST = Survivors.from_bytes(GOOD.survivors)


def signed(**changes: Any) -> dict[str, bytes]:
    """Return a configuration that the server signed, changed."""
    config: RoundConfig = replace(CONFIG, **changes)
    return {"signed_config": SignedConfig.sign(config, SERVER).to_bytes()}


def adverts(*made: Advertise) -> dict[str, bytes]:
    """Return the roster of these and no others."""
    return {"roster": Roster(CONFIG.context(), made).to_bytes()}


def consents(survivors: Survivors, names: Sequence[str]) -> tuple[bytes, ...]:
    """Return the consents of these regions to a list."""
    return tuple(
        Consent(
            roster_hash=survivors.roster_hash,
            uid=region_uid(name),
            survivors_hash=survivors.hash(),
        )
        .signed_by(identity(name))
        .to_bytes()
        for name in names
    )


def of(*names: str, agreed: Sequence[str] | None = None) -> dict[str, Any]:
    """Return a list of these survivors, signed by the server, with consents and sum."""
    uids = tuple(sorted(map(region_uid, names)))
    survivors = Survivors(roster_hash=ROSTER.hash(), survivors=uids).signed_by(SERVER)
    return {
        "survivors": survivors.to_bytes(),
        "consents": consents(survivors, names if agreed is None else agreed),
        "outcome": summed(survivors=uids),
    }


def summed(**changes: Any) -> bytes:
    """Return the outcome, changed and signed by the server."""
    return replace(Outcome.from_bytes(GOOD.outcome), **changes).signed_by(SERVER).to_bytes()


def without_signature(data: bytes) -> bytes:
    return data[:-64] + bytes(64)


FIRST, *REST = ROSTER.adverts
SURVIVING = tuple(name for name in NAMES if name != LOST)
REAL = GOOD.consents

# (what is exchanged, the parts, what the check says)
TABLE: list[tuple[str, dict[str, Any], AbortCode]] = [
    ("another attempt", {"signed_config": OTHER.signed_config}, AbortCode.WRONG_CONTEXT),
    ("the roster of another attempt", {"roster": OTHER.roster}, AbortCode.WRONG_CONTEXT),
    (
        "a roster of another round without anybody",
        {"roster": Roster(bytes(32), ()).to_bytes()},
        AbortCode.WRONG_CONTEXT,
    ),
    ("the list of another attempt", {"survivors": OTHER.survivors}, AbortCode.BAD_TRANSCRIPT),
    ("consents of another attempt", {"consents": OTHER.consents}, AbortCode.ROSTER_MISMATCH),
    (
        "one consent of another attempt",
        {"consents": (*REAL[:3], OTHER.consents[3])},
        AbortCode.ROSTER_MISMATCH,
    ),
    ("the sum of another attempt", {"outcome": OTHER.outcome}, AbortCode.WRONG_CONTEXT),
    ("no consent", {"consents": ()}, AbortCode.TOO_FEW_CONSENTS),
    ("a consent less", {"consents": REAL[:3]}, AbortCode.TOO_FEW_CONSENTS),
    ("one consent twice", {"consents": (*REAL[:3], REAL[0])}, AbortCode.BAD_SURVIVORS),
    ("one consent more than once", {"consents": (*REAL, REAL[0])}, AbortCode.BAD_SURVIVORS),
    (
        "the consent of a region that was lost",
        {"consents": (*REAL, *consents(LIST, [LOST]))},
        AbortCode.BAD_SURVIVORS,
    ),
    (
        "a stranger's consent",
        {"consents": (*REAL[:3], *consents(LIST, ["outsider"]))},
        AbortCode.BAD_SURVIVORS,
    ),
    (
        "a consent to another list",
        {"consents": (*REAL[:3], of(*NAMES)["consents"][-1])},
        AbortCode.BAD_SURVIVORS,
    ),
    (
        "an unsigned consent",
        {"consents": (*REAL[:3], without_signature(REAL[3]))},
        AbortCode.BAD_SIGNATURE,
    ),
    ("survivors below the minimum", of(*SURVIVING[:3]), AbortCode.BAD_TRANSCRIPT),
    ("nobody", of(), AbortCode.BAD_TRANSCRIPT),
    ("a stranger among the survivors", of(*SURVIVING, "outsider"), AbortCode.BAD_TRANSCRIPT),
    (
        "more survivors than consented",
        of(*NAMES, agreed=SURVIVING),
        AbortCode.TOO_FEW_CONSENTS,
    ),
    (
        "a sum over others than consented",
        {"outcome": summed(survivors=CONFIG.cohort)},
        AbortCode.BAD_TRANSCRIPT,
    ),
    (
        "a server that did not sign the round",
        {"signed_config": without_signature(GOOD.signed_config)},
        AbortCode.BAD_SIGNATURE,
    ),
    (
        "a server that did not sign the list",
        {"survivors": without_signature(GOOD.survivors)},
        AbortCode.BAD_SIGNATURE,
    ),
    (
        "a server that did not sign the sum",
        {"outcome": without_signature(GOOD.outcome)},
        AbortCode.BAD_SIGNATURE,
    ),
    (
        "a list that a region signed",
        {"survivors": LIST.signed_by(identity(NAMES[0])).to_bytes()},
        AbortCode.BAD_SIGNATURE,
    ),
    (
        "a key that nobody signed",
        adverts(replace(FIRST, x25519_key=b"\x05" * 32), *REST),
        AbortCode.BAD_SIGNATURE,
    ),
    (
        "a key of a region that is not in the round",
        adverts(
            *sorted(
                (
                    *ROSTER.adverts,
                    replace(FIRST, uid=region_uid("outsider")).signed_by(identity("outsider")),
                ),
                key=lambda advert: advert.uid,
            )
        ),
        AbortCode.UNKNOWN_REGION,
    ),
    (
        "a KEM key that the round has no use for",
        adverts(replace(FIRST, kem_key=bytes(1184)).signed_by(identity(NAMES[0])), *REST),
        AbortCode.MALFORMED,
    ),
    ("a roster without one of the keys", adverts(*ROSTER.adverts[:4]), AbortCode.BAD_TRANSCRIPT),
    ("a round of another registry", signed(registry_hash=bytes(32)), AbortCode.REGISTRY_MISMATCH),
    ("a threshold of one", signed(threshold=1), AbortCode.BAD_THRESHOLD),
    ("survivors of one", signed(min_survivors=1), AbortCode.BAD_THRESHOLD),
    ("a round without recovery", signed(recovery=Recovery.NONE), AbortCode.UNSUPPORTED),
    ("distributed noise", signed(noise_sigma=3.0), AbortCode.BAD_NOISE),
]


@pytest.mark.parametrize(("parts", "code"), [r[1:] for r in TABLE], ids=[r[0] for r in TABLE])
def test_a_transcript_with_another_part_is_refused(parts: dict[str, Any], code: AbortCode) -> None:
    """No part of it can be exchanged, left out or repeated."""
    with pytest.raises(AbortError) as caught:
        replace(GOOD, **parts).check(REGISTRY)
    assert caught.value.code is code


@pytest.mark.parametrize("change", [{}, {"attempt": 1}, {"round_": 9}], ids=str)
def test_an_honest_transcript_shows_the_round_and_its_sum(change: dict[str, Any]) -> None:
    """The table's rows fail for what they change."""
    made = published(**change)
    checked = Transcript.from_bytes(made.transcript.to_bytes()).check(REGISTRY)
    assert checked.config == replace(CONFIG, **change)
    assert checked.outcome == made.outcome
    assert checked.outcome.survivors == tuple(map(region_uid, SURVIVING))


def test_another_list_is_fine_where_everybody_on_it_agreed() -> None:
    """The builder of the table's lists makes good ones, too."""
    checked = replace(GOOD, **of(*SURVIVING)).check(REGISTRY)
    assert checked.outcome.survivors == tuple(map(region_uid, SURVIVING))


def test_another_registry_is_another_round() -> None:
    """An auditor who holds another registry sees that first."""
    with pytest.raises(AbortError, match="registry_mismatch"):
        GOOD.check(registry_of(("avonlea", "brindle")))


@pytest.mark.parametrize("part", ["signed_config", "roster", "survivors", "outcome", "consents"])
def test_a_part_that_cannot_be_read_is_malformed(part: str) -> None:
    """What is inside is read by the check, and by nobody before it."""
    honest = REAL[0] if part == "consents" else getattr(GOOD, part)
    for data in b"", honest[:-1], honest + b"\0", GOOD.to_bytes()[:1000]:
        parts: dict[str, Any] = {part: (data,) if part == "consents" else data}
        again = Transcript.from_bytes(replace(GOOD, **parts).to_bytes())
        with pytest.raises(MalformedMessageError):
            again.check(REGISTRY)


def test_the_words_follow_in_chunks() -> None:
    """What the regions get beside the transcript is the sum that it is about."""
    made = published()
    data = b"".join(made.chunks())
    assert (words_from_bytes(data, CONFIG.encoding.bits) == made.words).all()
    assert Outcome.of(made.words, context=CONFIG.context(), survivors=()).sum_sha256 == (
        made.outcome.sum_sha256
    )


def test_a_receipt_is_for_one_transcript() -> None:
    """Every byte of it is under the region's signature."""
    data = GOOD.to_bytes()
    other = replace(GOOD, consents=REAL[::-1]).to_bytes()
    assert len({transcript_hash(data), transcript_hash(other), transcript_hash(data[:-1])}) == 3
    receipt = Receipt(
        context=CONFIG.context(),
        uid=region_uid(NAMES[0]),
        transcript_hash=transcript_hash(data),
    ).signed_by(identity(NAMES[0]))
    receipt.verify(identity(NAMES[0]).public_bytes())
    with pytest.raises(AbortError, match="bad_signature"):
        replace(receipt, transcript_hash=transcript_hash(other)).verify(
            identity(NAMES[0]).public_bytes()
        )
