"""The auditor's check of published sums: honest runs hold, and each lie is found."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from protocol.config import SignedConfig
from protocol.identity import Identity
from protocol.share_messages import Parcel
from protocol.transcript import Transcript
from tests.client import region_builder
from tests.client.region_builder import World
from tests.server.direct import honest, run
from verify.findings import Outcome
from verify.sums_check import check_sums


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Three rounds of five regions; the first message of b is lost, so four are in every sum."""
    world = region_builder.make(tmp_path_factory.mktemp("world"))
    world.approve_all()
    run(world, honest, away=1)
    return world


@pytest.fixture
def folder(finished: World, tmp_path: Path) -> Path:
    return region_builder.fresh(finished, tmp_path / "run").run.root


def test_an_honest_run_holds(folder: Path) -> None:
    """Every transcript, sum, receipt and ledger agree; b is in no sum and is not asked for."""
    result = check_sums(folder)

    assert (result.outcome, result.findings) == (Outcome.HOLDS, ())
    assert result.regions == ("a", "c", "d", "e")


def _edit(name: str, change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        path = folder / "rounds" / name
        path.write_bytes(change(path.read_bytes()))

    return edit


def _without_consents(data: bytes) -> bytes:
    old = Transcript.from_bytes(data)
    return Transcript(
        signed_config=old.signed_config,
        roster=old.roster,
        survivors=old.survivors,
        consents=old.consents[:-1],
        outcome=old.outcome,
    ).to_bytes()


def _swap(folder: Path) -> None:
    one, two = (folder / "rounds" / f"0000{n}.transcript" for n in range(2))
    first = one.read_bytes()
    one.write_bytes(two.read_bytes())
    two.write_bytes(first)


def _borrow_receipts(folder: Path) -> None:
    shutil.copy(folder / "rounds" / "00001.receipts", folder / "rounds" / "00000.receipts")


LIES = {
    "a changed sum": (_edit("00001.sum", lambda data: data[:-1] + b"x"), "is not the sum"),
    "a consent less": (_edit("00000.transcript", _without_consents), "too_few_consents"),
    "a changed byte": (_edit("00002.transcript", lambda d: d[:-1] + b"x"), "bad_signature"),
    "rounds in another order": (_swap, "renamed"),
    "another round's receipts": (_borrow_receipts, "countersigned|wrong_context|another"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_found(folder: Path, lie: str) -> None:
    """The finding names the file and what is wrong with it."""
    act, expected = LIES[lie]
    act(folder)
    result = check_sums(folder)

    assert result.outcome is Outcome.VIOLATED
    assert any(word in result.findings[0].text for word in expected.split("|"))


@pytest.mark.parametrize(
    "path", ["server/registry.bin", "rounds/00000.transcript", "rounds/00001.sum"]
)
def test_what_is_missing_is_asked_for(folder: Path, path: str) -> None:
    """Nothing is said against the run; it is only not confirmed."""
    (folder / path).unlink()

    assert check_sums(folder).outcome is Outcome.INCOMPLETE


def test_a_region_in_a_sum_whose_ledger_knows_nothing_of_it(folder: Path) -> None:
    """A ledger that lost its end contradicts what the others and the coordinator signed."""
    shutil.copy(folder / "regions" / "b" / "ledger.db", folder / "regions" / "a" / "ledger.db")
    result = check_sums(folder)

    assert result.outcome is Outcome.VIOLATED
    assert {finding.region for finding in result.findings} == {"a"}


def test_another_registrys_run_is_not_confirmed(folder: Path) -> None:
    """The registry decides whose signatures count."""
    config = SignedConfig.from_bytes(
        Transcript.from_bytes((folder / "rounds" / "00000.transcript").read_bytes()).signed_config
    ).config
    forged = SignedConfig.sign(config, Identity.generate()).to_bytes()

    def replace_config(data: bytes) -> bytes:
        old = Transcript.from_bytes(data)
        return Transcript(
            signed_config=forged,
            roster=old.roster,
            survivors=old.survivors,
            consents=old.consents,
            outcome=old.outcome,
        ).to_bytes()

    _edit("00000.transcript", replace_config)(folder)

    assert check_sums(folder).outcome is Outcome.VIOLATED
    assert Parcel.from_bytes((folder / "rounds" / "00000.receipts").read_bytes()).items
