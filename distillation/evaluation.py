"""How good a classifier is, on public test data: right, fair to rare classes, calibrated.

Pure numpy on probabilities, so that the server, the simulator and a notebook agree.
Sources: macro-F1 as in scikit-learn's ``f1_score(average="macro")``; expected calibration error
with equal-mass bins, Nixon et al. 2019.
"""

import math
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from distillation.errors import TrainingError

_BINS = 15


@dataclass(frozen=True, slots=True)
class Quality:
    """What one model shows on one test set; every figure but the last two is in [0, 1].

    Attributes:
        accuracy: Share of records whose most likely class is the label.
        macro_f1: Mean F1 over the classes that occur in labels or predictions.
        agreement: Share of records on which student and teacher choose the same class.
        calibration_error: Expected gap of confidence and accuracy, equal-mass bins.
        brier: Mean squared distance of the probabilities from the label, in [0, 2].
        nll: Mean negative log-likelihood of the label, nats.
    """

    accuracy: float
    macro_f1: float
    agreement: float
    calibration_error: float
    brier: float
    nll: float

    @property
    def perplexity(self) -> float:
        """Exp of ``nll``: among how many equally likely answers the model hesitates."""
        return math.exp(self.nll)

    def to_dict(self) -> dict[str, float]:
        """Return the figures by name."""
        return asdict(self)


def evaluate(
    probabilities: NDArray[np.float64],
    labels: NDArray[np.int64],
    *,
    teacher: NDArray[np.float64],
) -> Quality:
    """Measure predictions against labels and against the teacher.

    Args:
        probabilities: The student's, (n, K), rows sum to 1.
        labels: (n,), in [0, K).
        teacher: The teacher's probabilities, (n, K).

    Raises:
        TrainingError: If there are no records, or the shapes differ.
    """
    if not len(labels) or probabilities.shape != teacher.shape or len(probabilities) != len(labels):
        raise TrainingError(
            "expected as many predictions as labels, at least one; got "
            f"{probabilities.shape}, {teacher.shape} and {labels.shape}"
        )
    chosen = probabilities.argmax(axis=1)
    of_label = probabilities[np.arange(len(labels)), labels]
    one_hot = np.eye(probabilities.shape[1])[labels]
    return Quality(
        accuracy=float((chosen == labels).mean()),
        macro_f1=macro_f1(chosen, labels),
        agreement=float((chosen == teacher.argmax(axis=1)).mean()),
        calibration_error=calibration_error(probabilities.max(axis=1), chosen == labels),
        brier=float(((probabilities - one_hot) ** 2).sum(axis=1).mean()),
        nll=float(-np.log(np.maximum(of_label, 1e-12)).mean()),
    )


def macro_f1(chosen: NDArray[np.int64], labels: NDArray[np.int64]) -> float:
    """Return the mean F1 over the classes that occur in ``chosen`` or ``labels``."""
    scores = []
    for kind in np.union1d(chosen, labels):
        both = int(((chosen == kind) & (labels == kind)).sum())
        either = int((chosen == kind).sum() + (labels == kind).sum())
        scores.append(2 * both / either)
    return float(np.mean(scores))


def calibration_error(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    """Return the expected calibration error over bins that hold equally many records."""
    order = np.argsort(confidence, kind="stable")
    total = 0.0
    for rows in np.array_split(order, min(_BINS, len(order))):
        total += abs(float(confidence[rows].mean() - right[rows].mean())) * len(rows)
    return total / len(confidence)
