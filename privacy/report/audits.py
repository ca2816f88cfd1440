"""What audits found, read from their own documents; a report never says more than they do.

The document is ``stillroom/audit/v1``. Its verdict and sentence are taken as they are, after the
one part of them that follows from two numbers was checked: an audit whose bound is above its claim
is evidence against the claim, and one whose bound is not is none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from privacy.canonical import loads
from privacy.errors import MalformedDocumentError
from privacy.fields import Fields
from privacy.report.wording import overclaims

_KIND = "stillroom/audit/v1"
AGAINST = "evidence against the claim"
_VERDICTS = (AGAINST, "no evidence against the claim", "uninformative")


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """One audit.

    Attributes:
        method: What the lower bound rests on.
        access: What the attacker saw.
        canaries: Records that were planted.
        guesses: Guesses, fixed before a score was seen.
        right: How many of them were right.
        delta: δ of bound, cap and claim.
        confidence: Chance that a sound run's bound is not above its claim.
        lower_bound: ε is at least this, with that confidence.
        cap: The bound that right guesses alone would have given.
        power: The largest share of the planned noise that would have been detected, or a word.
        claim: The ε that is claimed.
        date: The day.
        who: Who ran it.
        verdict: What may be said.
        sentence: The verdict with bound, cap and power.
    """

    method: str
    access: str
    canaries: int
    guesses: int
    right: int
    delta: Decimal
    confidence: Decimal
    lower_bound: Decimal
    cap: Decimal
    power: str
    claim: Decimal
    date: str
    who: str
    verdict: str
    sentence: str

    def __post_init__(self) -> None:
        against = self.lower_bound > self.claim
        if self.verdict not in _VERDICTS or against != (self.verdict == AGAINST):
            raise MalformedDocumentError(
                f"an audit with the bound {self.lower_bound} and the claim {self.claim} cannot "
                f"have found {self.verdict[:60]!r}; was the file edited?"
            )
        if overclaims(self.sentence):
            raise MalformedDocumentError(
                f"expected an audit's own sentence, got a claim: {self.sentence[:80]!r}"
            )

    @property
    def is_against(self) -> bool:
        """Whether the bound is above the claim."""
        return self.verdict == AGAINST


def is_audit(data: bytes) -> bool:
    """Return whether canonical JSON says that it is an audit of this version.

    Raises:
        MalformedDocumentError: If the bytes are no canonical JSON.
    """
    value = loads(data)
    return isinstance(value, Mapping) and value.get("kind") == _KIND


def read_audit(data: bytes) -> Audit:
    """Read the document of one audit.

    Raises:
        MalformedDocumentError: If it is none, or its verdict contradicts its numbers.
    """
    fields = Fields(loads(data), where="audit")
    kind = fields.text("kind")
    if kind != _KIND:
        raise MalformedDocumentError(f"expected an audit of the kind {_KIND}, got {kind[:60]!r}")
    audit = Audit(
        method=fields.text("method"),
        access=fields.text("access"),
        canaries=fields.integer("canaries"),
        guesses=fields.integer("guesses"),
        right=fields.integer("right"),
        delta=fields.decimal("delta"),
        confidence=fields.decimal("confidence"),
        lower_bound=fields.decimal("lower_bound"),
        cap=fields.decimal("cap"),
        power=fields.text("power"),
        claim=fields.decimal("claim"),
        date=fields.text("date"),
        who=fields.text("who"),
        verdict=fields.text("verdict"),
        sentence=fields.text("sentence"),
    )
    fields.close()
    return audit
