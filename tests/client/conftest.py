"""One round of real regions behind their gates: played once, looked at by many tests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:  # slow to import, and most tests need neither
    from tests.client.egress_tools import Played
    from tests.client.region_builder import World


@pytest.fixture(scope="session")
def played(approved: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    """One round; whoever has a gate answer again only lengthens its list of what left."""
    from tests.client import region_builder
    from tests.client.egress_tools import Played, answers_of_a_round, gate_of

    world = region_builder.fresh(approved, tmp_path_factory.mktemp("played") / "run")
    with region_builder.handlers(world) as regions:
        gates = {name: gate_of(world, name, region) for name, region in regions.items()}
        yield Played(world, gates, answers_of_a_round(world, gates))
