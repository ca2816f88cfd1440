from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privacy.report.parts import ArmName, Verdict
from privacy.report.verdict import Difference, verdict_of
from tests.privacy.report.builders import MEANS, arm, arms

TENTH = Fraction(1, 10)
means = st.floats(0.05, 0.95)


def said(seeds: int = 3, **changes: float) -> Verdict:
    """The verdict on the usual arms with other means."""
    changed = {ArmName(name.replace("_", "-")): mean for name, mean in changes.items()}
    return verdict_of(arms({**MEANS, **changed}, seeds=seeds), labelled_share=TENTH)


def test_where_it_pays_the_verdict_says_so() -> None:
    """Better than public data only and better than without the teacher: worth it."""
    verdict = said()
    assert verdict.headline.startswith("Worth it here")
    assert any("0.488 → 0.684" in sentence for sentence in verdict.sentences)


def test_where_private_records_add_nothing_it_was_not_worth_it() -> None:
    """As good as the public student is not good enough for an ε."""
    assert said(public_only=0.684).headline.startswith("Not worth it here")
    assert said(public_only=0.9).sentences[0].startswith("The private records made the student wor")


def test_where_own_labels_do_as_well_distillation_was_not_worth_it() -> None:
    """The teacher must beat the labels that the regions have."""
    verdict = said(without_teacher=0.7)
    assert "not worth it" in verdict.headline
    assert verdict.sentences[1].startswith("The teacher did not help")


def test_where_true_labels_win_the_verdict_says_so() -> None:
    """The demo's own case: labels on all records beat distillation."""
    (sentence,) = (one for one in said().sentences if one.startswith("If all private"))
    assert "would have given more: 0.702 against 0.684" in sentence


def test_what_privacy_cost_is_said_with_its_figure() -> None:
    """The price is the difference to the run without privacy; a gain is no price."""
    assert any("Privacy cost 0.023" in sentence for sentence in said().sentences)
    assert any("no accuracy that shows" in sentence for sentence in said(no_privacy=0.6).sentences)


def test_a_student_beyond_its_teacher_is_not_called_worse() -> None:
    """The teacher is no ceiling."""
    assert any("not worse than the teacher" in one for one in said(teacher=0.6).sentences)


def test_one_seed_is_never_called_certain() -> None:
    """Without a second seed there is no spread to judge by, and the words say so."""
    verdict = said(seeds=1)
    assert "on one seed" in verdict.headline
    assert "chance is not ruled out" in verdict.sentences[0]


def test_a_difference_within_the_spread_is_called_that() -> None:
    """0.006 between means with a deviation of 0.01 is no finding."""
    (sentence,) = (one for one in said().sentences if "most likely answers" in one)
    assert "within the spread" in sentence


@given(student=means, public=means, rival=means, labels=means, free=means, teacher=means)
def test_no_numbers_make_it_claim_a_win_it_did_not_have(
    student: float, public: float, rival: float, labels: float, free: float, teacher: float
) -> None:
    """Whatever the figures, "worth it" needs both comparisons won."""
    verdict = said(
        distilled=student,
        public_only=public,
        without_teacher=rival,
        all_true_labels=labels,
        no_privacy=free,
        teacher=teacher,
    )
    if verdict.headline.startswith("Worth it"):
        assert student > max(public, rival)
    if student < max(public, rival):
        assert "ot worth it" in verdict.headline


@given(one=means, other=means, sd=st.floats(0.0, 0.2))
def test_a_difference_is_gain_or_loss_or_neither(one: float, other: float, sd: float) -> None:
    """Turned around, a gain is a loss of the same size."""
    a, b = arm(ArmName.DISTILLED, one, sd=0.0), arm(ArmName.PUBLIC_ONLY, other, sd=0.0)
    there, back = Difference.of(a, b), Difference.of(b, a)
    assert there.gain == pytest.approx(-back.gain)
    assert (there.is_gain, there.is_loss) == (back.is_loss, back.is_gain)
    assert not (there.is_gain and there.is_loss)


def test_arms_that_were_not_run_are_not_compared() -> None:
    """With the three needed arms there is a verdict about two of them, and no more."""
    needed = {name: MEANS[name] for name in (ArmName.TEACHER, ArmName.DISTILLED)}
    verdict = verdict_of(arms({**needed, ArmName.PUBLIC_ONLY: 0.4}), labelled_share=Fraction(0))
    assert "no student without the teacher" in verdict.headline
    assert len(verdict.sentences) == 3
