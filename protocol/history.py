"""What a region must remember across restarts, for it to take no round and no view twice.

The region's ledger does this in a deployment; here is only what the protocol needs of it. None of
it is secret. Whoever restores an older copy of it, with the keys, is a colluder in this model; the
other regions' checkpoints are there to notice.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from protocol.differencing import SurvivorSet
from protocol.messages import Checkpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Reveal:
    """The one list of survivors of a round for which this region gave its shares.

    Attributes:
        plan_hash: The plan, 32 bytes.
        round_: The round.
        context: The attempt in which it did so first, 32 bytes.
        survivors: Ascending by uid.
        payload_sha256: Hash of the region's own released delta, 32 bytes.
    """

    plan_hash: bytes
    round_: int
    context: bytes
    survivors: tuple[bytes, ...]
    payload_sha256: bytes


class History(Protocol):
    """The rounds that a region has accepted, and what it gave and saw in them."""

    def has_seen(self, context: bytes) -> bool:
        """Return whether a round with this context, 32 bytes, was accepted before."""
        ...

    def latest(self, plan_hash: bytes) -> tuple[int, int] | None:
        """Return the last accepted (round, attempt) of a plan, or None before the first."""
        ...

    def accept(self, *, plan_hash: bytes, round_: int, attempt: int, context: bytes) -> None:
        """Remember a round, durably before this returns: then its first message leaves."""
        ...

    def revealed(self, plan_hash: bytes, round_: int) -> Reveal | None:
        """Return what the region revealed shares for in any attempt of a round, or None."""
        ...

    def survivor_sets(self, plan_hash: bytes) -> tuple[SurvivorSet, ...]:
        """Return the survivors of every sum of a plan that the region knows of.

        That is every round that it revealed shares for, and every published one, with or without
        it. It must know the sums of all earlier rounds before it takes part in a later one: what
        it did itself does not show what a coordinator can combine.
        """
        ...

    def record_sum(
        self, *, plan_hash: bytes, round_: int, survivors: tuple[bytes, ...], transcript: bytes
    ) -> None:
        """Remember whose vectors a published sum holds, durably before this returns.

        Args:
            plan_hash: The plan, 32 bytes.
            round_: The round.
            survivors: Ascending by uid, as the checked transcript has them.
            transcript: Its hash, 32 bytes.
        """
        ...

    def reveal(self, reveal: Reveal) -> None:
        """Remember a reveal, durably before this returns: then the shares leave."""
        ...

    def checkpoints(self) -> tuple[Checkpoint, ...]:
        """Return the latest checkpoint seen of every other region, ascending by uid."""
        ...

    def saw(self, checkpoints: Iterable[Checkpoint]) -> None:
        """Remember those of other regions' checkpoints that are genuine and later than known."""
        ...

    def is_behind(self, note: bytes) -> bool:
        """Return whether a checkpoint of this region's own ledger is ahead of the ledger."""
        ...


class MemoryHistory:
    """A `History` that ends with the process: for simulations and tests, not for a region.

    Its ledger has no checkpoints: it believes none and is behind none.
    """

    def __init__(self) -> None:
        self._contexts: set[bytes] = set()
        self._latest: dict[bytes, tuple[int, int]] = {}
        self._reveals: dict[tuple[bytes, int], Reveal] = {}
        self._sums: dict[tuple[bytes, int], SurvivorSet] = {}

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

    def revealed(self, plan_hash: bytes, round_: int) -> Reveal | None:
        """Return what shares were revealed for in a round, or None."""
        return self._reveals.get((plan_hash, round_))

    def survivor_sets(self, plan_hash: bytes) -> tuple[SurvivorSet, ...]:
        """Return the survivors of every sum that is known."""
        known = [(plan, frozenset(one.survivors)) for (plan, _), one in self._reveals.items()]
        known += [(plan, survivors) for (plan, _), survivors in self._sums.items()]
        return tuple(dict.fromkeys(found for plan, found in known if plan == plan_hash))

    def record_sum(
        self, *, plan_hash: bytes, round_: int, survivors: tuple[bytes, ...], transcript: bytes
    ) -> None:
        """Remember a published sum."""
        self._sums[plan_hash, round_] = frozenset(survivors)

    def reveal(self, reveal: Reveal) -> None:
        """Remember a reveal; the first one of a round stays."""
        self._reveals.setdefault((reveal.plan_hash, reveal.round_), reveal)

    def checkpoints(self) -> tuple[Checkpoint, ...]:
        """Return nothing."""
        return ()

    def saw(self, checkpoints: Iterable[Checkpoint]) -> None:
        """Believe nothing."""

    def is_behind(self, note: bytes) -> bool:
        """Return False: there is no ledger."""
        return False
