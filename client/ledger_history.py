"""The rounds that a region accepted, kept in its ledger: the secure sum's memory over restarts."""

from dataclasses import dataclass

from privacy.ledger import Ledger


@dataclass(frozen=True, slots=True)
class LedgerHistory:
    """A `protocol.history.History` that is as durable as the ledger."""

    ledger: Ledger

    def has_seen(self, context: bytes) -> bool:
        """Return whether a round with this context, 32 bytes, was accepted before."""
        state = self.ledger.state
        return any(context in state.seen_contexts(plan) for plan in state.plans)

    def latest(self, plan_hash: bytes) -> tuple[int, int] | None:
        """Return the last accepted (round, attempt) of a plan, or None before the first."""
        return self.ledger.state.last_round(plan_hash.hex())

    def accept(self, *, plan_hash: bytes, round_: int, attempt: int, context: bytes) -> None:
        """Put a round on record, durably before this returns."""
        self.ledger.accept_context(plan_hash.hex(), round_, attempt, context)
