"""The steps of a round, written to the ledger in the order in which a region takes them.

See ``ledger`` for the order and for what a kill between two steps means.
"""

from __future__ import annotations

from collections.abc import Sequence

from privacy.ledger_log import LedgerLog
from privacy.ledger_steps import Context, Release, Reserve, Reveal, Send, Sum
from privacy.ledger_values import LedgerState


class RoundEntries:
    """What a region writes in rounds; each method is durable when it returns, or raises.

    Args:
        log: The open ledger.
    """

    def __init__(self, log: LedgerLog) -> None:
        self._log = log
        self._append = log.append

    def accept_context(self, plan_hash: str, round_: int, attempt: int, context: bytes) -> None:
        """Record that this region takes part in a round under this configuration.

        Raises:
            ReplayedContextError: If it was accepted before, or is not after the last one.
            UnknownEntryError: If the plan was not approved here.
        """
        entry = Context(plan=plan_hash, round=round_, attempt=attempt, context=context.hex())
        self._append(lambda _: entry)

    def reserve(self, plan_hash: str, round_: int, component: str, steps: int) -> int:
        """Spend ``steps`` and return the number of the draw that may now be made.

        Guarantees: on the disk before it returns, and never given back.

        Raises:
            BudgetExceededError: If the component has fewer steps left.
            DuplicateEntryError: If the round was released: noise is not drawn again.
            UnknownEntryError: If the plan or the component is not approved here.
        """

        def next_draw(state: LedgerState) -> Reserve:
            draws = state.reserved(plan_hash, round_, component)
            return Reserve(plan_hash, round_, component, len(draws) + 1, steps)

        after = self._append(next_draw)
        return len(after.reserved(plan_hash, round_, component))

    def release(
        self,
        plan_hash: str,
        round_: int,
        component: str,
        draw: int,
        payload_sha256: str,
        payload_bytes: int,
    ) -> None:
        """Fix the one payload of a round; the same again changes nothing.

        Raises:
            MissingReserveError: If ``draw`` is not the latest reserve of this round.
            DuplicateEntryError: If another payload was released for it.
            UnknownEntryError: If the plan or the component is not approved here.
        """
        entry = Release(plan_hash, round_, component, draw, payload_sha256, payload_bytes)
        self._append(
            lambda state: None if state.released(plan_hash, round_, component) == entry else entry
        )

    def send(
        self,
        plan_hash: str,
        round_: int,
        component: str,
        context: bytes,
        wire_sha256: str,
        wire_bytes: int,
        destination: str,
    ) -> None:
        """Record masked bytes before they leave; the same again changes nothing.

        Raises:
            MissingReleaseError: If the round has no release.
            DuplicateEntryError: If other bytes left under this context.
            UnknownEntryError: If the context was not accepted for this round.
        """
        entry = Send(
            plan_hash, round_, component, context.hex(), wire_sha256, wire_bytes, destination
        )
        self._append(
            lambda state: None if state.sent(plan_hash, component, context) == entry else entry
        )

    def reveal(
        self,
        plan_hash: str,
        round_: int,
        context: bytes,
        survivors: Sequence[bytes],
        payload_sha256: str,
    ) -> None:
        """Record for whose sum this region gives its shares, before they leave.

        Args:
            plan_hash: The plan.
            round_: The round.
            context: The attempt, 32 bytes; accepted before.
            survivors: The regions in the sum, 16 bytes each, ascending.
            payload_sha256: This region's release in it.

        Raises:
            DuplicateEntryError: If shares of this round were given for other survivors.
            MissingReleaseError: If the round has no such release.
            UnknownEntryError: If the context was not accepted for this round.
        """
        uids = b"".join(survivors).hex()
        entry = Reveal(plan_hash, round_, context.hex(), uids, payload_sha256)
        self._append(lambda state: None if state.revealed(plan_hash, round_) == entry else entry)

    def record_sum(
        self, plan_hash: str, round_: int, transcript: str, survivors: Sequence[bytes]
    ) -> None:
        """Record a published sum before the model steps by it; the same again changes nothing.

        Args:
            plan_hash: The plan.
            round_: The round; the one after the last recorded.
            transcript: Hash of the signed messages that prove the survivors' consent, hex.
            survivors: The regions in the sum, 16 bytes each, ascending.

        Raises:
            DuplicateEntryError: If it is out of order, or over other survivors than this region
                gave its shares for.
            UnknownEntryError: If the plan was not approved here.
        """
        entry = Sum(plan_hash, round_, transcript, b"".join(survivors).hex())
        self._append(lambda state: None if state.sums(plan_hash).get(round_) == entry else entry)
