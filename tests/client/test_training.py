"""A round's delta is drawn once, never without a reserve, and never again once it is released."""

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from client.approval import approve
from client.errors import RegionFolderError
from client.region import open_region
from client.training import LocalTraining, step_terms
from privacy.errors import BudgetExceededError
from privacy.ledger import Ledger
from privacy.ledger_entries import Release, Reserve
from privacy.plan import TRAIN
from tests.client import region_builder
from tests.client.region_builder import World, clock


@pytest.fixture(scope="module")
def approved(tmp_path_factory: pytest.TempPathFactory) -> World:
    return region_builder.make(tmp_path_factory.mktemp("world"))


@pytest.fixture
def training(approved: World, tmp_path: Path) -> Iterator[LocalTraining]:
    """Return one region's training, with a fresh ledger each time."""
    world = region_builder.fresh(approved, tmp_path / "run")
    folder = world.run.region("a")
    with Ledger.open(folder.ledger, clock=clock) as ledger:
        materials = approve(folder, world.plan.to_bytes(), ledger=ledger, approved_by="steward")
    with ThreadPoolExecutor(1) as trainer:
        region = open_region(folder, executor=trainer, clock=clock, materials=materials)
        yield region.handler._training
        region.ledger.close()


def _entries(training: LocalTraining) -> list[Reserve | Release]:
    found = [entry.payload for entry in training.ledger.entries()]
    return [one for one in found if isinstance(one, Reserve | Release)]


def test_the_steps_of_a_draw_are_told_in_their_order(training: LocalTraining) -> None:
    """Reserve, train, store, release; and the ledger has the hash of what is on disk."""
    told: list[str] = []
    released = replace(training, on_step=told.append).delta(0, training.materials.part.vector())
    delta = released.delta
    reserve, release = _entries(training)
    stored = training.folder.delta(0, 1).read_bytes()

    assert told == ["reserve", "train", "store", "release"]
    assert isinstance(reserve, Reserve)
    assert isinstance(release, Release)
    assert reserve.steps == training.plan.local_steps
    assert release.payload_sha256 == hashlib.sha256(stored).hexdigest()
    assert delta.tobytes() == stored


def test_a_released_delta_is_the_rounds_delta_for_ever(training: LocalTraining) -> None:
    """Asked again, also from other weights, the same bytes come and nothing is spent."""
    weights = training.materials.part.vector()
    first = training.delta(0, weights)
    again = training.delta(0, weights + 1)

    assert np.array_equal(first.delta, again.delta)
    assert first.payload_sha256 == again.payload_sha256
    assert len(_entries(training)) == 2


def test_every_round_and_every_draw_has_its_own_noise(training: LocalTraining) -> None:
    """Two rounds from the same weights, and a draw that was burnt, share no coordinate."""
    weights = training.materials.part.vector()
    _die_at("release", training, weights)
    burnt = np.frombuffer(training.folder.delta(0, 1).read_bytes(), dtype="<f4")
    zero, one = training.delta(0, weights).delta, training.delta(1, weights).delta

    for a, b in ((burnt, zero), (zero, one), (burnt, one)):
        assert not np.isclose(a, b, atol=1e-9).any()


@pytest.mark.parametrize("step", ["train", "store", "release"])
def test_a_death_after_the_reserve_burns_it(training: LocalTraining, step: str) -> None:
    """The next draw has the next number; the burnt one is never released."""
    weights = training.materials.part.vector()
    _die_at(step, training, weights)
    assert [type(entry) for entry in _entries(training)] == [Reserve]
    training.delta(0, weights)

    assert [(type(entry), entry.draw) for entry in _entries(training)] == [
        (Reserve, 1),
        (Reserve, 2),
        (Release, 2),
    ]


def test_a_death_before_the_reserve_costs_nothing(training: LocalTraining) -> None:
    """Nothing was drawn, nothing is on record."""
    _die_at("reserve", training, training.materials.part.vector())

    assert _entries(training) == []


def test_beyond_the_slack_nothing_is_trained(training: LocalTraining) -> None:
    """The plan's last step once reserved, a further draw is refused before training."""
    weights, plan = training.materials.part.vector(), training.plan
    for _ in range(plan.rounds + plan.slack_rounds):
        _die_at("train", training, weights)
    told: list[str] = []
    with pytest.raises(BudgetExceededError):
        replace(training, on_step=told.append).delta(0, weights)
    reserved = sum(entry.steps for entry in _entries(training) if isinstance(entry, Reserve))

    assert told == ["reserve"]
    assert reserved == plan.region("a").component(TRAIN).max_steps


@pytest.mark.parametrize("content", [None, b"", b"another delta"])
def test_a_lost_or_changed_delta_is_never_drawn_again(
    training: LocalTraining, content: bytes | None
) -> None:
    """Its release is on record: the region asks for its backup instead."""
    weights = training.materials.part.vector()
    training.delta(0, weights)
    path = training.folder.delta(0, 1)
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RegionFolderError, match="never drawn again"):
        training.delta(0, weights)

    assert len(_entries(training)) == 2


def test_the_terms_of_a_step_come_from_the_plan_alone(approved: World) -> None:
    """σ, C, q and the public size are those that the accountant charged."""
    plan = approved.plan
    terms, component = step_terms(plan, "b"), plan.region("b").component(TRAIN)

    assert terms.noise_multiplier == component.noise_multiplier
    assert terms.sample_rate == component.sample_rate
    assert terms.clip_norm == plan.clip_norm
    assert terms.public_size == plan.region("b").public_size


def _die_at(step: str, training: LocalTraining, weights: np.ndarray) -> None:
    def die(name: str) -> None:
        if name == step:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        replace(training, on_step=die).delta(0, weights)
