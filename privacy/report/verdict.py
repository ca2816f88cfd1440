"""When did distillation pay? Sentences that follow from the arms' numbers, whoever wins.

Two means are called different when they are further apart than twice the standard error of their
difference; with few seeds that is a rule of thumb, not a test, and one seed has no error to show.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from privacy.report.language_verdict import language_verdict
from privacy.report.parts import Arm, ArmName, Verdict

_WHEN = (
    "Distillation pays where the teacher knows more than the public data tell and most of the "
    "regions' records have no true label. Where every record has one, or where the student may "
    "see all that the teacher was trained on, measure the simpler way first."
)


@dataclass(frozen=True, slots=True)
class Difference:
    """How far one arm's accuracy is above another's.

    Attributes:
        gain: The difference of the means; negative if the first is worse.
        noise: Twice the standard error of the difference; None where a seed stands alone.
    """

    gain: float
    noise: float | None

    @classmethod
    def of(cls, one: Arm, other: Arm) -> Difference:
        """Compare ``one`` with ``other``."""
        gain = float(one.accuracy - other.accuracy)
        if any(arm.seeds < 2 and not arm.is_fixed for arm in (one, other)):
            return cls(gain, None)
        parts = (float(arm.accuracy_sd) ** 2 / arm.seeds for arm in (one, other))
        return cls(gain, 2 * math.sqrt(sum(parts)))

    @property
    def is_gain(self) -> bool:
        """Whether the first is better by more than the seeds' noise."""
        return self.gain > (self.noise or 0.0)

    @property
    def is_loss(self) -> bool:
        """Whether the first is worse by more than the seeds' noise."""
        return -self.gain > (self.noise or 0.0)

    @property
    def caveat(self) -> str:
        """What the difference may hide; empty if nothing."""
        if self.noise is None:
            return " With one seed, chance is not ruled out."
        if self.is_gain or self.is_loss:
            return ""
        return " The difference is within the spread of the seeds."


def verdict_of(arms: Sequence[Arm], *, labelled_share: Fraction) -> Verdict:
    """Return what the arms say about whether the study was worth it.

    Args:
        arms: At least teacher, distilled and public-only, each once.
        labelled_share: Share of the private records that have a true label.
    """
    by_name = {arm.name: arm for arm in arms}
    student = by_name[ArmName.DISTILLED]
    if all(arm.tokens is not None for arm in arms):
        return language_verdict(by_name)
    rivals = (
        _public_only(student, by_name[ArmName.PUBLIC_ONLY]),
        _without_teacher(student, by_name.get(ArmName.WITHOUT_TEACHER), labelled_share),
        _hard_labels(student, by_name.get(ArmName.HARD_LABELS)),
        _all_true_labels(student, by_name.get(ArmName.ALL_TRUE_LABELS)),
        _no_privacy(student, by_name.get(ArmName.NO_PRIVACY)),
        _teacher(student, by_name[ArmName.TEACHER]),
    )
    return Verdict(_headline(student, by_name), (*(text for text in rivals if text), _WHEN))


def _headline(student: Arm, arms: dict[ArmName, Arm]) -> str:
    public = Difference.of(student, arms[ArmName.PUBLIC_ONLY])
    if not public.is_gain:
        return "Not worth it here: the private records added nothing that can be shown."
    if ArmName.WITHOUT_TEACHER not in arms:
        return "The private records helped; there is no student without the teacher to compare."
    if not Difference.of(student, arms[ArmName.WITHOUT_TEACHER]).is_gain:
        return (
            "Distillation was not worth it here: the regions' own labels do as well without "
            "the teacher."
        )
    if public.noise is None:
        return "It seems worth it here, on one seed: the private records and the teacher helped."
    return "Worth it here: the private records helped, and so did the teacher."


def _public_only(student: Arm, public: Arm) -> str:
    found = Difference.of(student, public)
    if found.is_loss:
        start = "The private records made the student worse"
    elif found.is_gain:
        start = "The private records made the student better"
    else:
        start = "The private records did not clearly help"
    return (
        f"{start}: accuracy {_both(public, student, 'accuracy')}, macro-F1 "
        f"{_both(public, student, 'macro_f1')}, against training on public data only."
        f"{found.caveat if found.noise is None else ''}"
    )


def _without_teacher(student: Arm, rival: Arm | None, share: Fraction) -> str:
    if rival is None:
        return ""
    found = Difference.of(student, rival)
    result = "The teacher helped" if found.is_gain else "The teacher did not help"
    return (
        f"{result}: its labels on all records give {student.accuracy:.3f}; the regions' own "
        f"labels, which {_percent(share)} of the records have, give {rival.accuracy:.3f}"
        f"{_at_epsilon(student, rival)}.{found.caveat}"
    )


def _hard_labels(student: Arm, rival: Arm | None) -> str:
    if rival is None:
        return ""
    found = Difference.of(student, rival)
    more = "more" if found.gain > 0 else "no more"
    return (
        f"The teacher's probabilities give {more} than its most likely answers alone: "
        f"{student.accuracy:.3f} against {rival.accuracy:.3f}.{found.caveat}"
    )


def _all_true_labels(student: Arm, rival: Arm | None) -> str:
    if rival is None:
        return ""
    found = Difference.of(student, rival)
    result = "they would have given more" if found.gain < 0 else "they would not have given more"
    return (
        f"If all private records had true labels, {result}: {rival.accuracy:.3f} against "
        f"{student.accuracy:.3f}{_at_epsilon(student, rival)}.{found.caveat}"
    )


def _no_privacy(student: Arm, rival: Arm | None) -> str:
    if rival is None:
        return ""
    found = Difference.of(student, rival)
    if found.gain >= 0:
        return (
            f"Privacy cost no accuracy that shows: {student.accuracy:.3f} with it, "
            f"{rival.accuracy:.3f} without.{found.caveat}"
        )
    return (
        f"Privacy cost {-found.gain:.3f} of accuracy: {student.accuracy:.3f} with it, "
        f"{rival.accuracy:.3f} without.{found.caveat}"
    )


def _teacher(student: Arm, teacher: Arm) -> str:
    if student.accuracy >= teacher.accuracy:
        return (
            f"The student reaches {student.accuracy:.3f} and its teacher {teacher.accuracy:.3f}: "
            "it is not worse than the teacher."
        )
    share = int(100 * student.accuracy / teacher.accuracy)
    return (
        f"The teacher remains better: {teacher.accuracy:.3f}. The student keeps {share} % of its "
        "accuracy."
    )


def _both(before: Arm, after: Arm, name: str) -> str:
    return f"{getattr(before, name):.3f} → {getattr(after, name):.3f}"


def _at_epsilon(student: Arm, rival: Arm) -> str:
    if student.epsilon is None or rival.epsilon is None:
        return ""
    if student.epsilon == rival.epsilon:
        return " at the same ε"
    return f" at ε = {student.epsilon} and {rival.epsilon}"


def _percent(share: Fraction) -> str:
    return f"{float(100 * share):.3g} %"
