"""The self-test stands before every charge and every start, and its result is on record."""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from client import conformance
from client.approval import approve
from client.conformance import TOPIC, PassedBefore, code_sha256, subject_sha256
from client.region import open_region
from distillation.dp.conformance import check_trainer
from distillation.dp.conformance_subject import Check
from distillation.errors import ConformanceError
from privacy.ledger import Ledger
from privacy.ledger_entries import Note
from privacy.noise import SecureStream, gaussian
from tests.client import region_builder
from tests.client.region_builder import World, clock


@pytest.fixture
def world(prepared: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A world whose process has tested nothing yet."""
    monkeypatch.setattr(conformance, "passed_before", PassedBefore())
    return region_builder.fresh(prepared, tmp_path / "run")


def _half_the_noise(patch: pytest.MonkeyPatch) -> None:
    def half(stream: SecureStream, count: int, scale: float) -> object:
        return gaussian(stream, count, scale) / 2

    patch.setattr("distillation.dp.optimizer.gaussian", half)
    patch.setattr(conformance, "passed_before", PassedBefore())  # as in a new process


def _approve(world: World, name: str = "a") -> None:
    folder = world.run.region(name)
    with Ledger.open(folder.ledger, clock=clock) as ledger:
        approve(folder, world.plan.to_bytes(), ledger=ledger, approved_by="steward")


def _start(world: World, name: str = "a") -> None:
    with ThreadPoolExecutor(1) as trainer:
        open_region(world.run.region(name), executor=trainer, clock=clock).ledger.close()


def _entries(world: World, name: str = "a") -> list[object]:
    with Ledger.open(world.run.region(name).ledger, clock=clock) as ledger:
        return [entry.payload for entry in ledger.entries()]


def _notes(world: World, name: str = "a") -> list[Note]:
    return [p for p in _entries(world, name) if isinstance(p, Note) and p.topic == TOPIC]


def _counting(patch: pytest.MonkeyPatch) -> Callable[[], int]:
    made: list[object] = []

    def counted(*args: object, **named: object) -> object:
        made.append(args)
        return check_trainer(*args, **named)  # type: ignore[arg-type]  # handed on as they are

    patch.setattr(conformance, "check_trainer", counted)
    return lambda: len(made)


@pytest.mark.slow
def test_the_result_is_on_record_before_the_charge(world: World) -> None:
    """Which code, on what, and all nineteen checks by name; a start with the same adds nothing."""
    _approve(world)
    (note,) = _notes(world)
    kinds = [type(payload).__name__ for payload in _entries(world)]
    _start(world)

    assert note.content["code"] == code_sha256()
    assert note.content["subject"] == subject_sha256(world.plan, "a")
    assert note.content["plan"] == world.plan.hash
    assert sorted(map(str, note.content["passed"])) == sorted(check.value for check in Check)  # type: ignore[arg-type]
    assert note.content["failed"] == []
    assert kinds.index("Note") < kinds.index("Approval")
    assert len(_notes(world)) == 1


@pytest.mark.slow
def test_a_trainer_with_half_the_noise_is_charged_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The steward is told which check failed; the ledger says so too, and nothing is signed."""
    _half_the_noise(monkeypatch)
    with pytest.raises(ConformanceError, match="noise scale"):
        _approve(world)
    (note,) = _notes(world)

    assert re.search(r"noise scale: 0\.[45]", str(note.content["failed"]))
    assert "Approval" not in [type(payload).__name__ for payload in _entries(world)]
    assert not world.run.region("a").approval.exists()


@pytest.mark.slow
def test_a_trainer_that_changed_since_the_approval_starts_no_region(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No record is labelled, nothing reserved; the right trainer starts afterwards."""
    _approve(world)
    with monkeypatch.context() as patch:
        _half_the_noise(patch)
        with pytest.raises(ConformanceError, match="no budget spent"):
            _start(world)
        assert not world.run.region("a").labels.exists()
    _start(world)

    assert [bool(note.content["failed"]) for note in _notes(world)] == [False, True, False]
    assert "Reserve" not in [type(payload).__name__ for payload in _entries(world)]


@pytest.mark.slow
def test_regions_of_one_process_share_a_result(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same artifacts and terms are tested once; every region's ledger has the result."""
    tests = _counting(monkeypatch)
    for name in world.plan.cohort:
        _approve(world, name)
        _start(world, name)
    subjects = {subject_sha256(world.plan, name) for name in world.plan.cohort}

    assert tests() == len(subjects) <= len(world.plan.cohort)
    assert all(len(_notes(world, name)) == 1 for name in world.plan.cohort)


@pytest.mark.slow
def test_a_failure_is_not_remembered(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever corrects the cause and asks again is tested again."""
    _half_the_noise(monkeypatch)
    tests = _counting(monkeypatch)
    for _ in range(2):
        with pytest.raises(ConformanceError):
            _approve(world)

    assert tests() == 2


def test_the_code_has_one_hash_and_every_subject_its_own(prepared: World) -> None:
    """Terms that differ are another subject."""
    plan = prepared.plan
    other = next(name for name in plan.cohort if plan.region(name) != plan.region("a"))

    assert len(code_sha256()) == 64
    assert subject_sha256(plan, "a") == subject_sha256(plan, "a")
    terms = [plan.region(name).public_size for name in ("a", other)]
    assert (subject_sha256(plan, "a") == subject_sha256(plan, other)) == (terms[0] == terms[1])
