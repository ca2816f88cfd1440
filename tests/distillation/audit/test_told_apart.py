"""The exact test accuses rarely, sees what it says, and never says that all is well."""

import numpy as np
import pytest

from distillation.audit.errors import AuditError
from distillation.audit.told_apart import Told, separation, told_apart
from privacy.report.wording import overclaims


def test_alike_scores_are_told_apart_rarely() -> None:
    """Of 200 students that treat both alike, at most 5 % and some chance."""
    chance = np.random.default_rng(5)
    flagged = sum(
        told_apart(chance.standard_normal(60), chance.standard_normal(80)).advantage > 0
        for _ in range(200)
    )

    assert flagged <= 16


def test_a_leaky_student_is_told_apart() -> None:
    """A shift of two standard deviations, with the advantage that is shown and its cap."""
    chance = np.random.default_rng(6)
    found = told_apart(chance.standard_normal(200) + 2, chance.standard_normal(200))

    assert found.verdict is Told.APART
    assert 0.3 < found.advantage < found.cap
    assert "advantage at least" in found.sentence


def test_power_is_what_is_seen() -> None:
    """At the advantage that is named, 9 of 10 tests see it; at half of it, fewer."""
    power = separation(0, 100, 0, 100).power
    assert power is not None
    chance = np.random.default_rng(7)

    def seen(advantage: float) -> float:
        hits = chance.binomial(100, 0.5 + advantage / 2, 200)
        alarms = chance.binomial(100, 0.5 - advantage / 2, 200)
        tests = [separation(int(h), 100, int(a), 100) for h, a in zip(hits, alarms, strict=True)]
        return sum(one.advantage > 0 for one in tests) / 200

    assert seen(power) > 0.83
    assert seen(power / 2) < 0.6


def test_few_records_are_said_to_show_nothing() -> None:
    """Three a side cannot show anything; told_apart does not even begin."""
    found = separation(3, 3, 0, 3)

    assert found.verdict is Told.UNINFORMATIVE
    assert "use more records" in found.sentence
    for scores in (np.zeros(19), np.full(30, np.nan)):
        with pytest.raises(AuditError, match="at least 20"):
            told_apart(scores, np.zeros(30))


@pytest.mark.parametrize("hits", [0, 50, 100])
def test_no_sentence_claims(hits: int) -> None:
    """Nothing is confirmed, proven or anonymous."""
    sentence = separation(hits, 100, 50, 100).sentence

    assert not overclaims(sentence)
    assert "confirm" not in sentence
