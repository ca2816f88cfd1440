"""How numbers, times and hashes are written on the page."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction

from markupsafe import Markup

from privacy.report.declared import NOT_DECLARED, NOT_RECORDED

_SPACE = "\N{NO-BREAK SPACE}"


def typographic(value: object) -> object:
    """Set apostrophes and numbers as a printer would; what is markup already stays as it is."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    text = value.replace("'", "\N{RIGHT SINGLE QUOTATION MARK}")
    text = re.sub(r"(?<=\de)-(?=\d)", "\N{MINUS SIGN}", text)  # no line ends within 1e-5
    return re.sub("([εδ]) = ", f"\\1{_SPACE}={_SPACE}", text)


def score(value: Decimal) -> str:
    """Write a figure in [0, 1] with three decimals."""
    return f"{value:.3f}"


def percent(value: Decimal | Fraction) -> str:
    """Write a share as a percentage, kept on one line."""
    return f"{float(100 * value):.3g}{_SPACE}%"


def count(value: int) -> str:
    """Write an integer with thin spaces between thousands."""
    return f"{value:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def size(value: int) -> str:
    """Write a number of bytes as people read it, in powers of 1000."""
    scaled, unit = float(value), "bytes"
    for larger in ("kB", "MB", "GB"):
        if scaled < 1000:
            break
        scaled, unit = scaled / 1000, larger
    text = f"{scaled:.3g}" if scaled < 1000 else f"{scaled:.0f}"
    return f"{text}{_SPACE}{unit}"


def duration(value: Decimal) -> str:
    """Write seconds, or minutes and seconds."""
    if value < 100:
        return f"{value:.1f}{_SPACE}s"
    minutes, seconds = divmod(round(value), 60)
    return f"{minutes}{_SPACE}min {seconds}{_SPACE}s"


def moment(value: int) -> str:
    """Write Unix seconds as a time in UTC; 0 is none."""
    if value == 0:
        return NOT_RECORDED
    return datetime.fromtimestamp(value, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def plain(value: Decimal) -> str:
    """Write a decimal as it is, small ones with a power of ten."""
    if value and value < Decimal("0.001"):
        digits, power = f"{value.normalize():e}".split("e")
        return f"{digits}e{int(power)}"
    return f"{value.normalize():f}"


def said(value: str) -> Markup:
    """Write a declared or recorded text, so that a missing one cannot be overlooked."""
    if value in (NOT_DECLARED, NOT_RECORDED):
        return Markup("<strong class='missing'>{}</strong>").format(value)
    return Markup("{}").format(str(typographic(value)))


def words(value: str) -> str:
    """Write a field's name as words."""
    return value.replace("_", " ")
