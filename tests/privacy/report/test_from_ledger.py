from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest

from privacy.errors import UnknownEntryError
from privacy.plan import TRAIN
from privacy.report.from_ledger import region_of
from privacy.report.parts import Sent
from tests.privacy.builders import DIGEST, RECORD_LIMIT, ready_ledger, small_plan

PLAN = small_plan()


def test_a_region_is_reported_as_its_ledger_has_it(tmp_path: Path) -> None:
    """Charge, budget, mechanism, steps and what left: all from entries and plan."""
    with ready_ledger(tmp_path / "ledger.db", PLAN) as ledger:
        ledger.accept_context(PLAN.hash, 1, 1, bytes(32))
        draw = ledger.reserve(PLAN.hash, 1, TRAIN, 2)
        ledger.release(PLAN.hash, 1, TRAIN, draw, DIGEST, 8)
        ledger.send(PLAN.hash, 1, TRAIN, bytes(32), DIGEST, 12, "coordinator")
        _ = ledger.reserve(PLAN.hash, 2, TRAIN, 2)
        region = region_of(ledger.state, PLAN)
        (view,) = ledger.budget()
    assert (region.name, region.lineage, region.public_size) == ("north", "patients", 600)
    assert region.charged.guarantee == view.charged
    assert region.budget == RECORD_LIMIT
    assert (region.noise_multiplier, region.sample_rate) == (Decimal(8), Fraction(1, 10))
    assert (region.released_steps, region.reserved_steps, region.max_steps) == (2, 4, 10)
    assert region.sent == (Sent(2, 12, DIGEST, "coordinator"),)


def test_a_plan_that_was_not_approved_is_not_reported(tmp_path: Path) -> None:
    """There is no guarantee to report under another plan."""
    with (
        ready_ledger(tmp_path / "ledger.db", PLAN) as ledger,
        pytest.raises(UnknownEntryError, match="not there"),
    ):
        region_of(ledger.state, small_plan(study="another"))
