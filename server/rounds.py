"""The round loop: propose, relay keys, collect masked deltas, publish the sum, step the student.

It sees signed public keys, masked words and their sum; everything it decides is checked again by
every region. A round in which a region is lost is void and tried again: the regions mask the same
delta anew, so that a further attempt costs no privacy.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from distillation.aggregate import ModelState, advance
from distillation.layout import Layout
from distillation.plan_terms import encoding_of, optimizer_of, weights_of
from privacy.plan import Plan
from protocol.config import Deadlines, RoundConfig
from protocol.coordinator import CoordinatorRound, PublishedSum
from protocol.envelope import Envelope, MessageKind
from protocol.errors import MalformedMessageError, ProtocolError, RoundVoidError
from protocol.identity import Identity, Registry
from protocol.messages import Advertise, Collect, Masked, Pending, Refusal
from protocol.outcome import published_mean
from protocol.wire import split_chunks
from server.checkpoint import Checkpoint, load, save
from server.errors import RunFailedError
from server.flower_adapter import Transport, TransportError
from server.transcript import Transcript

_ATTEMPTS = 3
_POLL_S = 0.05
_LONGEST_PAUSE_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTerms:
    """What the coordinator runs.

    Attributes:
        plan: The plan that the regions approved.
        layout: The trained tensors.
        registry: Everybody's keys.
        identity: The server's signing key.
        deadlines: How long each step may take.
    """

    plan: Plan
    layout: Layout
    registry: Registry
    identity: Identity
    deadlines: Deadlines


@dataclass(frozen=True, slots=True)
class FinishedRound:
    """What is known after a round; all of it public.

    Attributes:
        round_: Its index, from 0.
        model: The model after it.
        bytes_in: Bytes of each region's masked message and vector, by region.
        seconds: From the first message to the published sum.
    """

    round_: int
    model: ModelState
    bytes_in: Mapping[str, int]
    seconds: float


class RoundLoop:
    """Runs a plan's rounds over a transport, from wherever its folder says it stopped.

    Attributes:
        folder: Holds ``checkpoint.npz`` and ``transcript.jsonl``.
        checkpoint: The state after the last finished round.
    """

    def __init__(
        self,
        terms: RunTerms,
        transport: Transport,
        folder: Path,
        *,
        start: ModelState,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Open the run.

        Raises:
            CheckpointError: If the folder holds another plan's run, or a damaged one.
        """
        self._terms, self._transport = terms, transport
        self._clock, self._sleep = clock, sleep
        self.folder = folder
        self._transcript = Transcript(folder / "transcript.jsonl")
        found = load(folder / "checkpoint.npz", plan_hash=terms.plan.hash)
        self.checkpoint = found or Checkpoint(terms.plan.hash, 0, 0, start)

    def run(self) -> Iterator[FinishedRound]:
        """Yield each remaining round as it finishes.

        Raises:
            RunFailedError: If a round stayed void after all its attempts; run again to resume.
        """
        while self.checkpoint.finished < self._terms.plan.rounds:
            yield self._round()

    def _round(self) -> FinishedRound:
        reasons = []
        for _ in range(_ATTEMPTS):
            began = self._clock()
            one = self._open()
            try:
                published, bytes_in = self._attempt(one)
            except RoundVoidError as error:
                reasons.append(str(error))
                self._transcript.add("void", context=one.context.hex(), missing=[*error.missing])
                continue
            self._finish(one, published)
            seconds = self._clock() - began
            round_ = self.checkpoint.finished - 1
            return FinishedRound(round_, self.checkpoint.model, bytes_in, seconds)
        raise RunFailedError(
            f"round {self.checkpoint.finished} gave no sum in {_ATTEMPTS} attempts: {reasons[-1]}; "
            "nothing is lost: run again with --resume"
        )

    def _open(self) -> CoordinatorRound:
        """Open the next attempt; its number is on disk before any region hears of it."""
        now = self.checkpoint
        one = CoordinatorRound(
            config=self._config(now),
            server_identity=self._terms.identity,
            registry=self._terms.registry,
        )
        self.checkpoint = replace(now, attempt=now.attempt + 1)
        save(self.checkpoint, self.folder / "checkpoint.npz")
        self._transcript.add("config", context=one.context.hex(), signed=one.signed_config.hex())
        return one

    def _attempt(self, one: CoordinatorRound) -> tuple[PublishedSum, dict[str, int]]:
        nodes = self._advertise(one)
        self._relay(one, nodes)
        bytes_in = self._collect(one, nodes)
        return one.close(), bytes_in

    def _advertise(self, one: CoordinatorRound) -> dict[int, str]:
        """Start the round everywhere; return the name of the region at each node."""
        chunks: tuple[bytes, ...] = ()
        if self.checkpoint.outcome:
            chunks = (self.checkpoint.outcome, *split_chunks(self.checkpoint.words))
        start = Envelope(one.signed_config, chunks)
        nodes: dict[int, str] = {}
        everyone = dict.fromkeys(self._await_nodes(len(one.config.cohort)), start)
        limit_s = self._terms.deadlines.advertise_s
        for node, reply in self._ask(MessageKind.TRAIN_START, everyone, limit_s):
            if self._accepted(one, reply, lambda sent: one.on_advert(sent.body)):
                advert = Advertise.from_bytes(reply.body)
                nodes[node] = self._terms.registry.record(advert.uid).name
        return nodes

    def _await_nodes(self, count: int) -> tuple[int, ...]:
        """Return the nodes once there are enough, or those that are there at the deadline."""
        until = self._clock() + self._terms.deadlines.advertise_s
        while len(nodes := self._transport.nodes()) < count and self._clock() < until:
            self._sleep(_POLL_S)
        return nodes

    def _relay(self, one: CoordinatorRound, nodes: Mapping[int, str]) -> None:
        roster = Envelope(one.roster())
        self._transcript.add("roster", context=one.context.hex(), roster=roster.body.hex())
        asked = dict.fromkeys(nodes, roster)
        limit_s = self._terms.deadlines.encaps_s
        for _, reply in self._ask(MessageKind.QUERY_ENCAPS, asked, limit_s):
            self._accepted(one, reply, lambda sent: None)

    def _collect(self, one: CoordinatorRound, nodes: Mapping[int, str]) -> dict[str, int]:
        """Ask until every region has sent its vector or the deadline has passed.

        The pause doubles while nothing new comes, so that a lost region is not asked all the time.
        """
        collect = Envelope(Collect(one.context).to_bytes())
        waiting, bytes_in, pause = dict(nodes), dict[str, int](), _POLL_S
        until = self._clock() + self._terms.deadlines.masked_s
        while waiting and (left := until - self._clock()) > 0:
            asked = dict.fromkeys(waiting, collect)
            for node, reply in self._ask(MessageKind.TRAIN_MASKED, asked, left):
                if _is_pending(reply.body):
                    continue
                name = waiting.pop(node)
                if self._accepted(one, reply, lambda sent: one.on_masked(sent.body, sent.chunks)):
                    bytes_in[name] = len(reply.body) + sum(map(len, reply.chunks))
                    self._note_vector(one, reply)
            pause = _POLL_S if len(waiting) < len(asked) else min(2 * pause, _LONGEST_PAUSE_S)
            if waiting:
                self._sleep(pause)
        return bytes_in

    def _finish(self, one: CoordinatorRound, published: PublishedSum) -> None:
        outcome, words = published.outcome.to_bytes(), b"".join(published.chunks())
        mean = published_mean(outcome, words, config=one.config, registry=self._terms.registry)
        now = self.checkpoint
        model = advance(now.model, mean, optimizer_of(self._terms.plan))
        self._transcript.add("outcome", context=one.context.hex(), outcome=outcome.hex())
        self.checkpoint = Checkpoint(
            now.plan_hash, now.finished + 1, 0, model, outcome=outcome, words=words
        )
        save(self.checkpoint, self.folder / "checkpoint.npz")

    def _config(self, now: Checkpoint) -> RoundConfig:
        terms, weights = self._terms, weights_of(self._terms.plan)
        return RoundConfig(
            plan_hash=bytes.fromhex(terms.plan.hash),
            round_=now.finished,
            attempt=now.attempt,
            model_hash=now.model.hash,
            layout_hash=terms.layout.hash,
            registry_hash=terms.registry.hash,
            encoding=encoding_of(terms.plan, terms.layout),
            cohort=tuple(weights),
            weights=tuple(weights.values()),
            threshold=terms.plan.sum.threshold,
            min_cohort=len(weights),
            min_survivors=terms.plan.sum.min_survivors,
            deadlines=terms.deadlines,
        )

    def _ask(
        self, kind: MessageKind, requests: Mapping[int, Envelope], limit_s: float
    ) -> Iterator[tuple[int, Envelope]]:
        """Yield the replies that came; what did not come is on record and shows up as missing."""
        for node, reply in self._transport.exchange(kind, requests, limit_s):
            if isinstance(reply, TransportError):
                self._transcript.add("lost", kind=kind.value, node=str(node), reason=reply.reason)
            else:
                yield node, reply

    def _accepted(
        self, one: CoordinatorRound, reply: Envelope, take: Callable[[Envelope], None]
    ) -> bool:
        """Give a region's message to the round; a faulty one costs that region, not the others."""
        refusal = _refusal(reply.body)
        if refusal is not None:
            self._transcript.add("left", uid=refusal.uid.hex(), code=refusal.code.value)
            return False
        try:
            take(reply)
        except ProtocolError as error:
            self._transcript.add("refused", context=one.context.hex(), code=error.code.value)
            return False
        return True

    def _note_vector(self, one: CoordinatorRound, reply: Envelope) -> None:
        masked = Masked.from_bytes(reply.body)
        self._transcript.add(
            "masked", context=one.context.hex(), uid=masked.uid.hex(), message=reply.body.hex()
        )


def _is_pending(body: bytes) -> bool:
    try:
        Pending.from_bytes(body)
    except MalformedMessageError:
        return False
    return True


def _refusal(body: bytes) -> Refusal | None:
    try:
        return Refusal.from_bytes(body)
    except MalformedMessageError:
        return None
