"""Which public texts are worth a teacher's answer, and which answers are worth learning from.

Every filter says how many texts it took away, by reason, so that a filter that takes nearly all of
them is seen. Filters look at one text at a time.
"""

from __future__ import annotations

import math
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from torch import Tensor

from distillation.data.public_text import PublicText, require_public
from distillation.errors import RecordsError


class Reason(StrEnum):
    """Why a text was taken away."""

    TOO_SHORT = "too-short"
    TOO_LONG = "too-long"
    FOREIGN_SCRIPT = "foreign-script"
    TOO_FEW_LETTERS = "too-few-letters"
    DUPLICATE = "duplicate"
    NEAR_DUPLICATE = "near-duplicate"
    UNSURE_TEACHER = "unsure-teacher"


@dataclass(frozen=True, slots=True)
class Kept:
    """What a filter left.

    Attributes:
        texts: In their order.
        dropped: How many were taken away, by reason; a reason without any is not there.
    """

    texts: tuple[PublicText, ...]
    dropped: Mapping[Reason, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """What a text must look like.

    Attributes:
        least_words: Fewest words between spaces.
        most_words: Most of them.
        most_characters: Longest text.
        scripts: How the Unicode names of its letters may begin, such as LATIN; empty: any.
        least_letters: Least share of letters among what is no space, in [0, 1].
    """

    least_words: int = 1
    most_words: int = 64
    most_characters: int = 512
    scripts: tuple[str, ...] = ("LATIN",)
    least_letters: float = 0.5

    def __post_init__(self) -> None:
        if not 1 <= self.least_words <= self.most_words or self.most_characters < 1:
            raise RecordsError(
                "expected 1 <= least_words <= most_words and most_characters >= 1, got "
                f"{self.least_words}, {self.most_words} and {self.most_characters}"
            )
        if not 0 <= self.least_letters <= 1:
            raise RecordsError(f"expected least_letters in [0, 1], got {self.least_letters}")

    def fault(self, text: str) -> Reason | None:
        """Return what is wrong with a text, None if nothing is."""
        words = len(text.split())
        if words < self.least_words:
            return Reason.TOO_SHORT
        if words > self.most_words or len(text) > self.most_characters:
            return Reason.TOO_LONG
        letters = [character for character in text if character.isalpha()]
        if self.scripts and not all(self._is_known(letter) for letter in letters):
            return Reason.FOREIGN_SCRIPT
        visible = sum(not character.isspace() for character in text)
        return Reason.TOO_FEW_LETTERS if len(letters) < self.least_letters * visible else None

    def _is_known(self, letter: str) -> bool:
        return unicodedata.name(letter, "").startswith(self.scripts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Certainty:
    """How sure the teacher must be; the defaults take every answer.

    Attributes:
        least_confidence: Least probability of its most likely class, in [0, 1].
        most_entropy: Largest entropy of its answer, as a share of the uniform one's, in (0, 1].
    """

    least_confidence: float = 0.0
    most_entropy: float = 1.0

    def __post_init__(self) -> None:
        if not (0 <= self.least_confidence <= 1 and 0 < self.most_entropy <= 1):
            raise RecordsError(
                "expected least_confidence in [0, 1] and most_entropy in (0, 1], got "
                f"{self.least_confidence} and {self.most_entropy}"
            )


def well_formed(texts: Sequence[PublicText], form: Form) -> Kept:
    """Return the texts that look as ``form`` asks.

    Raises:
        RecordsError: If a text is not declared public.
    """
    texts = require_public(texts)
    faults = [form.fault(text.text) for text in texts]
    kept = tuple(t for t, fault in zip(texts, faults, strict=True) if fault is None)
    return Kept(kept, Counter(fault for fault in faults if fault is not None))


def sure_rows(log_probs: Tensor, certainty: Certainty) -> list[int]:
    """Return which answers are sure enough.

    Args:
        log_probs: The teacher's, (n, T, K); with several positions their mean decides.
        certainty: How sure is enough.
    """
    if not log_probs.numel():
        return []
    double = log_probs.double()
    confidence = double.amax(dim=-1).exp().mean(dim=-1)
    # A class of probability zero adds nothing: 0 · log 0 is 0 here, not a NaN.
    entropy = -(double.exp() * double.clamp(min=-1e4)).sum(dim=-1).mean(dim=-1)
    most = certainty.most_entropy * math.log(max(log_probs.shape[-1], 2)) + 1e-9
    sure = (confidence >= certainty.least_confidence) & (entropy <= most)
    return [int(row) for row in sure.nonzero()[:, 0]]
