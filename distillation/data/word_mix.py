"""Generated prompts: a few words of the tokenizer's vocabulary beside a few of public titles.

The words of the vocabulary reach subjects that the public titles do not name; those of the titles
keep the mixture near the kind of text that the student will read. Nothing is asked of the regions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from distillation.data.provenance import Generator, Provenance
from distillation.data.public_text import PublicText, require_public
from distillation.errors import RecordsError

_CONTINUED = "##"
"""How a WordPiece vocabulary marks the rest of a word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WordMix:
    """How a prompt is put together; the defaults are those that were measured.

    Attributes:
        least_words: Fewest words of the vocabulary in a text.
        most_words: Most of them.
        most_title_words: Most consecutive words of one public title; 0 leaves titles out.
        least_letters: Shortest word that is taken from the vocabulary.
    """

    least_words: int = 2
    most_words: int = 4
    most_title_words: int = 3
    least_letters: int = 3

    def __post_init__(self) -> None:
        if not 1 <= self.least_words <= self.most_words:
            raise RecordsError(
                "expected 1 <= least_words <= most_words, got "
                f"{self.least_words} and {self.most_words}"
            )
        if self.most_title_words < 0 or self.least_letters < 1:
            raise RecordsError(
                "expected most_title_words >= 0 and least_letters >= 1, got "
                f"{self.most_title_words} and {self.least_letters}"
            )


def whole_words(vocabulary: Mapping[str, int], settings: WordMix) -> tuple[str, ...]:
    """Return the vocabulary's whole words of letters, in the order of their ids.

    Args:
        vocabulary: Ids by token, as a tokenizer's ``get_vocab`` gives them. It travels with the
            student, so it is as public as the student.
        settings: How short a word may be.

    Raises:
        RecordsError: If there is none.
    """
    ordered = sorted(vocabulary, key=vocabulary.__getitem__)
    bare = (
        token.removeprefix("Ġ").removeprefix("▁")
        for token in ordered
        if not token.startswith(_CONTINUED)
    )
    words = tuple(
        dict.fromkeys(w for w in bare if len(w) >= settings.least_letters and w.isalpha())
    )
    if not words:
        raise RecordsError(
            "expected a vocabulary with whole words, found none: use curated prompts with this "
            "tokenizer"
        )
    return words


def word_mix(
    titles: Sequence[PublicText],
    words: Sequence[str],
    *,
    count: int,
    settings: WordMix,
    seed: int,
) -> tuple[PublicText, ...]:
    """Return ``count`` generated texts, each with its origin.

    Args:
        titles: Declared-public texts of the study's own kind, of one declaration.
        words: As `whole_words` gives them.
        count: How many, >= 0.
        settings: How each is put together.
        seed: Public: the same seed gives the same texts.

    Raises:
        RecordsError: If a title is not declared public, there are none, or ``count`` is negative.
    """
    titles = require_public(titles)
    if not titles or count < 0 or len({title.declaration for title in titles}) > 1:
        raise RecordsError(
            "expected public titles of one declaration and a count >= 0, got "
            f"{len(titles)} titles and {count}"
        )
    rng = np.random.default_rng(seed)
    origin = _parameters(settings, words)
    return tuple(_one(titles, words, settings, rng, origin, seed) for _ in range(count))


def _one(
    titles: Sequence[PublicText],
    words: Sequence[str],
    settings: WordMix,
    rng: np.random.Generator,
    origin: tuple[tuple[str, str], ...],
    seed: int,
) -> PublicText:
    number = int(rng.integers(settings.least_words, settings.most_words + 1))
    drawn = [words[place] for place in rng.integers(0, len(words), number)]
    title = titles[int(rng.integers(0, len(titles)))]
    piece = _piece(title.text.split(), settings.most_title_words, rng)
    at = int(rng.integers(0, number + 1))
    provenance = Provenance(
        generator=Generator.WORD_MIX,
        parameters=origin,
        seed=seed,
        sources=title.provenance.sources,
        rows=title.provenance.rows if piece else (),
    )
    return PublicText(" ".join([*drawn[:at], *piece, *drawn[at:]]), provenance, title.declaration)


def _piece(words: Sequence[str], most: int, rng: np.random.Generator) -> Sequence[str]:
    """Return up to ``most`` consecutive words of a title, possibly none."""
    size = min(int(rng.integers(0, most + 1)), len(words))
    start = int(rng.integers(0, len(words) - size + 1))
    return words[start : start + size]


def _parameters(settings: WordMix, words: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Return the settings as text, with the hash of the words that were drawn from."""
    found = {
        "least_letters": str(settings.least_letters),
        "least_words": str(settings.least_words),
        "most_title_words": str(settings.most_title_words),
        "most_words": str(settings.most_words),
        "words_sha256": hashlib.sha256("\n".join(words).encode()).hexdigest(),
    }
    return tuple(sorted(found.items()))
