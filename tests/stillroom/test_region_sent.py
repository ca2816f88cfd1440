"""A steward reads what left a region, and is told where list and ledger differ."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from client.folder import RegionFolder
from client.handler import RegionHandler
from client.manifest import manifest_of
from stillroom.exits import Exit
from stillroom.main import app
from stillroom.region_leaving import _PLAIN
from tests.client.egress_tools import answers_of_a_round, gate_of
from tests.client.region_builder import World, clock

pytestmark = pytest.mark.slow


def _sent(folder: RegionFolder, *words: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["region", "sent", str(folder.root), *words])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


@pytest.fixture
def folder(world: World, regions: dict[str, RegionHandler]) -> RegionFolder:
    """Region a's folder after a round behind gates."""
    gates = {name: gate_of(world, name, region) for name, region in regions.items()}
    answers_of_a_round(world, gates)
    return world.run.region("a")


def test_it_names_what_left_in_plain_words(folder: RegionFolder) -> None:
    """Each kind with its number, bytes and last time, and that the ledger agrees."""
    code, said = _sent(folder)

    assert code == Exit.DONE
    assert "masked update: once, " in said
    assert said.count("last on 2027-01-15 08:00:00 UTC") == 8
    assert "in this list and in the ledger, byte for byte: 1" in said
    assert "ledger:" not in said.replace("in the ledger, byte for byte:", "")


def test_its_json_adds_up_to_every_byte_that_left(folder: RegionFolder) -> None:
    """The groups are the list, counted; a command writes nothing."""
    before = manifest_of(folder).path.read_bytes()
    code, said = _sent(folder, "--json")
    told, lines = json.loads(said), manifest_of(folder).read().sent

    assert code == Exit.DONE
    assert sum(group["count"] for group in told["sent"]) == len(lines)
    assert sum(group["bytes"] for group in told["sent"]) == sum(one.size_bytes for one in lines)
    assert {group["last"] for group in told["sent"]} == {clock()}
    assert (told["updates"], told["torn_lines"], told["agrees"]) == (1, 0, True)
    assert manifest_of(folder).path.read_bytes() == before


def test_an_update_that_the_ledger_does_not_know_fails(folder: RegionFolder) -> None:
    """The steward is told to halt; the ledger's own entry is not in the list then."""
    file = manifest_of(folder).path
    (vector,) = {one.vector for one in manifest_of(folder).read().sent if one.vector}
    file.write_bytes(file.read_bytes().replace(vector.sha256.encode(), b"0" * 64))
    code, said = _sent(folder)

    assert code == Exit.FAILED
    assert f"NOT IN THE LEDGER: an update of {vector.size_bytes:,} bytes, sha256 {'0' * 64}" in said
    assert f"only in the ledger: an update of {vector.size_bytes:,} bytes" in said
    assert "halt the region" in said


def test_a_missing_line_counts_as_sent(folder: RegionFolder) -> None:
    """A kill between ledger and list looks the same as a removed line; both are said."""
    file = manifest_of(folder).path
    lines = file.read_bytes().splitlines(keepends=True)
    torn = next(line for line in lines if b"vector" in line)[:50]
    file.write_bytes(b"".join(line for line in lines if b"vector" not in line) + torn)
    code, said = _sent(folder)
    told = json.loads(_sent(folder, "--json")[1])

    assert code == Exit.INCOMPLETE
    assert "count it as sent" in said
    assert "lines that a sudden stop cut short: 1" in said
    assert (told["agrees"], told["unrecorded"], len(told["unlisted"])) == (False, [], 1)


def test_a_line_that_somebody_wrote_is_one_sentence(folder: RegionFolder) -> None:
    """No traceback, and no verdict on a list that is not the gate's."""
    with manifest_of(folder).path.open("ab") as file:
        file.write(b"nothing left on Tuesday\n")
    code, said = _sent(folder)

    assert code == Exit.BAD_INPUT
    assert "find out who changed it" in said


def test_a_region_that_never_answered(tmp_path: Path, world: World) -> None:
    """Nothing has left, and an empty folder is no region."""
    assert _sent(world.run.region("b"))[1].startswith("nothing has left")
    assert _sent(world.run.region("b"))[0] == Exit.DONE
    assert _sent(RegionFolder(tmp_path))[0] == Exit.BAD_INPUT


def test_every_message_that_may_leave_has_its_words() -> None:
    """A new message would otherwise be missing from what a steward reads."""
    from client.egress_rules import SIZES

    assert set(_PLAIN) == set(SIZES)


def test_a_ledger_that_cannot_be_read_fails(world: World) -> None:
    """Then nothing is said of agreement."""
    world.run.region("b").ledger.write_bytes(b"no ledger")
    code, said = _sent(world.run.region("b"))

    assert code == Exit.FAILED
    assert "byte for byte" not in said
