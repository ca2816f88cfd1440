"""The coordinator cosigns a ledger that grew, and no other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from privacy.cosignatures import COSIGNER_NAME, WitnessRequest, cosigned_at, ledger_origin
from privacy.notes import Checkpoint, sign_note
from privacy.tree import consistency_proof, leaf_hash, root
from protocol.identity import Identity, RegionRecord, Registry, region_uid
from server.errors import CheckpointError
from server.witness import Witness, WitnessRefusedError

UID = region_uid("north")
LEDGER, COSIGNER = Identity.generate(), Identity.generate()
REGISTRY = Registry(
    epoch=0,
    quorum=1,
    regions=(
        RegionRecord(
            name="north",
            identity_key=Identity.generate().public_bytes(),
            ledger_key=LEDGER.public_bytes(),
            not_after=2**40,
        ),
    ),
    server_key=Identity.generate().public_bytes(),
    cosigner_key=COSIGNER.public_bytes(),
    server_not_after=2**40,
)


def leaves(count: int, *, branch: str = "", fork_at: int = 0) -> list[bytes]:
    """A ledger's leaves; those of a branch are others from ``fork_at`` on."""
    return [
        leaf_hash(f"{branch if number >= fork_at else ''}{number}".encode())
        for number in range(count)
    ]


def request(
    all_: list[bytes], old: int, *, key: Identity = LEDGER, origin: str = ledger_origin(UID)
) -> bytes:
    """What a region sends about a ledger of these leaves."""
    text = Checkpoint(origin, len(all_), root(all_)).to_text()
    private = Ed25519PrivateKey.from_private_bytes(key.private_bytes())
    note = sign_note(text, name=origin, key=private)
    proof = consistency_proof(all_, old) if 1 <= old <= len(all_) else ()
    return WitnessRequest(old, proof, note).to_bytes()


def witness(folder: Path, *, time: int = 9) -> Witness:
    return Witness(folder / "witness", REGISTRY, COSIGNER, lambda: time)


def test_a_ledger_that_grows_is_cosigned_with_the_time(tmp_path: Path) -> None:
    """Over a restart of the witness; the note that comes back is the one that is kept."""
    first = witness(tmp_path).cosign(UID, request(leaves(3), 0))
    later = witness(tmp_path, time=12).cosign(UID, request(leaves(10), 3))
    again = witness(tmp_path, time=15).cosign(UID, request(leaves(10), 10))

    times = [
        cosigned_at(note, name=COSIGNER_NAME, public_key=COSIGNER.public_bytes())
        for note in (first, later, again)
    ]
    assert times == [9, 12, 15]
    last = witness(tmp_path).last(UID)
    assert last is not None
    assert (last.size, last.root) == (10, root(leaves(10)))
    assert witness(tmp_path).note(UID) == again


@pytest.mark.parametrize(
    ("asked", "size", "says"),
    [
        (lambda: request(leaves(5), 5), 5, "older copy"),
        (lambda: request(leaves(5), 0), 5, "older copy"),
        (lambda: request(leaves(12), 0), 12, "from 8 entries"),
        (lambda: request(leaves(12), 7), 12, "from 8 entries"),
        (lambda: request(leaves(12, branch="x", fork_at=7), 8), 12, "there are two"),
        (lambda: request(leaves(12, branch="x"), 8), 12, "there are two"),
        (lambda: request(leaves(8, branch="x", fork_at=7), 8), 8, "there are two"),
        (lambda: request(leaves(12), 8, key=COSIGNER), 12, "no checkpoint of this region"),
        (lambda: request(leaves(12), 8, origin="elsewhere"), 12, "no checkpoint of this region"),
        (lambda: b"nonsense", 0, "no checkpoint of this region"),
    ],
    ids=[
        "an older copy",
        "an older copy that claims to be the first",
        "a ledger that hides what was seen",
        "a proof from another size",
        "a branch",
        "a second ledger",
        "another last entry",
        "another key",
        "another origin",
        "no request",
    ],
)
def test_what_does_not_follow_is_refused(
    tmp_path: Path, asked: Callable[[], bytes], size: int, says: str
) -> None:
    """The region is told what was cosigned last, and the witness's memory stays what it was."""
    one = witness(tmp_path)
    before = one.cosign(UID, request(leaves(8), 0))
    with pytest.raises(WitnessRefusedError, match=says) as refused:
        one.cosign(UID, asked())
    assert refused.value.size == 8
    assert one.note(UID) == before


@given(old=st.integers(1, 40), grown=st.integers(0, 40), place=st.integers(0, 39))
def test_no_rewritten_entry_is_ever_cosigned(
    tmp_path_factory: pytest.TempPathFactory, old: int, grown: int, place: int
) -> None:
    """Whichever of the entries that were seen is another one, however much came after."""
    one = witness(tmp_path_factory.mktemp("run"))
    one.cosign(UID, request(leaves(old), 0))
    changed = leaves(old + grown)
    changed[place % old] = leaf_hash(b"rewritten")
    with pytest.raises(WitnessRefusedError):
        one.cosign(UID, request(changed, old))
    one.cosign(UID, request(leaves(old + grown), old))


def test_a_stranger_is_refused(tmp_path: Path) -> None:
    """No ledger key, no cosignature."""
    with pytest.raises(WitnessRefusedError, match="no checkpoint"):
        witness(tmp_path).cosign(bytes(16), request(leaves(3), 0))


def test_a_witness_that_cannot_read_its_memory_stops(tmp_path: Path) -> None:
    """It does not begin anew: then it would cosign an older copy."""
    one = witness(tmp_path)
    one.cosign(UID, request(leaves(3), 0))
    (tmp_path / "witness" / f"{UID.hex()}.note").write_bytes(b"torn")
    with pytest.raises(CheckpointError, match="restore it"):
        one.cosign(UID, request(leaves(5), 3))


def test_another_registry_does_not_read_it(tmp_path: Path) -> None:
    """The kept note is checked with the region's key each time."""
    witness(tmp_path).cosign(UID, request(leaves(3), 0))
    record = replace(REGISTRY.regions[0], ledger_key=Identity.generate().public_bytes())
    other = replace(witness(tmp_path), registry=replace(REGISTRY, regions=(record,)))
    with pytest.raises(CheckpointError):
        other.last(UID)


def test_the_key_in_the_coordinators_folder_is_the_registrys(tmp_path: Path) -> None:
    """It is read once, and a missing, torn or other key is one clear error."""
    path = tmp_path / "cosigner.key"
    for content, says in (
        (None, "No such file"),
        (b"short", "restore it"),
        (Identity.generate().private_bytes(), "not the cosigner's key"),
    ):
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(CheckpointError, match=says):
            Witness.open(tmp_path, REGISTRY)
    path.write_bytes(COSIGNER.private_bytes())
    one = Witness.open(tmp_path, REGISTRY, clock=lambda: 9)
    assert one.notes() == ()
    assert (one.cosign(UID, request(leaves(3), 0)),) == one.notes()
    assert Witness.open(tmp_path, REGISTRY).notes() == one.notes()
