from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import sealing
from protocol.errors import AbortCode, AbortError
from protocol.sealing import DealtShares
from protocol.share_messages import BOX_BYTES
from protocol.unmask_messages import RevealedShare

DEALER, HOLDER, OTHER = b"\x01" * 16, b"\x02" * 16, b"\x03" * 16
ROSTER, KEY, SECRET = b"\x07" * 32, b"\x08" * 32, b"\x09" * 32
OWN = RevealedShare(DEALER, b"\x0a" * 32, b"\x0b" * 32)
ESCROW = RevealedShare(DEALER, b"\x0c" * 32, b"\x0d" * 32)
DEALT = DealtShares(OWN, ESCROW)
BOX = sealing.seal_shares(KEY, DEALT, roster_hash=ROSTER, holder=HOLDER)
SEEDS = tuple(bytes([i]) * 32 for i in range(4))
SEALED = sealing.seal_escrow(SECRET, SEEDS, roster_hash=ROSTER, dealer=DEALER)


def opened(box: bytes = BOX, **changes: Any) -> DealtShares:
    arguments: dict[str, Any] = {
        "key": KEY,
        "roster_hash": ROSTER,
        "dealer": DEALER,
        "holder": HOLDER,
    } | changes
    return sealing.open_shares(arguments.pop("key"), box, **arguments)


def escrowed(escrow: bytes = SEALED, **changes: Any) -> tuple[bytes, ...]:
    arguments: dict[str, Any] = {"secret": SECRET, "roster_hash": ROSTER, "dealer": DEALER}
    arguments |= changes
    return sealing.open_escrow(arguments.pop("secret"), escrow, **arguments)


def test_a_box_holds_both_shares() -> None:
    """What was sealed is what the holder opens, and it has one size."""
    assert len(BOX) == BOX_BYTES == 144
    assert (opened().own, opened().escrow) == (OWN, ESCROW)


@pytest.mark.parametrize(
    "change",
    [
        {"key": b"\x18" * 32},
        {"roster_hash": b"\x17" * 32},
        {"dealer": OTHER},
        {"holder": OTHER},
        {"dealer": HOLDER, "holder": DEALER},
    ],
    ids=["key", "round", "dealer", "holder", "direction"],
)
def test_a_box_opens_for_its_key_round_and_parties_only(change: dict[str, bytes]) -> None:
    """A box that is relayed to another, from another or in another round stays shut."""
    with pytest.raises(AbortError) as caught:
        opened(**change)
    assert caught.value.code is AbortCode.BAD_BOX
    assert caught.value.uid == change.get("dealer", DEALER)


def test_a_changed_box_stays_shut() -> None:
    """Every bit is authenticated."""
    for at in range(len(BOX)):
        damaged = bytearray(BOX)
        damaged[at] ^= 1
        with pytest.raises(AbortError, match="bad_box"):
            opened(bytes(damaged))


def test_an_escrow_gives_the_seeds_in_their_order() -> None:
    """32 bytes for each peer."""
    assert escrowed() == SEEDS
    assert len(SEALED) == 32 * len(SEEDS) + 16


@pytest.mark.parametrize(
    "change",
    [
        {"secret": b"\x19" * 32},
        {"roster_hash": b"\x17" * 32},
        {"dealer": OTHER},
        {"escrow": SEALED[:-1] + bytes([SEALED[-1] ^ 1])},
        {"escrow": SEALED[:32]},
        {"escrow": b""},
    ],
    ids=["secret", "round", "dealer", "changed", "cut", "empty"],
)
def test_an_escrow_opens_with_its_secret_only(change: dict[str, Any]) -> None:
    """The dealer is named."""
    with pytest.raises(AbortError) as caught:
        escrowed(**change)
    assert (caught.value.code, caught.value.uid) == (
        AbortCode.BAD_ESCROW,
        change.get("dealer", DEALER),
    )


def test_box_and_escrow_of_one_dealer_are_apart() -> None:
    """A box is no escrow, though both are AES-256-GCM with a nonce of zero."""
    with pytest.raises(AbortError, match="bad_escrow"):
        escrowed(BOX)


def test_no_two_commitments_are_alike() -> None:
    """Each is bound to its kind, its round, its parties, its salt and what is committed to."""

    def secret(kind: str = "self", **changes: bytes) -> bytes:
        arguments = {"roster_hash": ROSTER, "dealer": DEALER, "secret": SECRET} | changes
        return sealing.commit_secret(kind, **arguments)

    def share(kind: str = "self", share: RevealedShare = OWN, **changes: bytes) -> bytes:
        arguments = {"roster_hash": ROSTER, "holder": HOLDER} | changes
        return sealing.commit_share(kind, share, **arguments)

    def seed(**changes: bytes) -> bytes:
        arguments = {"roster_hash": ROSTER, "one": DEALER, "other": HOLDER, "seed": SECRET}
        return sealing.commit_seed(**(arguments | changes))

    made = [
        secret(),
        secret("escrow"),
        secret(roster_hash=KEY),
        secret(dealer=OTHER),
        secret(secret=KEY),
        share(),
        share("escrow"),
        share(share=replace(OWN, dealer=OTHER)),
        share(share=replace(OWN, share=KEY)),
        share(share=replace(OWN, salt=KEY)),
        share(share=replace(OWN, share=OWN.salt, salt=OWN.share)),
        share(roster_hash=KEY),
        share(holder=OTHER),
        seed(),
        seed(roster_hash=KEY),
        seed(one=OTHER),
        seed(seed=KEY),
    ]
    assert len(set(made)) == len(made)
    assert {len(commitment) for commitment in made} == {32}


def test_a_seeds_commitment_is_the_same_from_both_sides() -> None:
    """The two of a pair can be held against each other."""
    left = sealing.commit_seed(roster_hash=ROSTER, one=DEALER, other=HOLDER, seed=SECRET)
    assert left == sealing.commit_seed(roster_hash=ROSTER, one=HOLDER, other=DEALER, seed=SECRET)


@given(box=st.binary(max_size=200))
def test_bytes_from_nowhere_open_no_box(box: bytes) -> None:
    """Of whatever length, they are a bad box or a bad escrow and no other error."""
    with pytest.raises(AbortError, match="bad_box"):
        opened(box)
    with pytest.raises(AbortError, match="bad_escrow"):
        escrowed(box)
