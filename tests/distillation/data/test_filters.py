"""Each filter takes what it names, says how many, and leaves the order."""

import math

import pytest
import torch

from distillation.data.filters import Certainty, Form, Reason, sure_rows, well_formed
from distillation.errors import RecordsError
from tests.distillation.data import publics


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("Acute nephritis", None),
        ("Naïve Müller", None),
        ("one", Reason.TOO_SHORT),
        ("one two three four", Reason.TOO_LONG),
        ("a" * 30 + " b", Reason.TOO_LONG),
        ("острый nephritis", Reason.FOREIGN_SCRIPT),
        ("12 34.5", Reason.TOO_FEW_LETTERS),
    ],
)
def test_a_form_names_the_fault(text: str, fault: Reason | None) -> None:
    """Length, script and letters, the first fault that is found."""
    assert Form(least_words=2, most_words=3, most_characters=30).fault(text) is fault


def test_any_script_is_taken_if_none_is_named() -> None:
    """Empty means any; several may be named."""
    assert Form(scripts=()).fault("острый nephritis") is None
    assert Form(scripts=("LATIN", "CYRILLIC")).fault("острый nephritis") is None


def test_what_is_left_keeps_its_order_and_the_rest_is_counted() -> None:
    """Two of four stay."""
    texts = publics.texts("second first", "x", "third", "12 34")
    found = well_formed(texts, Form(least_words=2))

    assert found.texts == texts[:1]
    assert found.dropped == {Reason.TOO_SHORT: 2, Reason.TOO_FEW_LETTERS: 1}


def test_only_sure_answers_stay() -> None:
    """By confidence, by entropy, and all of them by default."""
    shares = torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.25] * 4, [0.7, 0.1, 0.1, 0.1]])
    log_probs = shares.log().unsqueeze(1)

    assert sure_rows(log_probs, Certainty()) == [0, 1, 2]
    assert sure_rows(log_probs, Certainty(least_confidence=0.6)) == [0, 2]
    entropy = -(0.7 * math.log(0.7) + 0.3 * math.log(0.1)) / math.log(4)
    assert sure_rows(log_probs, Certainty(most_entropy=entropy + 1e-6)) == [0, 2]
    assert sure_rows(log_probs, Certainty(most_entropy=entropy - 1e-6)) == [0]
    assert sure_rows(torch.empty(0, 1, 4), Certainty()) == []


def test_settings_that_take_everything_are_refused() -> None:
    """Impossible limits are an error, not an empty result."""
    with pytest.raises(RecordsError, match="least_words"):
        Form(least_words=5, most_words=4)
    with pytest.raises(RecordsError, match="least_letters"):
        Form(least_letters=1.5)
    with pytest.raises(RecordsError, match="most_entropy"):
        Certainty(most_entropy=0.0)
