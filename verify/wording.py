"""Times and values of a stranger's documents as people read them."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from privacy.canonical import Json

_HASH = re.compile(r"[0-9a-f]{64}")
_MOST = 120


def day(time: int) -> str:
    """Write Unix seconds as a time in UTC, to the minute."""
    try:
        return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (OverflowError, ValueError, OSError):
        return f"Unix time {time}"  # a stranger's ledger may name a year that no calendar has


def short(value: Json) -> str:
    """Write a value in one line: a hash by its first 16 digits, a long text by its beginning."""
    if isinstance(value, list):
        return short(", ".join(map(short, value)))
    text = str(value)
    if _HASH.fullmatch(text):
        return f"{text[:16]}…"
    return text if len(text) <= _MOST else f"{text[:_MOST]}…"
