"""No two texts that stay are alike, and none that is unlike all others goes."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distillation.data.duplicates import Nearness, normalised, shingles, without_duplicates
from distillation.data.filters import Reason
from distillation.errors import RecordsError
from tests.distillation.data import publics

_TEXT = st.text("ab c", min_size=1, max_size=12).filter(lambda text: bool(text.strip()))


def _jaccard(one: str, other: str, letters: int) -> float:
    a, b = shingles(one, letters), shingles(other, letters)
    return len(a & b) / len(a | b)


@settings(max_examples=60)
@given(
    words=st.lists(_TEXT, max_size=14),
    letters=st.integers(1, 4),
    threshold=st.sampled_from([0.3, 0.5, 0.7, 0.8, 1.0]),
)
def test_the_search_finds_what_comparing_all_pairs_finds(
    words: list[str], letters: int, threshold: float
) -> None:
    """Going through the texts and keeping what is like none that was kept gives the same."""
    expected: list[str] = []
    for word in words:
        alike = (_jaccard(word, kept, letters) >= threshold - 1e-9 for kept in expected)
        if not any(alike):
            expected.append(word)
    found = without_duplicates(
        publics.texts(*words), Nearness(letters=letters, threshold=threshold)
    )

    assert [one.text for one in found.texts] == expected
    assert sum(found.dropped.values()) == len(words) - len(expected)
    for one, other in itertools.combinations(found.texts, 2):
        assert _jaccard(one.text, other.text, letters) < threshold


def test_case_spaces_and_composition_do_not_matter() -> None:
    """The first spelling stays; the rest are duplicates, near ones counted apart."""
    texts = publics.texts("Cafe\u0301  Noir", "café noir", "CAFÉ NOIR", "café noirs", "tea")
    found = without_duplicates(texts, Nearness(threshold=0.7))

    assert normalised(texts[0].text) == "café noir"
    assert [one.text for one in found.texts] == [texts[0].text, "tea"]
    assert found.dropped == {Reason.DUPLICATE: 2, Reason.NEAR_DUPLICATE: 1}


def test_test_texts_do_not_come_back() -> None:
    """What is like one of ``against`` goes, exactly or nearly; ``against`` is not returned."""
    held_out = publics.texts("Acute nephritic syndrome")
    made = publics.texts("acute nephritic SYNDROME", "Acute nephritic syndromes", "river stone")
    found = without_duplicates(made, Nearness(), against=held_out)

    assert [one.text for one in found.texts] == ["river stone"]


def test_settings_that_mean_nothing_are_refused() -> None:
    """At threshold 0 all texts would be alike."""
    with pytest.raises(RecordsError, match="threshold"):
        Nearness(threshold=0.0)
