"""One attempt of a round: every exchange with the regions, each with its own deadline.

The order is that of `protocol.coordinator`. A region that does not answer in a stage, refuses, or
sends what does not check is lost from there on; the others go on without it while they are enough.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

from protocol.coordinator import CoordinatorRound
from protocol.differencing import SurvivorSet
from protocol.envelope import Envelope, MessageKind
from protocol.errors import MalformedMessageError, ProtocolError, RoundVoidError
from protocol.identity import Registry
from protocol.messages import Advertise, Behind, Collect, Masked, Pending, Refusal
from protocol.transcript import PublishedSum, Receipt
from protocol.wire import split_chunks
from server.flower_adapter import Transport, TransportError
from server.published import PublishedRounds
from server.transcript import Transcript
from server.witness import Witness, WitnessRefusedError

_POLL_S = 0.05
_LONGEST_PAUSE_S = 5.0
_LONGEST_ASK_S = 15.0
"""How long one request may wait for a silent region before the others are asked again."""


@dataclass(frozen=True, slots=True)
class Exchanges:
    """How the coordinator reaches regions, and where it writes down what they did.

    Attributes:
        transport: The way to the nodes.
        transcript: The run's log.
        registry: Everybody's keys.
        published: The finished rounds.
        witness: Cosigns the regions' checkpoints.
        clock: Seconds, monotonic.
        sleep: Waits so many seconds.
    """

    transport: Transport
    transcript: Transcript
    registry: Registry
    published: PublishedRounds
    witness: Witness
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def ask(
        self, kind: MessageKind, requests: Mapping[int, Envelope], limit_s: float
    ) -> Iterator[tuple[int, Envelope | None]]:
        """Yield each answer, and None for a refusal; what did not come is on record only."""
        for node, reply in self.transport.exchange(kind, requests, limit_s):
            refusal = None if isinstance(reply, TransportError) else _refusal(reply.body)
            if isinstance(reply, TransportError):
                self.transcript.add("lost", kind=kind.value, node=str(node), reason=reply.reason)
            elif refusal is not None:  # it is not signed: the node is known, its uid is a claim
                code = refusal.code.value
                self.transcript.add("left", kind=kind.value, node=str(node), code=code)
                yield node, None
            else:
                yield node, reply

    def take(self, context: bytes, node: int, answer: Callable[[], None]) -> bool:
        """Give a region's message to the round; a faulty one costs that region, not the others."""
        try:
            answer()
        except ProtocolError as error:
            code = error.code.value
            self.transcript.add("refused", context=context.hex(), node=str(node), code=code)
            return False
        return True

    def cosign(self, uid: bytes, reply: Envelope) -> None:
        """Cosign the checkpoint that came with a region's receipt, if it follows from the last."""
        try:
            for chunk in reply.chunks:
                self.witness.cosign(uid, bytes(chunk))
        except WitnessRefusedError as error:
            self.transcript.add("unwitnessed", uid=uid.hex(), reason=str(error))

    def send_sums(self, node: int, rounds: range, until: float) -> None:
        """Bring a region that was away up to date, one published round after the other.

        It stops at the first sum that the region gives no receipt for.
        """
        for round_ in rounds:
            words = split_chunks(self.published.words(round_))
            request = Envelope(self.published.transcript(round_), words)
            left = until - self.clock()
            if left <= 0 or not any(
                reply is not None and _is_receipt(reply.body)
                for _, reply in self.ask(MessageKind.QUERY_SUM, {node: request}, left)
            ):
                return


@dataclass(slots=True)
class Attempt:
    """One attempt of one round.

    Attributes:
        one: The round's state machine.
        exchanges: The way to the regions.
        allowed: The regions that may take part.
        acceptable: Whether the regions will help to sum these survivors, given earlier sums.
        bytes_in: Bytes of each region's masked message and vector, by region.
    """

    one: CoordinatorRound
    exchanges: Exchanges
    allowed: frozenset[bytes]
    acceptable: Callable[[SurvivorSet], bool]
    bytes_in: dict[str, int] = field(default_factory=dict)
    _live: dict[int, bytes] = field(default_factory=dict)

    def run(self, *, before_unmask: Callable[[tuple[bytes, ...]], None]) -> PublishedSum:
        """Play the attempt to its end.

        Args:
            before_unmask: Told for which survivors shares will be asked; it must be on record
                before they are, because no other set can be unmasked in this round then.

        Raises:
            RoundVoidError: If too many regions were lost.
            AbortError: If a region dealt shares that contradict its own commitments.
        """
        one, limits = self.one, self.one.config.deadlines
        self._advertise(limits.advertise_s)
        roster = one.roster()
        self._stage(MessageKind.QUERY_ENCAPS, lambda _: roster, one.on_encaps, limits.encaps_s)
        self._stage(MessageKind.QUERY_SHARES, one.encaps_for, one.on_shares, limits.shares_s)
        self._stage(MessageKind.QUERY_ACCEPT, one.shares_for, one.on_accepted, limits.shares_s)
        self._collect(one.members(), limits.masked_s)
        self._require_acceptable()
        survivors = one.survivors()
        self._stage(
            MessageKind.QUERY_CONSENT, lambda _: survivors, one.on_consent, limits.consent_s
        )
        consents = one.consents()
        before_unmask(one.expected)
        self._stage(MessageKind.QUERY_UNMASK, lambda _: consents, one.on_unmask, limits.unmask_s)
        return one.close()

    def _advertise(self, limit_s: float) -> None:
        """Start the round everywhere; a region that was away gets what it missed, and starts then.

        That is done once for each, after the others' keys came: who is behind again is lost.
        """
        until = self.exchanges.clock() + limit_s
        behind = self._start(self._await_nodes(until), until)
        for node, missed in behind.items():
            rounds = range(missed.round_, self.one.config.round_)
            self.exchanges.send_sums(node, rounds, until)
        self._start(tuple(behind), until)

    def _start(self, nodes: tuple[int, ...], until: float) -> Mapping[int, Behind]:
        """Ask these nodes for their keys; return those that missed sums."""
        behind: dict[int, Behind] = {}
        cosigned = self.exchanges.witness.notes()
        start = dict.fromkeys(nodes, Envelope(self.one.signed_config, cosigned))
        left = until - self.exchanges.clock()
        if not nodes or left <= 0:
            return behind
        for node, reply in self.exchanges.ask(MessageKind.TRAIN_START, start, left):
            missed = _behind(reply.body) if reply else None
            if missed is not None and self._is_earlier(missed):
                behind[node] = missed
            elif reply is not None:
                self._take_advert(node, reply.body)
        return behind

    def _is_earlier(self, missed: Behind) -> bool:
        config = self.one.config
        return missed.plan_hash == config.plan_hash and missed.round_ < config.round_

    def _await_nodes(self, until: float) -> tuple[int, ...]:
        """Return the nodes once there are enough, or those that are there at the deadline."""
        count = len(self.one.config.cohort)
        while (
            len(nodes := self.exchanges.transport.nodes()) < count
            and self.exchanges.clock() < until
        ):
            self.exchanges.sleep(_POLL_S)
        return nodes

    def _take_advert(self, node: int, body: bytes) -> None:
        def take() -> None:
            uid = Advertise.from_bytes(body).uid
            if uid in self.allowed:
                self.one.on_advert(body)
                self._live[node] = uid

        self.exchanges.take(self.one.context, node, take)

    def _stage(
        self,
        kind: MessageKind,
        request_for: Callable[[bytes], bytes],
        take: Callable[[bytes], None],
        limit_s: float,
    ) -> None:
        """Ask every region that is still there; who answers well stays."""
        if not self._live:
            missing = tuple(sorted(self.one.missing))
            least = self.one.config.threshold
            raise RoundVoidError(missing=missing, phase=f"answer to {kind}", least=least, came=0)
        requests = {node: Envelope(request_for(uid)) for node, uid in self._live.items()}
        asked, self._live = self._live, {}
        for node, reply in self.exchanges.ask(kind, requests, limit_s):
            if reply is not None and self.exchanges.take(
                self.one.context, node, partial(take, reply.body)
            ):
                self._live[node] = asked[node]

    def _collect(self, members: bytes, limit_s: float) -> None:
        """Ask until every member has sent its vector or the deadline has passed.

        The pause doubles while nothing new comes, so that a lost region is not asked all the time.
        """
        collect = Envelope(Collect(self.one.context).to_bytes(), (members,))
        waiting = {node: uid for node, uid in self._live.items() if uid in self.one.expected}
        self._live, pause = {}, _POLL_S
        until = self.exchanges.clock() + limit_s
        while waiting and (left := until - self.exchanges.clock()) > 0:
            asked = dict.fromkeys(waiting, collect)
            limit = min(left, _LONGEST_ASK_S)
            for node, reply in self.exchanges.ask(MessageKind.TRAIN_MASKED, asked, limit):
                if reply is None:
                    del waiting[node]
                elif not _is_pending(reply.body):
                    self._take_vector(node, waiting.pop(node), reply)
            pause = _POLL_S if len(waiting) < len(asked) else min(2 * pause, _LONGEST_PAUSE_S)
            if waiting:
                self.exchanges.sleep(pause)

    def _require_acceptable(self) -> None:
        """Void the attempt where the survivors, with earlier sums, would isolate a few regions."""
        came = frozenset(self._live.values())
        if not self.acceptable(came):
            raise RoundVoidError(
                missing=tuple(sorted(self.one.missing)),
                phase="masked vector (with fewer, the sums of several rounds would isolate some)",
                least=len(self.one.expected),
                came=len(came),
            )

    def _take_vector(self, node: int, uid: bytes, reply: Envelope) -> None:
        if self.exchanges.take(
            self.one.context, node, lambda: self.one.on_masked(reply.body, reply.chunks)
        ):
            self._live[node] = uid
            name = self.exchanges.registry.record(uid).name
            self.bytes_in[name] = len(reply.body) + sum(map(len, reply.chunks))
            self.exchanges.transcript.add(
                "masked",
                context=self.one.context.hex(),
                uid=Masked.from_bytes(reply.body).uid.hex(),
                message=reply.body.hex(),
            )


def _is_pending(body: bytes) -> bool:
    try:
        Pending.from_bytes(body)
    except MalformedMessageError:
        return False
    return True


def _is_receipt(body: bytes) -> bool:
    try:
        Receipt.from_bytes(body)
    except MalformedMessageError:
        return False
    return True


def _behind(body: bytes) -> Behind | None:
    try:
        return Behind.from_bytes(body)
    except MalformedMessageError:
        return None


def _refusal(body: bytes) -> Refusal | None:
    try:
        return Refusal.from_bytes(body)
    except MalformedMessageError:
        return None
