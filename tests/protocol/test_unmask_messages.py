from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import MalformedMessageError
from protocol.identity import SERVER_UID
from protocol.messages import Checkpoint
from protocol.unmask_messages import RevealedShare, Survivors, Unmask
from protocol.wire import MAX_REGIONS
from tests.protocol.builders import identity
from tests.protocol.samples import samples

SURVIVORS = cast(Survivors, samples()["survivors"].value)  # the type is what the sample is named
UNMASK = cast(Unmask, samples()["unmask"].value)
UIDS, NOTES = SURVIVORS.survivors, SURVIVORS.checkpoints
OWN, ESCROW = UNMASK.self_shares, UNMASK.escrow_shares
OTHERS = tuple(i.to_bytes(16, "big") for i in range(MAX_REGIONS + 1))

# (message, a field out of its limits)
TABLE: list[tuple[str, dict[str, Any]]] = [
    ("survivors", {"roster_hash": b"r" * 31}),
    ("survivors", {"uid": UIDS[0]}),  # only the server makes such a list
    ("survivors", {"uid": b""}),
    ("survivors", {"survivors": UIDS[::-1]}),
    ("survivors", {"survivors": (UIDS[0], *UIDS)}),
    ("survivors", {"survivors": UIDS[1:]}),  # the first one's checkpoint is a stranger's then
    ("survivors", {"survivors": OTHERS, "checkpoints": ()}),
    ("survivors", {"checkpoints": NOTES[::-1]}),
    ("survivors", {"checkpoints": (NOTES[0], NOTES[0])}),
    ("survivors", {"checkpoints": (Checkpoint(b"\xff" * 16, b"n"),)}),
    ("survivors", {"signature": b"s" * 63}),
    ("consent", {"roster_hash": b"r" * 33}),
    ("consent", {"uid": b"u"}),
    ("consent", {"survivors_hash": b""}),
    ("consent", {"signature": b""}),
    ("unmask", {"roster_hash": b""}),
    ("unmask", {"uid": b"u" * 17}),
    ("unmask", {"survivors_hash": b"h" * 31}),
    ("unmask", {"self_shares": OWN[::-1]}),
    ("unmask", {"self_shares": (OWN[0], OWN[0])}),
    ("unmask", {"escrow_shares": (ESCROW[0], ESCROW[0])}),
    ("unmask", {"escrow_shares": (OWN[0],)}),  # both secrets of one region
    ("unmask", {"escrow_shares": (replace(ESCROW[0], dealer=OWN[2].dealer),)}),
    ("unmask", {"signature": b"s" * 65}),
    ("receipt", {"context": b"c" * 31}),
    ("receipt", {"uid": b""}),
    ("receipt", {"transcript_hash": b"t" * 33}),
    ("receipt", {"signature": b""}),
    ("transcript", {"consents": (b"",) * (MAX_REGIONS + 1)}),
]


@pytest.mark.parametrize(("name", "change"), TABLE)
def test_a_message_out_of_its_limits_is_refused(name: str, change: dict[str, Any]) -> None:
    """Lengths, order and counts hold for what is written as for what is read."""
    value: Any = samples()[name].value
    with pytest.raises(MalformedMessageError):
        replace(value, **change)


@pytest.mark.parametrize(
    "change", [{"dealer": b"d" * 15}, {"share": b"s" * 31}, {"salt": b"s" * 33}]
)
def test_a_share_out_of_its_limits_is_refused(change: dict[str, bytes]) -> None:
    """16, 32 and 32 bytes."""
    with pytest.raises(MalformedMessageError):
        replace(OWN[0], **change)


def test_the_sample_reveals_one_kind_for_each_region() -> None:
    """Of each of four survivors its own mask's share, of the lost one its escrow's."""
    assert tuple(share.dealer for share in OWN) == UIDS
    assert len(UIDS) == 4
    assert {share.dealer for share in ESCROW}.isdisjoint(UIDS)
    assert len(ESCROW) == 1


def test_the_hash_of_a_list_covers_roster_survivors_and_checkpoints() -> None:
    """A consent is to all of them; to the server's signature it is not."""
    fewer = replace(SURVIVORS, survivors=UIDS[1:], checkpoints=NOTES[1:])
    noted = replace(SURVIVORS, checkpoints=(Checkpoint(UIDS[0], b"another"), *NOTES[1:]))
    lists = [
        SURVIVORS,
        fewer,
        noted,
        replace(SURVIVORS, checkpoints=NOTES[1:]),
        replace(SURVIVORS, roster_hash=b"\x55" * 32),
    ]
    assert len({one.hash() for one in lists}) == len(lists)
    assert SURVIVORS.signed_by(identity("outsider")).hash() == SURVIVORS.hash()


def test_a_list_of_another_signer_cannot_be_read() -> None:
    """The server's uid is not on the wire: whoever signs, it is read as the server's."""
    assert Survivors.from_bytes(SURVIVORS.to_bytes()).uid == SERVER_UID


def test_no_revealed_share_shows_in_a_repr() -> None:
    """A share that is on its way to the server does not end in a log."""
    shown = repr(UNMASK)
    for share in OWN + ESCROW:
        for secret in share.share, share.salt:
            assert secret.hex() not in shown
            assert repr(secret)[2:-1] not in shown


@given(
    uids=st.frozensets(st.binary(min_size=16, max_size=16), min_size=1, max_size=6),
    data=st.data(),
)
def test_any_list_and_any_shares_survive_the_wire(
    uids: frozenset[bytes], data: st.DataObject
) -> None:
    """What was written is read, with or without checkpoints, however the kinds are divided."""
    noted = data.draw(st.frozensets(st.sampled_from(sorted(uids))))
    survivors = Survivors(
        roster_hash=b"r" * 32,
        survivors=tuple(sorted(uids)),
        checkpoints=tuple(Checkpoint(uid, uid + b"note") for uid in sorted(noted)),
    )
    assert Survivors.from_bytes(survivors.to_bytes()) == survivors
    unmask = Unmask(
        roster_hash=b"r" * 32,
        uid=b"u" * 16,
        survivors_hash=survivors.hash(),
        self_shares=tuple(RevealedShare(uid, uid * 2, uid * 2) for uid in sorted(noted)),
        escrow_shares=tuple(RevealedShare(uid, uid * 2, uid * 2) for uid in sorted(uids - noted)),
    )
    assert Unmask.from_bytes(unmask.to_bytes()) == unmask
