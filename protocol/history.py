"""What a region must remember across restarts, for it to take no round twice.

The region's ledger does this in a deployment; here is only what the protocol needs of it.
"""

from __future__ import annotations

from typing import Protocol


class History(Protocol):
    """The rounds that a region has accepted."""

    def has_seen(self, context: bytes) -> bool:
        """Return whether a round with this context, 32 bytes, was accepted before."""
        ...

    def latest(self, plan_hash: bytes) -> tuple[int, int] | None:
        """Return the last accepted (round, attempt) of a plan, or None before the first."""
        ...

    def accept(self, *, plan_hash: bytes, round_: int, attempt: int, context: bytes) -> None:
        """Remember a round, durably before this returns: then its first message leaves."""
        ...


class MemoryHistory:
    """A `History` that ends with the process: for simulations and tests, not for a region."""

    def __init__(self) -> None:
        self._contexts: set[bytes] = set()
        self._latest: dict[bytes, tuple[int, int]] = {}

    def has_seen(self, context: bytes) -> bool:
        """Return whether a round with this context was accepted before."""
        return context in self._contexts

    def latest(self, plan_hash: bytes) -> tuple[int, int] | None:
        """Return the last accepted (round, attempt) of a plan, or None before the first."""
        return self._latest.get(plan_hash)

    def accept(self, *, plan_hash: bytes, round_: int, attempt: int, context: bytes) -> None:
        """Remember a round."""
        self._contexts.add(context)
        self._latest[plan_hash] = (round_, attempt)
