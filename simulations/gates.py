"""Gates: thresholds on public data that a student must pass before it is written out."""

from distillation.evaluation import Quality
from distillation.study import GatesTable


def missed_gates(gates: GatesTable, quality: Quality) -> tuple[str, ...]:
    """Return one sentence for each gate of the study that the student does not pass."""
    missed = []
    if gates.accuracy is not None and quality.accuracy < float(gates.accuracy):
        missed.append(
            f"The student was not written out: its accuracy {quality.accuracy:.3f} is below the "
            f"study's gate of {gates.accuracy}."
        )
    limit = gates.calibration_error
    if limit is not None and quality.calibration_error > float(limit):
        missed.append(
            "The student was not written out: its calibration error "
            f"{quality.calibration_error:.3f} is above the study's gate of {limit}."
        )
    return tuple(missed)
