"""A region trains with canaries by its own coins, audits itself once, and stops if it has to."""

import stat
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest

from client.approval import approve
from client.canaries import coins_file, coins_of
from client.errors import ApprovalRefusedError, RegionFolderError
from client.folder import RegionFolder
from client.handler import RegionHandler
from client.incidents import least_charge
from client.policy import Policy
from client.production_audit import audit_region
from client.region import labelled_records, open_region
from client.training import LocalTraining
from distillation.audit.result import AuditResult, Method
from distillation.workbench import Workbench
from privacy.errors import AccountFrozenError
from privacy.ledger import Ledger
from privacy.ledger_entries import Freeze, Note, Payload, Reserve
from protocol.envelope import MessageKind
from tests.client import region_builder
from tests.client.region_builder import World, clock, play, publish
from tests.distillation.faulty_trainers import SIXTEEN
from tests.simulations import tiny_study

pytestmark = pytest.mark.slow

Kind = TypeVar("Kind", bound=Payload)
CANARIES = 48
"""With 24, region a finds a training without noise in eleven runs of twelve: no test."""
NO_NOISE = next(fault for fault in SIXTEEN if fault.name == "no noise")


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Five regions that approved a plan of one round with an audit; the claim is small."""
    tiny = tiny_study.audited(tmp_path_factory.mktemp("study"), canaries=CANARIES)
    world = region_builder.prepared_world(tiny.file, tmp_path_factory.mktemp("audited") / "run")
    world.approve_all()
    return world


@pytest.fixture
def world(audited: World, tmp_path: Path) -> World:
    return region_builder.fresh(audited, tmp_path / "run")


def _round(world: World, regions: Mapping[str, RegionHandler]) -> None:
    """Play the plan's only round to its published sum."""
    one = world.round(0)
    play(one, regions)
    published = publish(one.close())
    for region in regions.values():
        region.handle(MessageKind.QUERY_SUM, published)


def _records(training: LocalTraining) -> Workbench:
    policy = Policy.load(training.folder.policy)
    return labelled_records(training.folder, policy, training.materials, clock)


def _audit(training: LocalTraining) -> tuple[AuditResult, ...]:
    return audit_region(
        training.folder,
        training.ledger,
        training.plan,
        training.materials,
        _records(training),
        date="2026-05-03",
        who="A. Steward",
    )


def _entries(ledger: Ledger, kind: type[Kind]) -> list[Kind]:
    return [entry.payload for entry in ledger.entries() if isinstance(entry.payload, kind)]


def _notes(ledger: Ledger, topic: str) -> list[Note]:
    return [note for note in _entries(ledger, Note) if note.topic == topic]


def test_coins_are_flipped_once_and_stay_in_the_region(world: World) -> None:
    """Each region its own, closed to others; the ledger has the hash before a step is reserved."""
    with region_builder.handlers(world) as regions:
        bits, notes = [], []
        for name, region in regions.items():
            folder, ledger = world.run.region(name), region._training.ledger
            before = coins_of(folder, world.plan, ledger)
            approve(folder, world.plan.to_bytes(), ledger=ledger, approved_by="again")
            again = coins_of(folder, world.plan, ledger)
            found = [note.content for note in _notes(ledger, "canaries")]
            bits.append(tuple(before.bits))
            notes.append(found)

            assert np.array_equal(before.bits, again.bits)
            assert stat.S_IMODE(coins_file(folder).stat().st_mode) == 0o600
            assert not _entries(ledger, Reserve)
    assert len(set(bits)) == len(world.plan.cohort)
    assert {len(coins) for coins in bits} == {CANARIES}
    assert all(len(found) == 1 for found in notes)
    assert {found[0]["canaries"] for found in notes} == {CANARIES}


def test_canaries_train_beside_the_records(world: World) -> None:
    """As many rows more as coins came up; the records' own are as they were."""
    with region_builder.handlers(world) as regions:
        training = regions["a"]._training
        coins = coins_of(training.folder, world.plan, training.ledger)
        records = _records(training)

        assert len(training.bench) == len(records) + int(coins.bits.sum())
        assert training.bench.inputs.values[: len(records)].equal(records.inputs.values)


def test_the_right_trainer_goes_on(world: World) -> None:
    """Not flagged; the result is on record, the same when it is asked for again, and charged 0."""
    with region_builder.handlers(world) as regions:
        _round(world, regions)
        training = regions["a"]._training
        before = training.ledger.budget()
        first, again = _audit(training), _audit(training)
        notes = _notes(training.ledger, "audit")

        assert [one.method for one in first] == list(Method)
        assert all(one.canaries == CANARIES for one in first)
        assert again == first
        assert len(notes) == 1
        assert training.ledger.budget() == before
        assert not any(one.flagged for one in first)
        assert not _entries(training.ledger, Freeze)


def test_a_trainer_without_noise_stops_its_account(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fault comes after the self-test; the audit finds it, and nothing more is drawn."""
    with region_builder.handlers(world) as regions:
        NO_NOISE.plant(monkeypatch)
        _round(world, regions)
        training = regions["a"]._training
        results = _audit(training)
        with pytest.raises(AccountFrozenError, match="found more than was charged"):
            training.delta(1, training.materials.part.vector())
        (freeze,) = _entries(training.ledger, Freeze)
        worst = max(one.lower_bound - one.claim for one in results)

        assert any(one.flagged for one in results)
        assert isinstance(freeze, Freeze)
        assert freeze.evidence["what"] == "audit-above-claim"
        assert least_charge(training.folder, training.ledger, "a-records") == worst > Decimal(0)


def test_an_audit_waits_for_the_last_round(world: World) -> None:
    """One that could be made again and again would accuse more often than it says."""
    with region_builder.handlers(world) as regions:
        with pytest.raises(ApprovalRefusedError, match="after the last"):
            _audit(regions["a"]._training)

        assert not _notes(regions["a"]._training.ledger, "audit")


def _lose(folder: RegionFolder) -> None:
    coins_file(folder).unlink()


def _flip(folder: RegionFolder) -> None:
    text = coins_file(folder).read_text()
    digit = text.index('"coins": "') + len('"coins": "')
    other = "0" if text[digit] == "1" else "1"
    coins_file(folder).write_text(text[:digit] + other + text[digit + 1 :])


@pytest.mark.parametrize("change", [_lose, _flip])
def test_a_region_without_its_coins_does_not_train(
    world: World, change: Callable[[RegionFolder], None]
) -> None:
    """Gone, or one of them the other way up: it does not even open."""
    change(world.run.region("a"))
    with ThreadPoolExecutor(1) as trainer, pytest.raises(RegionFolderError, match="own backup"):
        open_region(world.run.region("a"), executor=trainer, clock=clock)


def test_a_policy_has_to_allow_canaries(world: World) -> None:
    """By default it allows none; nothing is charged for a plan that is refused."""
    folder = world.run.region("a")
    replace(Policy.load(folder.policy), max_canaries=CANARIES - 1).save(folder.policy)
    with (
        Ledger.open(folder.ledger, clock=clock) as ledger,
        pytest.raises(ApprovalRefusedError, match=r"federation\.max_canaries"),
    ):
        approve(folder, world.plan.to_bytes(), ledger=ledger, approved_by="steward")
