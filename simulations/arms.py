"""An arm that is to be run: which one it is, in words, and how."""

from dataclasses import dataclass

from privacy.report.parts import ArmName
from simulations import baselines


@dataclass(frozen=True, slots=True)
class Comparison:
    """One arm that is to be run.

    Attributes:
        name: Which one.
        title: A few words, for a chart.
        description: What was trained on what.
        arm: How.
        note: What else must be said.
        repeated: Whether chance is in it, so that seeds differ.
    """

    name: ArmName
    title: str
    description: str
    arm: baselines.Arm
    note: str = ""
    repeated: bool = True
