"""What an audit found, as a value that a report can hold and a stranger can read.

An audit never confirms a claim. It found evidence against it, or it found none with so much power,
or it could not have found any: the verdict is one of these three, and its sentence always has the
bound, the cap and the power.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal
from enum import StrEnum
from typing import Self

from distillation.audit.errors import AuditError
from privacy.canonical import Json, dumps, loads
from privacy.errors import PrivacyError
from privacy.fields import Fields, decimal_text

_KIND = "stillroom/audit/v1"
_GRID = Decimal("0.001")
_MOST = Decimal("1e9")
UNKNOWN_POWER = "unknown"
NO_POWER = "none"


class Method(StrEnum):
    """What the lower bound rests on."""

    STEINKE = "steinke-2023"
    GAUSSIAN = "mahloujifar-2024-gaussian"


class Access(StrEnum):
    """What the attacker saw."""

    WHITE_BOX = "white-box"
    BLACK_BOX = "black-box"


class Verdict(StrEnum):
    """What an audit may say; never that a claim holds."""

    EVIDENCE_AGAINST = "evidence against the claim"
    NO_EVIDENCE = "no evidence against the claim"
    UNINFORMATIVE = "uninformative"


def rounded(value: float) -> Decimal:
    """Return a bound in steps of 0.001, rounded down: an audit never says more than it found."""
    return min(_MOST, Decimal(repr(float(value)))).quantize(_GRID, ROUND_FLOOR)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditResult:
    """One audit of one run.

    Attributes:
        method: What the bound rests on.
        access: What the attacker saw.
        canaries: m.
        guesses: r, fixed before a score was seen.
        right: v.
        delta: δ of bound, cap and claim.
        confidence: Chance that the bound of a run that keeps its promise is not above it.
        lower_bound: ε is at least this, with that confidence.
        cap: The bound that r right guesses would have given: no run could show more.
        power: The largest share of the planned noise that would have been detected in 9 of 10
            simulated runs; `NO_POWER`: not even missing noise; `UNKNOWN_POWER`: not simulated.
        claim: The ε that is claimed.
        date: The day, as 2026-01-31.
        who: Who ran it.
    """

    method: Method
    access: Access
    canaries: int
    guesses: int
    right: int
    delta: Decimal
    confidence: Decimal
    lower_bound: Decimal
    cap: Decimal
    power: Decimal | str
    claim: Decimal
    date: str
    who: str

    def __post_init__(self) -> None:
        if not 0 <= self.right <= self.guesses <= self.canaries or self.guesses < 1:
            raise AuditError("expected right <= guesses <= canaries and at least one guess")
        if not 0 <= self.lower_bound <= self.cap:
            raise AuditError(f"expected 0 <= {self.lower_bound} <= the cap {self.cap}")
        if any(bound != bound.quantize(_GRID) for bound in (self.lower_bound, self.cap)):
            raise AuditError("expected bound and cap in steps of 0.001, rounded down")
        if not (0 < self.delta < 1 and Decimal("0.5") < self.confidence < 1 and self.claim >= 0):
            raise AuditError("expected a δ in (0, 1), a confidence in (0.5, 1) and a claim >= 0")
        if isinstance(self.power, str) and self.power not in (NO_POWER, UNKNOWN_POWER):
            raise AuditError(f"expected a share of the noise, got {self.power!r}")
        if not self.who or not self.date:
            raise AuditError("expected who ran the audit, and when")

    @property
    def flagged(self) -> bool:
        """Whether the bound is above the claim."""
        return self.lower_bound > self.claim

    def verdict(self) -> Verdict:
        """Return what may be said; flagged if and only if the bound is above the claim."""
        if self.flagged:
            return Verdict.EVIDENCE_AGAINST
        if self.cap <= self.claim or self.power == NO_POWER:
            return Verdict.UNINFORMATIVE
        return Verdict.NO_EVIDENCE

    @property
    def sentence(self) -> str:
        """The verdict in words, with bound, cap and power."""
        verdict, claim = self.verdict(), _short(self.claim)
        against = ">" if verdict is Verdict.EVIDENCE_AGAINST else "<="
        bound = f"lower bound {self.lower_bound:.3f} {against} ε = {claim} at δ = "
        sure = f"{_short(self.delta)}, {_short(self.confidence * 100)} % confidence, cap "
        facts = f"({bound}{sure}{self.cap:.3f}, {self._power_words})"
        if verdict is not Verdict.UNINFORMATIVE:
            return f"found {verdict} {facts}"
        worst = "with every guess right" if self.cap <= self.claim else "without any noise"
        return f"{verdict}: even a run {worst} would not be flagged; use more canaries {facts}"

    @property
    def _power_words(self) -> str:
        if self.power == UNKNOWN_POWER:
            return "power: unknown for this attack, a weak attack finds nothing"
        if self.power == NO_POWER:
            return "power: would not have detected that all noise is missing"
        share = self.power if isinstance(self.power, str) else _short(self.power)
        return f"power: would have detected noise <= {share} of what was planned"

    def to_json(self) -> dict[str, Json]:
        """Return the canonical form; numbers with a fraction are text."""
        power = self.power if isinstance(self.power, str) else decimal_text(self.power)
        return {
            "kind": _KIND,
            "method": self.method.value,
            "access": self.access.value,
            "canaries": self.canaries,
            "guesses": self.guesses,
            "right": self.right,
            "delta": decimal_text(self.delta),
            "confidence": decimal_text(self.confidence),
            "lower_bound": decimal_text(self.lower_bound),
            "cap": decimal_text(self.cap),
            "power": power,
            "claim": decimal_text(self.claim),
            "date": self.date,
            "who": self.who,
            "verdict": self.verdict().value,
            "sentence": self.sentence,
        }

    def to_bytes(self) -> bytes:
        """Return the canonical JSON."""
        return dumps(self.to_json())

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read a result.

        Raises:
            AuditError: If the bytes are not the canonical JSON of a result, or its verdict is not
                the one that follows from its numbers.
        """
        try:
            found = loads(data)
            result = cls._read(Fields(found, where="audit"))
        except (ArithmeticError, PrivacyError, ValueError) as error:
            raise AuditError(f"expected an audit of kind {_KIND}, got: {error}") from error
        if dumps(found) != result.to_bytes():
            raise AuditError("the audit's verdict does not follow from its numbers: edited?")
        return result

    @classmethod
    def _read(cls, fields: Fields) -> Self:
        if fields.text("kind") != _KIND:
            raise ValueError("another kind")
        power = fields.text("power")
        result = cls(
            method=Method(fields.text("method")),
            access=Access(fields.text("access")),
            canaries=fields.integer("canaries"),
            guesses=fields.integer("guesses"),
            right=fields.integer("right"),
            delta=fields.decimal("delta"),
            confidence=fields.decimal("confidence"),
            lower_bound=fields.decimal("lower_bound"),
            cap=fields.decimal("cap"),
            power=power if power in (NO_POWER, UNKNOWN_POWER) else Decimal(power),
            claim=fields.decimal("claim"),
            date=fields.text("date"),
            who=fields.text("who"),
        )
        fields.text("verdict"), fields.text("sentence")  # compared as bytes by the caller
        fields.close()
        return result


def _short(value: Decimal) -> str:
    """Return the one spelling, also after reading it back."""
    return decimal_text(value)
