"""Rounds in blocks are files like all others, and a block has one form as the pack has."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

from privacy.pack import blocks, write_pack
from privacy.pack.blocks import blocks_of, in_blocks, open_block
from privacy.pack.container import Container, Stored, write_container
from privacy.pack.errors import PackRefusedError
from privacy.pack.records import DEFLATED, STORED
from stillroom.reporting_commands import files_of, write_files
from tests.verify.made_report import whole_report
from tests.verify.made_run import MadeRun, made_run
from tests.verify.repacking import contents, resigned_as_they_are
from verify.files import PackFiles
from verify.findings import Check, Outcome
from verify.pack_check import check_pack

EVERYBODY = ("east", "north", "west")
FILES = {
    f"rounds/{number:05d}.{kind}": bytes([number]) * 40
    for number in range(5)
    for kind in ("receipts", "transcript")
}


def _container(files: dict[str, bytes], *, method: int = STORED) -> bytes:
    file = io.BytesIO()
    write_container(file, {path: Stored.of(data, method=method) for path, data in files.items()})
    return file.getvalue()


def test_what_is_put_in_blocks_is_read_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the size of a block, no round is in two, and nothing else is touched."""
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 170)  # two rounds of 80 bytes
    files = {**FILES, "plan.json": b"{}", "rounds/00000.sum": b"words"}
    packed = in_blocks(files)

    assert sorted(set(packed) - set(files)) == [
        "rounds-00000.zip",
        "rounds-00002.zip",
        "rounds-00004.zip",
    ]
    with Container.of(_container(packed)) as container:
        read = PackFiles(container)
        assert {f"rounds/{name}": read.read(f"rounds/{name}") for name in read.names("rounds")} == {
            path: data for path, data in files.items() if path.startswith("rounds/")
        }
        assert read.read("plan.json") == b"{}"
        assert read.read("rounds/00009.transcript") is None


def test_any_program_unpacks_a_block(pack: Path, tmp_path: Path) -> None:
    """Pack and blocks unpacked in one folder are the run's files again."""
    with zipfile.ZipFile(pack) as outer:
        outer.extractall(tmp_path)
    for block in sorted(tmp_path.glob("rounds-*.zip")):
        with zipfile.ZipFile(block) as inner:
            inner.extractall(tmp_path)

    expected = {path for path in contents(pack) if path.startswith("rounds/")}
    assert expected == {path.relative_to(tmp_path).as_posix() for path in tmp_path.glob("rounds/*")}
    assert all((tmp_path / path).read_bytes() == contents(pack)[path] for path in expected)


WRONG = {
    "no container": ("rounds-00000.zip", b"PK"),
    "deflated inside": ("rounds-00000.zip", _container(FILES, method=DEFLATED)),
    "another's name": ("rounds-00001.zip", _container(FILES)),
    "other files": ("rounds-00000.zip", _container({**FILES, "report.json": b"{}"})),
    "sums": ("rounds-00000.zip", _container({**FILES, "rounds/00000.sum": b"{}"})),
    "nothing": ("rounds-00000.zip", _container({})),
    "a tail": ("rounds-00000.zip", _container(FILES) + b"x"),
    "a block in a block": (
        "rounds-00000.zip",
        _container({"rounds-00000.zip": _container(FILES)}),
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_block_of_another_form_is_refused(name: str) -> None:
    """Before any of its rounds is read."""
    path, data = WRONG[name]
    with Container.of(_container({path: data})) as container:
        assert list(blocks_of(container)) == [path]
        with pytest.raises(PackRefusedError):
            open_block(container, path)


@pytest.mark.parametrize("name", ["no container", "another's name", "twice"])
def test_a_pack_with_such_a_block_is_not_believed(
    made: MadeRun, pack: Path, tmp_path: Path, name: str
) -> None:
    """Signed by everybody: a block that is none, and a round beside the block that has it."""
    files = in_blocks(contents(pack))
    del files["rounds-00000.zip"]
    path, data = WRONG.get(name, ("rounds-00000.zip", _container(FILES)))
    files[path] = data
    if name == "twice":
        files["rounds/00001.transcript"] = contents(pack)["rounds/00001.transcript"]
    changed = tmp_path / "changed.zip"
    changed.write_bytes(resigned_as_they_are(files, made, regions=EVERYBODY))
    (found,) = check_pack(changed, made.auditor_keys).findings

    assert (found.outcome, found.check) == (Outcome.VIOLATED, Check.WHOLE)


def test_rounds_that_stand_by_themselves_are_read_too(
    made: MadeRun, pack: Path, tmp_path: Path
) -> None:
    """As packs had them before there were blocks."""
    loose = tmp_path / "loose.zip"
    loose.write_bytes(resigned_as_they_are(contents(pack), made, regions=EVERYBODY))

    assert check_pack(loose, made.auditor_keys).outcome is Outcome.HOLDS


@pytest.mark.slow
def test_three_regions_and_forty_rounds_fit_into_400_kilobytes(tmp_path: Path) -> None:
    """With the whole report, its page and its schema; most of it are keys of rounds."""
    from simulations.listed_code import listed_code  # torch: the quick tests here need none

    run = made_run(
        tmp_path / "run", planned=40, rounds=40, noise_multiplier="12", code=listed_code()
    )
    write_files(files_of(whole_report(run, rounds=40)), run.root)
    packed = write_pack(run.root, tmp_path / "pack.zip", run.pack_keys)

    assert packed.size_bytes <= 400_000
    assert {"report.html", "schema.json"} <= contents(tmp_path / "pack.zip").keys()
