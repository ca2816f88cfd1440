"""Checkpoints: only a ledger's own key makes one, and only a later one is kept."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from client.checkpoints import SeenCheckpoints, read_checkpoint, sign_checkpoint
from client.errors import RegionFolderError
from client.ledger_history import LedgerHistory
from privacy.ledger import Ledger
from protocol.identity import Identity, RegionRecord, Registry, region_uid
from protocol.messages import Checkpoint

NORTH, SOUTH = region_uid("north"), region_uid("south")
KEYS = {name: Identity.generate() for name in ("north", "south")}


def _record(name: str) -> RegionRecord:
    return RegionRecord(
        name=name,
        identity_key=Identity.generate().public_bytes(),
        ledger_key=KEYS[name].public_bytes(),
        not_after=2**40,
    )


REGISTRY = Registry(
    epoch=0,
    quorum=2,
    regions=tuple(sorted(map(_record, KEYS), key=lambda record: record.uid)),
    server_key=Identity.generate().public_bytes(),
    cosigner_key=Identity.generate().public_bytes(),
    server_not_after=2**40,
)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.create(tmp_path / "ledger.db", region="north", clock=lambda: 1) as made:
        yield made


def _history(ledger: Ledger, folder: Path) -> LedgerHistory:
    seen = SeenCheckpoints(folder / "checkpoints.json", REGISTRY)
    return LedgerHistory(ledger, NORTH, KEYS["north"], seen)


def test_a_checkpoint_says_how_far_a_ledger_is(ledger: Ledger) -> None:
    """Signed with the ledger's key; under another key, uid or byte it says nothing."""
    note = sign_checkpoint(ledger, KEYS["north"], NORTH)
    key = KEYS["north"].public_bytes()
    said = read_checkpoint(note, uid=NORTH, ledger_key=key)

    assert said is not None
    assert (said.size, said.root) == ledger.root_at()
    assert said.size == ledger.state.size
    assert len(note) < 300
    assert read_checkpoint(note, uid=SOUTH, ledger_key=key) is None
    assert read_checkpoint(note, uid=NORTH, ledger_key=KEYS["south"].public_bytes()) is None
    other = note.replace(NORTH.hex().encode(), SOUTH.hex().encode())
    for changed in (note[:-1], note + b"x", b"", note.replace(b"\n1\n", b"\n9\n"), other):
        assert read_checkpoint(changed, uid=NORTH, ledger_key=key) is None


def test_a_ledger_knows_when_it_is_behind(ledger: Ledger, tmp_path: Path) -> None:
    """A later checkpoint, or one of another branch, is ahead; its own past is not."""
    history = _history(ledger, tmp_path)
    past = history.checkpoint()
    ledger.note("moved", {"on": True})
    branch = tmp_path / "branch"
    branch.mkdir()
    with Ledger.create(branch / "ledger.db", region="north", clock=lambda: 1) as other:
        forked = sign_checkpoint(other, KEYS["north"], NORTH)
        for number in range(3):
            other.note("elsewhere", {"number": number})
        later = sign_checkpoint(other, KEYS["north"], NORTH)

    assert not history.is_behind(past)
    assert not history.is_behind(history.checkpoint())
    assert history.is_behind(forked)
    assert history.is_behind(later)
    assert not history.is_behind(later[:-1] + b"x")
    assert ledger.root_at(0) is None


def test_the_latest_genuine_checkpoint_of_each_other_is_kept(
    ledger: Ledger, tmp_path: Path
) -> None:
    """Over a restart; forged, older, strangers' and its own are not."""
    history = _history(ledger, tmp_path)
    older = sign_checkpoint(ledger, KEYS["south"], SOUTH)
    ledger.note("moved", {"on": True})
    latest = sign_checkpoint(ledger, KEYS["south"], SOUTH)
    forged = sign_checkpoint(ledger, Identity.generate(), SOUTH)
    own = history.checkpoint()
    for note in (latest, older, forged):
        history.saw([Checkpoint(SOUTH, note), Checkpoint(NORTH, own)])
    history.saw([Checkpoint(bytes(16), own)])

    assert history.checkpoints() == (Checkpoint(SOUTH, latest),)
    assert _history(ledger, tmp_path).checkpoints() == (Checkpoint(SOUTH, latest),)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"zz": "00"}', b'{"00": 1}'])
def test_a_damaged_file_is_one_clear_error(tmp_path: Path, content: bytes) -> None:
    """It may be deleted: the next round fills it again."""
    (tmp_path / "checkpoints.json").write_bytes(content)
    with pytest.raises(RegionFolderError, match="delete it"):
        SeenCheckpoints(tmp_path / "checkpoints.json", REGISTRY)
