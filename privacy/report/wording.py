"""What no text of a report may claim: more than differential privacy or an audit can show.

The rules are those of supervisory practice: whether data are personal is a judgement that others
make on the evidence, an audit that finds nothing confirms nothing, and a bound is not a promise
about a person.
"""

from __future__ import annotations

import re

_FORBIDDEN = (
    r"\b(?:de-?)?anonym\w*",
    r"\b(?:audits?|self-tests?|tests?) (?:confirm|prove|show that .{0,40}(?:holds|is safe))\w*",
    r"\beverything (?:that )?(?:\w+ )?(?:sent|left)\b",
    r"\bnothing (?:else )?(?:ever )?(?:left|leaks|can leak|is leaked)\b",
    r"\b(?:exact|true|real) ε\b",
    r"\b(?:exactly|provably|completely|perfectly|fully|100 %) (?:private|safe|secure|protected)\b",
    r"\b(?:cannot|can never|impossible to) be (?:re-?)?identif\w+",
    r"\bno (?:privacy )?risk\b",
    r"\breadable in no other form\b",
    r"\b(?:gdpr|hipaa|ai act)[- ]complian\w+",
    r"\bcomplian(?:t|ce) with (?:the )?(?:gdpr|hipaa|ai act|iso|nist)\b",
    r"\bguarantees? (?:that )?(?:no one|nobody|privacy)\b",
)
_PATTERN = re.compile("|".join(_FORBIDDEN), re.IGNORECASE)


def overclaims(text: str) -> tuple[str, ...]:
    """Return what ``text`` claims that no report of this system may claim."""
    words = re.sub(r"\s+", " ", text)
    return tuple(found.group(0) for found in _PATTERN.finditer(words))
