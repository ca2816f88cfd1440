"""What a region did in rounds, kept in its ledger: the secure sum's memory over restarts."""

from collections.abc import Iterable
from dataclasses import dataclass

from client.checkpoints import SeenCheckpoints, read_checkpoint
from client.own_checkpoints import OwnCheckpoints
from privacy.ledger import Ledger
from protocol.differencing import SurvivorSet
from protocol.history import Reveal
from protocol.identity import Identity
from protocol.messages import Checkpoint
from protocol.wire import UID_BYTES, Chunk


@dataclass(frozen=True, slots=True)
class LedgerHistory:
    """A `protocol.history.History` that is as durable as the ledger.

    Attributes:
        ledger: The region's ledger.
        uid: The region, 16 bytes.
        key: Signs the ledger's checkpoints.
        seen: The other regions' checkpoints.

    Raises:
        LedgerCorruptError: If a checkpoint in the region's folder is ahead of the ledger.
    """

    ledger: Ledger
    uid: bytes
    key: Identity
    seen: SeenCheckpoints

    def __post_init__(self) -> None:
        self.own.require_contained()

    @property
    def own(self) -> OwnCheckpoints:
        """This ledger's checkpoints in the region's folder."""
        cosigner = self.seen.registry.cosigner_key
        return OwnCheckpoints(self.seen.folder, self.ledger, self.key, self.uid, cosigner)

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

    def revealed(self, plan_hash: bytes, round_: int) -> Reveal | None:
        """Return what the region gave shares for in any attempt of a round, or None."""
        entry = self.ledger.state.revealed(plan_hash.hex(), round_)
        if entry is None:
            return None
        return Reveal(
            plan_hash=plan_hash,
            round_=round_,
            context=bytes.fromhex(entry.context),
            survivors=_uids(entry.survivors),
            payload_sha256=bytes.fromhex(entry.payload_sha256),
        )

    def survivor_sets(self, plan_hash: bytes) -> tuple[SurvivorSet, ...]:
        """Return the survivors of every sum of a plan, with this region and without."""
        state, plan = self.ledger.state, plan_hash.hex()
        lists = [reveal.survivors for reveal in state.reveals(plan).values()]
        lists += [published.survivors for published in state.sums(plan).values()]
        return tuple(frozenset(_uids(joined)) for joined in dict.fromkeys(lists))

    def record_sum(
        self, *, plan_hash: bytes, round_: int, survivors: tuple[bytes, ...], transcript: bytes
    ) -> None:
        """Put a published sum on record, durably before this returns."""
        self.ledger.record_sum(plan_hash.hex(), round_, transcript.hex(), survivors)

    def reveal(self, reveal: Reveal) -> None:
        """Put a reveal on record, durably before this returns."""
        self.ledger.reveal(
            reveal.plan_hash.hex(),
            reveal.round_,
            reveal.context,
            reveal.survivors,
            reveal.payload_sha256.hex(),
        )

    def checkpoints(self) -> tuple[Checkpoint, ...]:
        """Return the latest checkpoint seen of every other region, ascending by uid."""
        return self.seen.all()

    def saw(self, checkpoints: Iterable[Checkpoint]) -> None:
        """Keep those of other regions' checkpoints that are genuine and later than known."""
        self.seen.add(one for one in checkpoints if one.uid != self.uid)

    def is_behind(self, note: bytes) -> bool:
        """Return whether a checkpoint of this ledger is ahead of it, or of another branch."""
        statement = read_checkpoint(note, uid=self.uid, ledger_key=self.key.public_bytes())
        if statement is None:
            return False
        return self.ledger.root_at(statement.size) != (statement.size, statement.root)

    def checkpoint(self) -> bytes:
        """Return a signed checkpoint of the ledger as it is now; it is kept before it leaves."""
        return self.own.sign()

    def learn(self, notes: Iterable[Chunk]) -> None:
        """Keep what the coordinator cosigned of this ledger; notes of others are not looked at.

        Raises:
            LedgerCorruptError: If it cosigned what this ledger lacks: it is an older copy.
        """
        for note in notes:
            self.own.keep(bytes(note))


def _uids(joined: str) -> tuple[bytes, ...]:
    data = bytes.fromhex(joined)
    return tuple(data[i : i + UID_BYTES] for i in range(0, len(data), UID_BYTES))
