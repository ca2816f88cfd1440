"""Which rate fits a run's noise: the two constants of `distillation.step_size`, measured.

    python bench/step_size.py icd-chapters --full --out docs/results/step-size-icd-chapters.json
    python bench/step_size.py packages --full --lists runs/packages-data/lists

Splits that nothing reports (seeds 100 to 102) up to what depends on ε, as in `ladder.py`; then arms
through the private trainer with the noise of a plan for each ε, at rates given by what they do:

- *noise*: by how much, as a standard deviation, the noise of the whole run moves a logit; for both
  private arms, and for several clip norms;
- *step*: by how much one step moves a logit at most, at an ε that leaves next to no noise; and the
  same rates without any.

A cell is the mean over seeds of two draws; accuracy. The quick check takes one seed, few records
and one cell of each kind: it shows that all runs, no figure.
"""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

import numpy as np
from ladder import LISTS, STUDIES, Ready, plan_for, ready, writer
from measure import parser, publish, say

from distillation.recipe import at_rate
from distillation.step_size import feature_length
from distillation.study import Study
from privacy.report.parts import ArmName
from simulations.arms import Comparison
from simulations.baselines import final_quality, noise
from simulations.comparisons import arms_of

_SEEDS = (100, 101, 102)
_DRAWS = 2
_NOISES = (0.1, 0.2, 0.4, 0.8, 1.6)
_STEPS = (3.0, 6.0, 12.0, 24.0, 48.0)
_EPSILONS = tuple(map(Decimal, ("0.5", "2", "8")))
_PROMISED, _LARGE = Decimal(2), Decimal(32)
_CLIP_NORMS = tuple(map(Decimal, ("0.25", "0.5", "2", "4")))
_ARMS = (ArmName.DISTILLED, ArmName.WITHOUT_TEACHER)


@dataclass(frozen=True, slots=True)
class Cell:
    """One way to train.

    Attributes:
        arm: Which arm.
        epsilon: The plan's ε.
        clip_norm: Its C.
        moves: By how much a logit is moved.
        by: What moves it: ``noise`` or ``step``.
    """

    arm: ArmName
    epsilon: Decimal
    clip_norm: Decimal
    moves: float
    by: str

    @property
    def row(self) -> str:
        """What a row of the table has in common."""
        if self.arm is ArmName.NO_PRIVACY:
            return f"{self.arm}, by {self.by}"
        return f"{self.arm}, ε = {self.epsilon:f}, C = {self.clip_norm:f}, by {self.by}"


def cells() -> Iterator[Cell]:
    """Yield every cell of the table."""
    one = Decimal(1)
    for arm in _ARMS:
        for epsilon in _EPSILONS:
            yield from (Cell(arm, epsilon, one, moves, "noise") for moves in _NOISES)
    for clip_norm in _CLIP_NORMS:
        yield Cell(ArmName.DISTILLED, _PROMISED, clip_norm, 0.4, "noise")
    for arm in (*_ARMS, ArmName.NO_PRIVACY):
        yield from (Cell(arm, _LARGE, one, moves, "step") for moves in _STEPS)


def main() -> None:
    """Fill the table and print it."""
    parse = parser(__doc__ or "")
    parse.add_argument("study", choices=STUDIES, help="Which study.")
    parse.add_argument("--lists", type=Path, default=LISTS, help="For packages: apt's indices.")
    asked = parse.parse_args()
    seeds = _SEEDS if asked.full else _SEEDS[:1]
    wanted = list(cells())
    if asked.quick:
        wanted = list({cell.row: cell for cell in wanted if cell.epsilon != _EPSILONS[0]}.values())
    write = writer(asked.study, lists=asked.lists, quick=asked.quick)
    found: dict[str, dict[str, list[float]]] = {}
    for seed in seeds:
        with tempfile.TemporaryDirectory() as folder, ready(write(Path(folder), seed)) as one:
            for cell in wanted:
                row = found.setdefault(cell.row, {})
                row.setdefault(f"{cell.moves:g}", []).append(accuracy(one, cell))
        say(f"seed {seed}")
        show(found)
    size = {"study": asked.study, "quick": asked.quick, "seeds": list(seeds), "draws": _DRAWS}
    publish({**size, "accuracy": found}, asked.out)


def accuracy(one: Ready, cell: Cell) -> float:
    """Return the mean accuracy of a cell's draws on one split."""
    terms = replace(one.study.privacy, epsilon=cell.epsilon, clip_norm=cell.clip_norm)
    study = replace(one.study, privacy=terms)
    prepared = replace(one.prepared, plan=plan_for(study, one.prepared))
    comparison = moved_by(arms_of(study, one.data, prepared, one.benches)[cell.arm], study, cell)
    draws = _DRAWS if comparison.repeated else 1
    part, start, test = prepared.part, prepared.start, prepared.test
    return float(
        np.mean([final_quality(comparison.arm, part, start, test).accuracy for _ in range(draws)])
    )


def moved_by(comparison: Comparison, study: Study, cell: Cell) -> Comparison:
    """Return the arm with the rate at which a logit moves as the cell says."""
    arm = comparison.arm
    moved = noise(arm) if cell.by == "noise" else float(cell.clip_norm)
    rate = cell.moves / (float(np.hypot(feature_length(study), 1)) * moved)
    return replace(comparison, arm=replace(arm, recipe=at_rate(arm.recipe, rate)))


def show(found: dict[str, dict[str, list[float]]]) -> None:
    """Print what there is so far for people."""
    for row, values in found.items():
        said: Sequence[str] = [f"{moves}: {np.mean(each):.3f}" for moves, each in values.items()]
        say(f"  {row}  {'  '.join(said)}")


if __name__ == "__main__":
    main()
