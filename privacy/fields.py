"""Taking a JSON object apart, field by field: every field is checked, none may be left over.

Used by whatever reads a plan, an event or a ledger entry. Exact numbers are written as text in
one form only: decimals without exponent or trailing zeros, fractions in lowest terms.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import TypeVar

from privacy.canonical import MAX_INTEGER, Json
from privacy.errors import MalformedDocumentError

Choice = TypeVar("Choice", bound=StrEnum)

MAX_TEXT = 4096
MAX_DIGITS = 30
_DECIMAL = re.compile(r"(0|[1-9][0-9]*)(\.[0-9]*[1-9])?")
_FRACTION = re.compile(r"(0|[1-9][0-9]*)(/[1-9][0-9]*)?")
_HEX = re.compile(r"[0-9a-f]*")


def decimal_text(value: Decimal) -> str:
    """Return the one spelling of ``value``: no exponent, no trailing zeros.

    Raises:
        MalformedDocumentError: If it is negative, not finite, or longer than 30 characters.
    """
    text = (
        f"{value.normalize():f}" if value.is_finite() and len(value.as_tuple().digits) < 99 else ""
    )
    if len(text) > MAX_DIGITS or not _DECIMAL.fullmatch(text):
        raise MalformedDocumentError(
            f"expected a decimal number >= 0 of at most {MAX_DIGITS} characters, got {value}"
        )
    return text


class Fields:
    """One JSON object whose fields are taken one by one.

    Args:
        value: What was parsed; anything but an object is refused.
        where: What the object is, for messages, such as ``"plan"``.
    """

    def __init__(self, value: Json, *, where: str) -> None:
        if not isinstance(value, Mapping):
            raise MalformedDocumentError(f"{where}: expected an object")
        self._left = dict(value)
        self._where = where

    def text(self, key: str, *, most: int = MAX_TEXT) -> str:
        """Take a text of at most ``most`` characters."""
        value = self._take(key)
        if not isinstance(value, str) or len(value) > most:
            raise self._error(key, f"text of at most {most} characters", value)
        return value

    def integer(self, key: str, *, least: int = 0, most: int = MAX_INTEGER) -> int:
        """Take an integer in [least, most]."""
        value = self._take(key)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise self._error(key, f"an integer from {least} to {most}", value)
        return value

    def hex_bytes(self, key: str, *, size: int) -> str:
        """Take ``size`` bytes written in lower-case hexadecimal."""
        value = self.text(key)
        if len(value) != 2 * size or not _HEX.fullmatch(value):
            raise self._error(key, f"{size} bytes in lower-case hexadecimal", value)
        return value

    def hex_items(self, key: str, *, size: int) -> str:
        """Take items of ``size`` bytes each, at least one, written together in hexadecimal."""
        value = self.text(key)
        if not value or len(value) % (2 * size) or not _HEX.fullmatch(value):
            raise self._error(key, f"items of {size} bytes in lower-case hexadecimal", value)
        return value

    def boolean(self, key: str) -> bool:
        """Take true or false."""
        value = self._take(key)
        if not isinstance(value, bool):
            raise self._error(key, "true or false", value)
        return value

    def decimal(self, key: str) -> Decimal:
        """Take a decimal number >= 0 in its one spelling."""
        value = self.text(key, most=MAX_DIGITS)
        if not _DECIMAL.fullmatch(value):
            raise self._error(key, "a decimal number such as 4.763", value)
        return Decimal(value)

    def fraction(self, key: str) -> Fraction:
        """Take a fraction >= 0 in lowest terms."""
        value = self.text(key, most=2 * MAX_DIGITS)
        if not _FRACTION.fullmatch(value) or str(Fraction(value)) != value:
            raise self._error(key, "a fraction in lowest terms such as 1/2", value)
        return Fraction(value)

    def choice(self, key: str, kind: type[Choice]) -> Choice:
        """Take a member of the enumeration ``kind``."""
        value = self.text(key)
        try:
            return kind(value)
        except ValueError as error:
            raise self._error(key, "one of " + ", ".join(kind), value) from error

    def object(self, key: str) -> Fields:
        """Take an object, to be taken apart in turn."""
        return Fields(self._take(key), where=f"{self._where}.{key}")

    def optional_object(self, key: str) -> Fields | None:
        """Take an object that may be left out; there is no null."""
        return self.object(key) if key in self._left else None

    def objects(self, key: str) -> tuple[Fields, ...]:
        """Take an array of objects."""
        value = self._take(key)
        if not isinstance(value, list):
            raise self._error(key, "an array", value)
        return tuple(
            Fields(item, where=f"{self._where}.{key}[{i}]") for i, item in enumerate(value)
        )

    def mapping(self, key: str) -> Mapping[str, Json]:
        """Take an object as it is, for whoever asked for free content."""
        value = self._take(key)
        if not isinstance(value, Mapping):
            raise self._error(key, "an object", value)
        return value

    def close(self) -> None:
        """Refuse whatever was not taken."""
        if self._left:
            unknown = ", ".join(sorted(self._left))
            raise MalformedDocumentError(
                f"{self._where}: unknown field {unknown}; was it written by a later release?"
            )

    def _take(self, key: str) -> Json:
        try:
            return self._left.pop(key)
        except KeyError as error:
            raise MalformedDocumentError(f"{self._where}: the field {key} is missing") from error

    def _error(self, key: str, expected: str, value: Json) -> MalformedDocumentError:
        return MalformedDocumentError(
            f"{self._where}.{key}: expected {expected}, got {str(value)[:80]!r}"
        )
