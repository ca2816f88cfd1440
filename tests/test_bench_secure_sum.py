"""The secure-sum bench, on a task so small that it shows the sums and not the speed."""

import importlib
import json
from pathlib import Path
from types import ModuleType

import pytest

BENCH = Path(__file__).parents[1] / "bench"
EXACT = {"32 bit": 1e-12, "16 bit, rotated": 1e-5}
"""Largest error for each of FSA1's variants; Flower's grid of 2**22 is between the two."""


@pytest.fixture
def secure_sum(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return the bench, which is a script beside its helpers and no package."""
    monkeypatch.syspath_prepend(BENCH)
    return importlib.import_module("secure_sum")


@pytest.mark.slow
def test_both_sides_give_the_plain_sum_and_the_json_has_its_keys(secure_sum: ModuleType) -> None:
    cells = list(secure_sum.measure_cells((4,), (1000,)))

    assert [cell.lost for cell in cells] == [0, 0, 0, 0, 1, 1]
    for cell in cells:
        assert cell.flower.nmse < 1e-8
        assert cell.fsa1.nmse < EXACT[cell.variant]
        assert cell.flower.measured == cell.fsa1.measured == 4 - cell.lost
        assert cell.client_ratio == cell.flower.client_s / cell.fsa1.client_s
        assert cell.flower.up_bytes > 8000
        assert cell.server_limit > cell.server_ratio
        assert cell.fsa1.after_s > 0
    figures = json.loads(json.dumps(secure_sum.figures(cells)))
    keys = {"client_ratio", "server_ratio", "bytes_per_parameter", "cells", "threat_models"}
    assert keys <= figures.keys()
    assert figures["headline"] == "N=4, d=1000, 30 % lost, 16 bit, rotated"
    assert len(figures["cells"]) == len(cells)
    assert len(secure_sum.table(cells).splitlines()) == 4 + len(cells)


@pytest.mark.slow
def test_a_replayed_vector_is_named_and_its_sum_is_not_judged(secure_sum: ModuleType) -> None:
    deltas = secure_sum.Deltas(2000, 4)
    task = secure_sum.Task.losing(deltas, 30)
    flower = secure_sum.FlowerFederation(4)

    whole, replayed = flower.sum(task), flower.sum(task, measured=1)

    assert whole.nmse < 1e-8
    assert whole.replayed == []
    assert replayed.nmse is None
    assert any("masked vectors of 2 clients" in what for what in replayed.replayed)
    assert replayed.up_bytes == pytest.approx(whole.up_bytes, rel=0.01)


@pytest.mark.slow
def test_the_error_of_a_wrong_sum_shows(secure_sum: ModuleType) -> None:
    task = secure_sum.Task.losing(secure_sum.Deltas(1000, 4), 0)

    assert task.nmse(task.plain_mean) == 0
    assert task.nmse(1.01 * task.plain_mean) == pytest.approx(1e-4)


@pytest.mark.slow
def test_the_mask_step_is_hardly_faster_than_the_machine(secure_sum: ModuleType) -> None:
    assert 0 < secure_sum.masking(32, 100_000, turns=2)["limit_fraction"] < 1.5
