"""A halted region trains nothing and sends nothing, and goes on where it stopped."""

import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Event, Timer

import pytest

from client.errors import HaltedError, RegionFolderError
from client.flower_adapter import code_of
from client.folder import RegionFolder
from client.halt import (
    halt_file,
    halted,
    record_halt,
    record_resume,
    remove_halt,
    require_running,
    write_halt,
)
from client.handler import RegionHandler
from privacy.ledger import Ledger
from privacy.ledger_entries import Note, Release, Reserve, Send
from protocol.envelope import MessageKind
from protocol.errors import AbortCode
from tests.client import region_builder
from tests.client.region_builder import World, ask, clock, play, publish

REASON = "Mrs Miller objected"
KEYS, COLLECT, SUM = (
    MessageKind.QUERY_ENCAPS,
    MessageKind.TRAIN_MASKED,
    MessageKind.QUERY_SUM,
)


@pytest.fixture
def folder(tmp_path: Path) -> RegionFolder:
    """A folder with a ledger, which is all that a stop needs."""
    Ledger.create(tmp_path / "ledger.db", region="a", clock=clock).close()
    return RegionFolder(tmp_path)


def _kinds(handler: RegionHandler) -> list[type]:
    entries = handler._training.ledger.entries()
    return [type(e.payload) for e in entries if isinstance(e.payload, Reserve | Release | Send)]


def _at(step: str, handler: RegionHandler, act: Callable[[], object]) -> None:
    """Act when the region's training comes to a step."""

    def on_step(name: str) -> None:
        if name == step:
            act()

    handler._training = replace(handler._training, on_step=on_step)


def test_a_stop_holds_until_it_is_taken_away(folder: RegionFolder) -> None:
    """Halting and resuming twice is like once; the first time and reason stay."""
    require_running(folder)
    write_halt(folder, reason=REASON, now=1)
    write_halt(folder, reason="another", now=2)
    found = halted(folder)
    with pytest.raises(HaltedError, match="1970-01-01T00:00:01Z"):
        require_running(folder)
    remove_halt(folder)
    remove_halt(folder)
    require_running(folder)

    assert found is not None
    assert (found.since, found.reason) == (1, REASON)
    assert halted(folder) is None


@pytest.mark.parametrize(
    "content", [b"", b"null", b"\xff", b'{"since": 1}', b'{"since": 1e300, "reason": ""}', None]
)
def test_a_damaged_file_halts_as_well(folder: RegionFolder, content: bytes | None) -> None:
    """Whatever is in the file, or if it points nowhere, the region stands still."""
    if content is None:
        halt_file(folder).symlink_to("nowhere")
    else:
        halt_file(folder).write_bytes(content)
    with pytest.raises(HaltedError, match="halted"):
        require_running(folder)
    remove_halt(folder)

    assert halted(folder) is None


def test_the_reason_stays_in_a_file_of_the_owner(folder: RegionFolder) -> None:
    """Neither the error nor the ledger, which auditors read, holds it; the coordinator gets a code.

    The ledger says when it was halted and when it went on, once each.
    """
    write_halt(folder, reason=REASON, now=1)
    with Ledger.open(folder.ledger, clock=clock) as ledger:
        for record in (record_halt, record_halt, record_resume, record_resume):
            record(ledger)
        notes = [e.payload for e in ledger.entries() if isinstance(e.payload, Note)]
        bodies = b"".join(ledger.bodies())
    with pytest.raises(HaltedError) as caught:
        require_running(folder)

    assert REASON in halt_file(folder).read_text()
    assert stat.S_IMODE(halt_file(folder).stat().st_mode) == 0o600
    assert [note.content["state"] for note in notes] == ["halted", "resumed"]
    assert b"Miller" not in bodies
    assert "Miller" not in str(caught.value)
    assert code_of(caught.value) is AbortCode.REFUSED_LOCALLY


def test_where_no_region_is_nothing_is_halted(tmp_path: Path) -> None:
    """A steward who mistypes the folder hears of it, instead of thinking that it stopped."""
    with pytest.raises(RegionFolderError, match="no region"):
        write_halt(RegionFolder(tmp_path), reason="", now=1)

    assert list(tmp_path.iterdir()) == []


def test_a_halted_region_reserves_nothing_and_goes_on_with_the_same_message(
    world: World, regions: dict[str, RegionHandler]
) -> None:
    """The open client sees the stop, and its end, between two messages of one round."""
    one, region, folder = world.round(0), regions["a"], world.run.region("a")
    play(one, regions, until=KEYS)
    write_halt(folder, reason=REASON, now=clock())
    with pytest.raises(HaltedError):
        ask(one, region, KEYS)
    while_halted = _kinds(region)
    remove_halt(folder)
    play(one, regions, first=KEYS)
    result = region.handle(SUM, publish(one.close()))

    assert while_halted == []
    assert _kinds(region) == [Reserve, Release, Send]
    assert result.body


def test_a_stop_between_the_reserve_and_the_training_burns_the_reserve(
    world: World, regions: dict[str, RegionHandler]
) -> None:
    """What was reserved is spent, and not one step is trained from it."""
    region, folder = regions["a"], world.run.region("a")
    told: list[str] = []

    def step(name: str) -> None:
        told.append(name)
        write_halt(folder, reason=REASON, now=clock())

    training = replace(region._training, on_step=step)
    weights = training.materials.part.vector()
    with pytest.raises(HaltedError):
        training.delta(0, weights)
    with pytest.raises(HaltedError):
        training.delta(1, weights)

    assert told == ["reserve"]
    assert _kinds(region) == [Reserve]


def test_an_answer_in_the_making_is_not_handed_out(
    world: World, regions: dict[str, RegionHandler]
) -> None:
    """A stop while the masked delta is made keeps it here; after it, the same bytes leave."""
    one, region, folder = world.round(0), regions["a"], world.run.region("a")
    go_on = Event()
    _at("release", region, lambda: go_on.wait(10))
    play(one, regions, until=COLLECT)

    def stop() -> None:
        write_halt(folder, reason=REASON, now=clock())
        go_on.set()

    timer = Timer(0.3, stop)
    timer.start()
    with pytest.raises(HaltedError):
        ask(one, region, COLLECT)
    timer.join()
    remove_halt(folder)
    answer = ask(one, region, COLLECT)
    sent = [e.payload for e in region._training.ledger.entries() if isinstance(e.payload, Send)]

    assert go_on.is_set()
    assert [entry.wire_bytes for entry in sent] == [sum(map(len, answer.chunks))]


def test_a_client_that_starts_while_halted_waits(world: World) -> None:
    """It opens, refuses every message under its own name, and goes on once it is resumed."""
    folder = world.run.region("a")
    write_halt(folder, reason=REASON, now=clock())
    with region_builder.handlers(world) as regions:
        one = world.round(0)
        with pytest.raises(HaltedError):
            ask(one, regions["a"], MessageKind.TRAIN_START)
        remove_halt(folder)
        advert = ask(one, regions["a"], MessageKind.TRAIN_START)

    assert advert.body
