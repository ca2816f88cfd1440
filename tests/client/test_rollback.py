"""A ledger that lost its end, was forked or exchanged is noticed, whoever hides what."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from client.checkpoints import SeenCheckpoints
from client.errors import RegionFolderError
from client.ledger_history import LedgerHistory
from privacy.cosignatures import cosign
from privacy.errors import LedgerCorruptError
from privacy.ledger import Ledger
from protocol.identity import Identity, RegionRecord, Registry, region_uid
from protocol.messages import Checkpoint
from server.witness import Witness, WitnessRefusedError

NORTH, SOUTH = region_uid("north"), region_uid("south")
COSIGNER = Identity.generate()
KEYS = {name: Identity.generate() for name in ("north", "south")}
REGISTRY = Registry(
    epoch=0,
    quorum=2,
    regions=tuple(
        sorted(
            (
                RegionRecord(
                    name=name,
                    identity_key=Identity.generate().public_bytes(),
                    ledger_key=key.public_bytes(),
                    not_after=2**40,
                )
                for name, key in KEYS.items()
            ),
            key=lambda record: record.uid,
        )
    ),
    server_key=Identity.generate().public_bytes(),
    cosigner_key=COSIGNER.public_bytes(),
    server_not_after=2**40,
)


def clock() -> int:
    return 1_800_000_000


class Home:
    """A region's folder with a ledger, and a coordinator that witnesses it."""

    def __init__(self, root: Path) -> None:
        self.folder = root / "north"
        self.folder.mkdir(parents=True)
        self.witness = Witness(root / "server" / "witness", REGISTRY, COSIGNER, clock)
        self.ledger = Ledger.create(self.folder / "ledger.db", region="north", clock=clock)

    def history(self) -> LedgerHistory:
        """What the region makes of its folder when it starts."""
        seen = SeenCheckpoints(self.folder / "checkpoints.json", REGISTRY)
        return LedgerHistory(self.ledger, NORTH, KEYS["north"], seen)

    def work(self, count: int, what: str = "round") -> None:
        for number in range(count):
            self.ledger.note(what, {"number": number})

    def be_cosigned(self) -> bytes:
        """One exchange with the coordinator, as after a round."""
        own = self.history().own
        note = self.witness.cosign(NORTH, own.request())
        assert own.keep(note)
        return note

    def keep_copy(self) -> Path:
        """A backup of the whole folder."""
        self.ledger.close()
        copy = self.folder.with_name("copy")
        shutil.copytree(self.folder, copy)
        self.open()
        return copy

    def restore(self, copy: Path, *names: str) -> None:
        """Put files of a backup back: all of them if none is named."""
        self.ledger.close()
        if not names:
            shutil.rmtree(self.folder)
            shutil.copytree(copy, self.folder)
        for name in names:
            shutil.copyfile(copy / name, self.folder / name)
        self.open()

    def open(self) -> None:
        self.ledger = Ledger.open(self.folder / "ledger.db", clock=clock)

    def replace_ledger(self) -> None:
        """Begin a second ledger for the same lineage."""
        self.ledger.close()
        for path in self.folder.glob("ledger.db*"):
            path.unlink()
        self.ledger = Ledger.create(self.folder / "ledger.db", region="north", clock=clock)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    made = Home(tmp_path)
    yield made
    made.ledger.close()


def test_an_honest_region_is_cosigned_round_after_round(home: Home) -> None:
    """It keeps the latest note with its time, over restarts."""
    assert home.history().own.cosigned() is None
    sizes = []
    for _ in range(3):
        home.work(4)
        home.be_cosigned()
        sizes.append(home.history().own.cosigned())
    assert sizes == [(5, clock()), (9, clock()), (13, clock())]


def test_an_older_ledger_beside_newer_notes_does_not_start(home: Home) -> None:
    """Who restores the database alone is stopped by the region's own checkpoint, without a peer."""
    home.work(2)
    copy = home.keep_copy()
    home.work(3)
    home.history().checkpoint()
    home.restore(copy, "ledger.db")
    with pytest.raises(LedgerCorruptError, match=r"checkpoint\.note, got 3"):
        home.history()


def test_a_second_ledger_for_the_lineage_does_not_start(home: Home) -> None:
    """A fresh ledger, with as many entries as one likes, is not the one that was signed."""
    home.work(2)
    home.history().checkpoint()
    home.replace_ledger()
    home.work(5)
    with pytest.raises(LedgerCorruptError, match="another one"):
        home.history()


def test_a_restored_folder_is_stopped_by_the_coordinator(home: Home) -> None:
    """All files are old: the cosigned note that comes with the next round is ahead of them."""
    home.work(2)
    copy = home.keep_copy()
    home.work(3)
    later = home.be_cosigned()
    home.restore(copy)
    own = home.history().own
    with pytest.raises(LedgerCorruptError, match="cosigned 6 entries"):
        own.keep(later)
    with pytest.raises(WitnessRefusedError, match="older copy"):
        home.witness.cosign(NORTH, own.request())


def test_a_fork_gets_no_cosignature(home: Home) -> None:
    """Two copies that go on apart: whichever comes second is refused, and has no note to show."""
    home.work(2)
    home.be_cosigned()
    copy = home.keep_copy()
    home.work(3, "one way")
    later = home.be_cosigned()
    home.restore(copy)
    home.work(3, "another way")
    own = home.history().own
    with pytest.raises(WitnessRefusedError, match="expected a proof from 6"):
        home.witness.cosign(NORTH, own.request())
    with pytest.raises(LedgerCorruptError, match="older copy"):
        own.keep(later)


def test_peers_notice_when_the_server_hides_what_it_cosigned(home: Home, tmp_path: Path) -> None:
    """The coordinator forgets and helps: a peer still shows what it saw in the round before."""
    home.work(2)
    copy = home.keep_copy()
    home.work(3)
    seen = SeenCheckpoints(tmp_path / "south.json", REGISTRY)
    seen.add([Checkpoint(NORTH, home.history().checkpoint())])
    home.restore(copy)
    shutil.rmtree(home.witness.folder, ignore_errors=True)
    home.be_cosigned()

    (shown,) = seen.all()
    assert home.history().is_behind(shown.note)


def test_the_peers_keep_the_later_of_two_branches(home: Home, tmp_path: Path) -> None:
    """An older copy that works on does not wash its past off while it has fewer entries."""
    home.work(2)
    copy = home.keep_copy()
    home.work(3)
    seen = SeenCheckpoints(tmp_path / "south.json", REGISTRY)
    later = Checkpoint(NORTH, home.history().checkpoint())
    seen.add([later])
    home.restore(copy)
    home.work(1)
    seen.add([Checkpoint(NORTH, home.history().checkpoint())])
    assert seen.all() == (later,)


@pytest.mark.parametrize("name", ["checkpoint.note", "cosigned.note"])
def test_a_damaged_note_stops_the_start(home: Home, name: str) -> None:
    """Neither torn nor another key's: it is not taken for no note."""
    home.work(1)
    home.be_cosigned()
    (home.folder / name).write_bytes(b"torn")
    with pytest.raises(RegionFolderError, match=name):
        home.history()


def test_only_this_ledgers_cosigned_notes_are_kept(home: Home) -> None:
    """A peer's, one that nobody cosigned, one by another key, and an older one are not."""
    home.work(1)
    older = home.be_cosigned()
    home.work(1)
    latest = home.be_cosigned()
    own = home.history().own
    plain = own.sign()
    foreign = replace(own, key=KEYS["south"], uid=SOUTH).sign()
    by_another = cosign(
        plain,
        name="stillroom/cosigner",
        key=Identity.generate()._private_key,
        time=9,
    )
    for note in (plain, foreign, by_another, b"", b"\n\n"):
        assert not own.keep(note)
    assert own.keep(older)
    assert (home.folder / "cosigned.note").read_bytes() == latest
