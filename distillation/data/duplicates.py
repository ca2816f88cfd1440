"""Texts that say the same twice: exactly, or nearly by the letters that they share.

Near: the Jaccard similarity of the sets of character shingles is at least a threshold. Pairs are
found exactly, not by sketches: two sets that similar share a shingle among the rarest few of each
(prefix filtering: Chaudhuri et al. 2006; Bayardo et al. 2007, section 3), so few are compared.
The same search keeps test texts out of what is learned from.
"""

from __future__ import annotations

import math
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from distillation.data.filters import Kept, Reason
from distillation.data.public_text import PublicText, require_public
from distillation.errors import RecordsError


@dataclass(frozen=True, slots=True, kw_only=True)
class Nearness:
    """When two texts are nearly the same.

    Attributes:
        letters: Characters of a shingle.
        threshold: Least share of common shingles among all of both, in (0, 1].
    """

    letters: int = 5
    threshold: float = 0.8

    def __post_init__(self) -> None:
        if self.letters < 1 or not 0 < self.threshold <= 1:
            raise RecordsError(
                "expected letters >= 1 and a threshold in (0, 1], got "
                f"{self.letters} and {self.threshold}"
            )


def normalised(text: str) -> str:
    """Return a text without what does not matter for a duplicate: case, spaces, composition."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def shingles(text: str, letters: int) -> frozenset[str]:
    """Return every run of ``letters`` characters of the normalised text; a shorter one is one."""
    bare = normalised(text)
    last = max(len(bare) - letters, 0)
    return frozenset(bare[start : start + letters] for start in range(last + 1))


def without_duplicates(
    texts: Sequence[PublicText],
    nearness: Nearness,
    *,
    against: Sequence[PublicText] = (),
) -> Kept:
    """Return the first of each group of like texts.

    Guarantees: no text that is left is like another that is left, nor like one of ``against``.

    Args:
        texts: In the order of preference.
        nearness: When two are alike.
        against: Texts that may not come again: those already in use, or the public test set's.

    Raises:
        RecordsError: If a text is not declared public.
    """
    texts, against = require_public(texts), require_public(against)
    seen = {normalised(text.text) for text in against}
    distinct: list[PublicText] = []
    for text in texts:
        key = normalised(text.text)
        if key not in seen:
            seen.add(key)
            distinct.append(text)
    kept = _without_near(distinct, against, nearness)
    dropped = Counter(
        {
            Reason.DUPLICATE: len(texts) - len(distinct),
            Reason.NEAR_DUPLICATE: len(distinct) - len(kept),
        }
    )
    return Kept(tuple(kept), +dropped)


def _without_near(
    texts: Sequence[PublicText], against: Sequence[PublicText], nearness: Nearness
) -> list[PublicText]:
    sets = [shingles(text.text, nearness.letters) for text in (*against, *texts)]
    spread = Counter(shingle for one in sets for shingle in one)
    index: defaultdict[str, list[int]] = defaultdict(list)
    kept: list[PublicText] = []
    for place, one in enumerate(sets):
        prefix = _prefix(one, spread, nearness.threshold)
        candidates = {other for shingle in prefix for other in index[shingle]}
        fresh = place >= len(against)
        if fresh and any(_alike(one, sets[other], nearness.threshold) for other in candidates):
            continue
        for shingle in prefix:
            index[shingle].append(place)
        if fresh:
            kept.append(texts[place - len(against)])
    return kept


def _prefix(one: frozenset[str], spread: Counter[str], threshold: float) -> list[str]:
    """Return the rarest shingles, so many that every like set has one of them in its own prefix.

    With Jaccard t, two sets share at least t·|A| of A's shingles: of A's rarest |A| − ⌈t·|A|⌉ + 1
    one is shared, and in one order of all shingles the first shared one is in both prefixes.
    """
    # The least bit below, lest rounding up a product such as 0.7 · 10 hides a pair.
    shared = math.ceil(threshold * len(one) - 1e-9)
    return sorted(one, key=lambda shingle: (spread[shingle], shingle))[: len(one) - shared + 1]


def _alike(one: frozenset[str], other: frozenset[str], threshold: float) -> bool:
    common = len(one & other)
    return common >= threshold * (len(one) + len(other) - common) - 1e-9
