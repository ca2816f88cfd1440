"""The ladder over ε: its sums on made-up figures, and a climb on the tiny study."""

import importlib
from decimal import Decimal
from pathlib import Path
from types import ModuleType

import pytest

from privacy.report.parts import ArmName
from tests.simulations import tiny_study

BENCH = Path(__file__).parents[1] / "bench"


@pytest.fixture
def ladder(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return the bench, which is a script beside its helpers and no package."""
    monkeypatch.syspath_prepend(BENCH)
    return importlib.import_module("ladder")


def test_differences_are_paired_seed_by_seed(ladder: ModuleType) -> None:
    """Seeds that differ widely, and by one hundredth each between arms: the interval is narrow."""
    one = Decimal(1)
    climbed = [
        ladder.Climbed(
            fixed={name: (level + 0.1, level) for name in ladder._FIXED},
            rungs={
                one: {
                    ArmName.DISTILLED: (level + 0.01, level + 0.02),
                    ArmName.WITHOUT_TEACHER: (level, level),
                }
            },
            noise={one: {"noise_multiplier": 3.0, "charged_epsilon": 0.99}},
        )
        for level in (0.2, 0.5, 0.8)
    ]
    found = ladder.summarise(climbed)
    rung = found["epsilon"]["1"]

    assert rung["noise_multiplier"] == 3.0
    assert rung["arms"]["distilled"]["accuracy"] == pytest.approx(0.51)
    assert rung["distilled_minus"]["without-teacher"]["accuracy"] == pytest.approx([0.01] * 3)
    assert rung["distilled_minus"]["without-teacher"]["macro_f1"] == pytest.approx([0.02] * 3)
    assert rung["distilled_minus"]["public-only"]["accuracy"] == pytest.approx([-0.09] * 3)
    assert found["without_epsilon"]["teacher"]["seeds"][0] == [pytest.approx(0.3), 0.2]


def test_a_seed_orders_the_public_records_and_keeps_the_studys_epochs(ladder: ModuleType) -> None:
    """What the study says is kept unless the check asks for one pass."""
    study = "[warm_up]\nepochs = 7\nbatch_size = 4\n"

    assert "epochs = 7\nseed = 3\n" in ladder.with_warm_up(study, seed=3, epochs=None)
    assert "epochs = 1\nseed = 3\n" in ladder.with_warm_up(study, seed=3, epochs=1)
    with pytest.raises(ValueError, match="epochs = N"):
        ladder.with_warm_up("[warm_up]\n", seed=3, epochs=1)


@pytest.mark.slow
def test_a_climb_uses_each_rungs_own_noise(ladder: ModuleType, tmp_path: Path) -> None:
    """Plans of the product: less noise for a larger ε, never a charge above it."""
    study = tiny_study.make(tmp_path, rounds=1)
    with ladder.ready(study.file) as one:
        climbed = ladder.climb(one, ladder.QUICK_EPSILONS)
    noise = [climbed.noise[epsilon]["noise_multiplier"] for epsilon in ladder.QUICK_EPSILONS]

    rates = [climbed.noise[epsilon]["distilled_rate"] for epsilon in ladder.QUICK_EPSILONS]

    assert noise == sorted(noise, reverse=True)
    assert rates == sorted(rates)
    assert rates[0] < rates[-1]
    assert [a * b for a, b in zip(noise, rates, strict=True)] == pytest.approx(
        [noise[0] * rates[0]] * len(rates), rel=0.01
    )
    assert all(
        0.9 * float(epsilon) < climbed.noise[epsilon]["charged_epsilon"] <= float(epsilon)
        for epsilon in ladder.QUICK_EPSILONS
    )
    assert set(climbed.fixed) == {ArmName.TEACHER, ArmName.PUBLIC_ONLY, ArmName.NO_PRIVACY}
    assert all(set(rung) == set(ladder._PRIVATE) for rung in climbed.rungs.values())
