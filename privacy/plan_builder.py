"""Which components a plan has: the training runs, solved for what the promise leaves them.

A sweep is declared: its R runs are R components of one plan, so that the promise covers them
together (at R = 2 a joint bound is far below the sum of two). What is released beside the
training has its noise given, and the training gets what remains of ε.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from privacy.accounting_solver import solve_noise_multiplier
from privacy.errors import PlanRefusedError
from privacy.events import Composed
from privacy.guarantee import Neighbours
from privacy.plan_components import Component, ComponentKind

TRAIN = "train"


@dataclass(frozen=True, slots=True)
class DeclaredRelease:
    """A scalar or a count that a plan releases beside its training.

    Attributes:
        name: Such as ``score``.
        kind: A scalar or a count.
        noise_multiplier: z, the standard deviation of the noise on the sum of values in [0, 1].
        releases: How often; 5 % more, at least one, are added as slack.
    """

    name: str
    kind: ComponentKind
    noise_multiplier: Decimal
    releases: int

    def __post_init__(self) -> None:
        if self.kind is ComponentKind.TRAIN or self.releases < 1:
            raise PlanRefusedError(
                f"expected a scalar or a count with at least one release, got {self.kind} and "
                f"{self.releases}; a further training run is one of the sweep's"
            )

    @property
    def component(self) -> Component:
        """The release as a plan holds it, slack included."""
        times = self.releases + slack_rounds(self.releases)
        return Component(self.name, self.noise_multiplier, Fraction(1), times, self.kind)


def slack_rounds(rounds: int) -> int:
    """Return the rounds that retries may burn: 5 % more, at least one."""
    return max(1, -(-rounds // 20))


def training_name(run: int) -> str:
    """Return the name of a run of the sweep, counted from 1: ``train``, then ``train-2``."""
    return TRAIN if run == 1 else f"{TRAIN}-{run}"


def solve_components(
    *,
    epsilon: Decimal,
    delta: Decimal,
    neighbours: Neighbours,
    sample_rate: Fraction,
    steps: int,
    runs: int,
    releases: Sequence[DeclaredRelease],
) -> tuple[Component, ...]:
    """Return the components of every region: all runs with the same noise, then the releases.

    Guarantees: all of them together cost at most ``epsilon`` at ``delta``.

    Args:
        epsilon: The promise for everything together.
        delta: Its δ.
        neighbours: Its relation.
        sample_rate: Chance that one unit is in one step.
        steps: Steps of one run, slack included.
        runs: Training runs of the sweep, >= 1.
        releases: What is released beside the training.

    Raises:
        PlanRefusedError: If there is no run.
        InvalidBudgetError: If the promise is none, or no noise multiplier keeps it.
        UnsupportedEventError: If a rate or a number of steps is out of range.
    """
    if runs < 1:
        raise PlanRefusedError(f"expected at least one training run, got {runs}")
    others = tuple(release.component for release in releases)
    noise_multiplier = solve_noise_multiplier(
        epsilon=epsilon,
        delta=delta,
        sample_rate=sample_rate,
        steps=runs * steps,
        neighbours=neighbours,
        beside=Composed(tuple(other.event for other in others)) if others else None,
    )
    training = (
        Component(training_name(run), noise_multiplier, sample_rate, steps)
        for run in range(1, runs + 1)
    )
    return (*training, *others)
