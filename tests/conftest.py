"""The tiny federation that many tests of regions and coordinator start from: prepared once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:  # torch and transformers are slow to import, and most tests need neither
    from client.handler import RegionHandler
    from tests.client.region_builder import World

# How long an example takes says how busy the machine is, not whether the code is right.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Five regions and a plan that none of them approved; take a fresh copy to change it."""
    from tests.client import region_builder

    return region_builder.make(tmp_path_factory.mktemp("prepared"))


@pytest.fixture(scope="session")
def approved(prepared: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    """The same with the plan approved everywhere; take a fresh copy to change it."""
    from tests.client import region_builder

    world = region_builder.fresh(prepared, tmp_path_factory.mktemp("approved") / "run")
    world.approve_all()
    return world


@pytest.fixture
def world(approved: World, tmp_path: Path) -> World:
    """A copy of its own, approved everywhere."""
    from tests.client import region_builder

    return region_builder.fresh(approved, tmp_path / "run")


@pytest.fixture
def regions(world: World) -> Iterator[dict[str, RegionHandler]]:
    """Every region of ``world``, open."""
    from tests.client import region_builder

    with region_builder.handlers(world) as opened:
        yield opened
