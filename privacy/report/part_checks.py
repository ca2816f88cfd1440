"""What every part of a report keeps to: figures as printed, texts that say something, hashes."""

from __future__ import annotations

import math
import re
from decimal import Decimal
from fractions import Fraction

from privacy.errors import MalformedDocumentError

PLACES = 4


def figure(value: float, *, places: int = PLACES) -> Decimal:
    """Return a measured quantity >= 0 as it is reported, rounded to ``places`` decimals.

    Raises:
        MalformedDocumentError: If it is negative, infinite or NaN.
    """
    if not (math.isfinite(value) and value >= 0):
        raise MalformedDocumentError(f"expected a finite measurement >= 0, got {value}")
    return Decimal(f"{value:.{places}f}").normalize() + 0


def require_text(what: str, value: str) -> None:
    """Refuse a text that says nothing.

    Raises:
        MalformedDocumentError: With ``what`` in the message.
    """
    if not value.strip():
        raise MalformedDocumentError(f"expected {what}, got an empty text")


def require_digest(what: str, value: str) -> None:
    """Refuse what is no SHA-256 in hexadecimal.

    Raises:
        MalformedDocumentError: With ``what`` in the message.
    """
    if not re.fullmatch("[0-9a-f]{64}", value):
        raise MalformedDocumentError(
            f"expected the SHA-256 of {what} as 64 lower-case hexadecimal digits, "
            f"got {value[:80]!r}"
        )


def require_at_most_one(what: str, value: Decimal | Fraction) -> None:
    """Refuse what is no share.

    Raises:
        MalformedDocumentError: With ``what`` in the message.
    """
    if not 0 <= value <= 1:
        raise MalformedDocumentError(f"expected {what} in [0, 1], got {value}")
