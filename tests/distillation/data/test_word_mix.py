"""Generated prompts are made of what they may be made of, again and again the same."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distillation.data.public_text import Declaration
from distillation.data.word_mix import WordMix, whole_words, word_mix
from distillation.errors import RecordsError
from tests.distillation.data import publics

_TITLES = publics.texts("Acute nephritic syndrome", "Cholera", "Other disorders of urinary tract")
_WORDS = ("river", "stone", "lamp", "winter")


@settings(max_examples=40)
@given(
    least=st.integers(1, 4),
    more=st.integers(0, 3),
    most_title_words=st.integers(0, 4),
    seed=st.integers(0, 99),
)
def test_each_text_is_words_around_a_piece_of_a_title(
    least: int, more: int, most_title_words: int, seed: int
) -> None:
    """The numbers keep their limits; the piece is consecutive words of the row that is named."""
    mix = WordMix(least_words=least, most_words=least + more, most_title_words=most_title_words)
    for one in word_mix(_TITLES, _WORDS, count=20, settings=mix, seed=seed):
        words = one.text.split()
        drawn = [word for word in words if word in _WORDS]
        piece = " ".join(word for word in words if word not in _WORDS)
        assert least <= len(drawn) <= least + more
        assert len(words) - len(drawn) <= most_title_words
        rows = one.provenance.rows
        assert bool(rows) == bool(piece)
        assert piece in one.text
        assert not rows or piece in _TITLES[rows[0] - 1].text


def test_the_seed_is_the_only_chance() -> None:
    """The same seed gives the same texts, more of them begin alike, another seed differs."""
    some, more = (word_mix(_TITLES, _WORDS, count=n, settings=WordMix(), seed=3) for n in (10, 20))

    assert more[:10] == some
    assert word_mix(_TITLES, _WORDS, count=10, settings=WordMix(), seed=4) != some
    assert {one.provenance.seed for one in some} == {3}
    assert dict(some[0].provenance.parameters)["most_words"] == "4"


def test_the_vocabulary_gives_whole_words_of_letters() -> None:
    """No rest of a word, number, mark or abbreviation; markers of a word's start come off."""
    vocabulary = {"[CLS]": 0, "##ing": 1, "lamp": 2, "12": 3, "of": 4, "Ġriver": 5, "▁lamp": 6}

    assert whole_words(vocabulary, WordMix()) == ("lamp", "river")
    with pytest.raises(RecordsError, match="curated prompts"):
        whole_words({"##ing": 0}, WordMix())


def test_what_cannot_be_mixed_is_refused() -> None:
    """No titles, a negative count, two declarations, impossible settings."""
    other = publics.text("Measles", declaration=Declaration(origin="a", reason="b"))
    for titles, count in (((), 1), (_TITLES, -1), ((*_TITLES, other), 1)):
        with pytest.raises(RecordsError, match="of one declaration"):
            word_mix(titles, _WORDS, count=count, settings=WordMix(), seed=0)
    with pytest.raises(RecordsError, match="least_words"):
        WordMix(least_words=3, most_words=2)
    with pytest.raises(RecordsError, match="most_title_words"):
        WordMix(most_title_words=-1)
