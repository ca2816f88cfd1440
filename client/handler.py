"""How a region answers the coordinator: one answer a step of the secure sum, and nothing else.

``train.start`` answers at once with this round's signed keys. ``query.encaps`` brings every
region's keys; once they verify, and only then, budget is reserved and training begins in the
background, while ciphertexts and shares go round. ``train.masked`` collects the masked delta, or
says that it is not ready yet. ``query.consent`` and ``query.unmask`` unmask the sum, and
``query.sum`` brings it: the region checks it, steps its own model by it, and countersigns.
"""

import hashlib
from collections.abc import Callable
from concurrent.futures import Executor, Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass, field

from client.folder import RegionFolder
from client.halt import require_running
from client.incidents import require_usable_plan
from client.ledger_history import LedgerHistory
from client.model_chain import ModelChain, load_chain, save_chain
from client.round_terms import RoundTerms
from client.training import LocalTraining, Released
from distillation.aggregate import ModelState
from distillation.plan_terms import optimizer_of
from privacy.plan import TRAIN
from protocol.config import SignedConfig
from protocol.envelope import Envelope, MessageKind
from protocol.errors import OutOfOrderError
from protocol.identity import Identity
from protocol.messages import Behind, Collect, Pending
from protocol.region import RegionRound
from protocol.transcript import Checked, Receipt, Transcript, transcript_hash

_WAIT_S = 5.0
"""How long a collect request waits for training before it answers that the delta is pending."""


@dataclass(slots=True)
class _Current:
    """The round that a region is in.

    Attributes:
        one: Its state machine.
        delta: The delta in the making, once training has begun.
        answers: What was answered to which request: its reply was lost if it comes again, and the
            same bytes show nothing new.
    """

    one: RegionRound
    delta: Future[Released] | None = None
    answers: dict[tuple[MessageKind, bytes], Envelope] = field(default_factory=dict)


class _Behind(Envelope):
    """An answer that holds until the sums come, and is given anew each time."""


class RegionHandler:
    """One region, answering one coordinator for one approved plan.

    Guarantees:
      - training starts only after every check of the round's configuration and keys;
      - a vector leaves only after the ledger holds its release and this very send;
      - shares leave only after the ledger holds for which survivors;
      - the model that it trains from is the one that it computed itself;
      - nothing is answered while its steward has halted it.
    """

    def __init__(
        self,
        *,
        folder: RegionFolder,
        training: LocalTraining,
        terms: RoundTerms,
        history: LedgerHistory,
        executor: Executor,
        clock: Callable[[], int],
    ) -> None:
        """Take up the plan where the region's folder says it stopped.

        Args:
            folder: The region's folder.
            training: Draws deltas; holds plan, ledger and materials.
            terms: What this region accepts of a round.
            history: What it accepted and revealed before.
            executor: Where training runs.
            clock: Unix seconds.

        Raises:
            ModelChainError: If the stored model is damaged.
        """
        self._folder, self._training, self._terms = folder, training, terms
        self._history, self._executor, self._clock = history, executor, clock
        self._identity: Identity = folder.identity()
        self._plan = training.plan
        start = ModelState.start(training.materials.part.vector())
        self._chain: ModelChain = load_chain(folder, self._plan.hash, start)
        self._current: _Current | None = None

    @property
    def uid(self) -> bytes:
        """The region's 16 bytes on the wire."""
        return self._history.uid

    def handle(self, kind: MessageKind, request: Envelope) -> Envelope:
        """Answer one message; the same message again gets the same answer.

        Raises:
            HaltedError: If the steward stopped the region before it, or by the time of the answer.
            ProtocolError: If the request breaks the protocol or the region's policy.
            ClientError: If the model chain does not fit.
            PrivacyError: If the budget or the ledger stops the round.
        """
        require_running(self._folder)
        answer = self._answer(kind, request)
        require_running(self._folder)
        return answer

    def _answer(self, kind: MessageKind, request: Envelope) -> Envelope:
        if kind is MessageKind.QUERY_SUM:
            return self._on_sum(request)
        asked = (kind, request.body)
        if self._current is not None and asked in self._current.answers:
            return self._current.answers[asked]
        if kind is MessageKind.TRAIN_START:
            answer: Envelope | None = self._start(request)
        elif kind is MessageKind.TRAIN_MASKED:
            answer = self._collect(request)
        else:
            answer = Envelope(self._step(kind, request.body))
        if answer is None:
            return Envelope(Pending(self._require_current().one.context).to_bytes())
        if self._current is not None and not isinstance(answer, _Behind):
            self._current.answers[asked] = answer
        return answer

    def _start(self, request: Envelope) -> Envelope:
        """Take part in a round, or say which sums are missing; what is refused ends no other."""
        self._history.learn(request.chunks)
        signed = SignedConfig.from_bytes(request.body)
        if signed.config.round_ > self._chain.next_round:
            signed.verify(self._terms.registry.server_key)
            plan_hash, next_round = bytes.fromhex(self._plan.hash), self._chain.next_round
            return _Behind(Behind(plan_hash=plan_hash, uid=self.uid, round_=next_round).to_bytes())
        one = RegionRound(
            identity=self._identity,
            policy=self._terms.policy(self._chain),
            history=self._history,
            now=self._clock(),
        )
        advert = one.start(request.body)
        self._leave_round()
        self._current = _Current(one)
        return Envelope(advert)

    def _step(self, kind: MessageKind, body: bytes) -> bytes:
        current = self._require_current()
        match kind:
            case MessageKind.QUERY_ENCAPS:
                parcel = current.one.on_roster(body)
                round_, weights = current.one.config.round_, self._chain.model.weights
                current.delta = self._executor.submit(self._training.delta, round_, weights)
                return parcel
            case MessageKind.QUERY_SHARES:
                return current.one.on_encaps(body)
            case MessageKind.QUERY_ACCEPT:
                return current.one.on_shares(body)
            case MessageKind.QUERY_CONSENT:
                return current.one.on_survivors(body)
            case MessageKind.QUERY_UNMASK:
                return current.one.on_consents(body)
            case _:
                raise OutOfOrderError(f"{kind} is no step of a round")

    def _collect(self, request: Envelope) -> Envelope | None:
        """Return the masked vector, or None while the delta is in the making."""
        current = self._require_current()
        one = current.one
        if Collect.from_bytes(request.body).context != one.context:
            raise OutOfOrderError("the coordinator collects another round than the current one")
        if current.delta is None or len(request.chunks) != 1:
            raise OutOfOrderError("the coordinator collects before it sent keys and members")
        try:
            released = current.delta.result(timeout=_WAIT_S)
        except FutureTimeoutError:
            return None
        masked, chunks = one.mask(
            bytes(request.chunks[0]),
            released.delta,
            payload_sha256=released.payload_sha256,
            checkpoint=self._history.checkpoint(),
            in_place=True,  # a further attempt reads the delta from disk again
        )
        require_usable_plan(self._folder, self._training.ledger.state, self._plan.hash)
        digest = hashlib.sha256()
        for chunk in chunks:
            digest.update(chunk)
        self._training.ledger.send(
            self._plan.hash,
            one.config.round_,
            TRAIN,
            one.context,
            digest.hexdigest(),
            sum(map(len, chunks)),
            "coordinator",
        )
        return Envelope(masked, chunks)

    def _on_sum(self, request: Envelope) -> Envelope:
        """Check a published sum, step the model by it if it is the next one, and countersign."""
        checked = Transcript.from_bytes(request.body).check(self._terms.registry)
        digest = transcript_hash(request.body)
        if digest != self._chain.last:
            self._terms.check_published(checked.config, self._chain)
            mean = checked.outcome.mean(b"".join(request.chunks), config=checked.config)
            self._record_sum(checked, digest)
            chain = self._chain.after(mean, optimizer_of(self._plan), digest)
            save_chain(self._folder, self._plan.hash, chain)
            self._chain = chain
            self._leave_round()
        receipt = Receipt(context=checked.config.context(), uid=self.uid, transcript_hash=digest)
        signed = receipt.signed_by(self._identity).to_bytes()
        return Envelope(signed, (self._history.own.request(),))

    def _record_sum(self, checked: Checked, digest: bytes) -> None:
        """Put a sum on record, which refuses one over others than this region gave shares for."""
        config = checked.config
        self._history.record_sum(
            plan_hash=config.plan_hash,
            round_=config.round_,
            survivors=checked.outcome.survivors,
            transcript=digest,
        )

    def _require_current(self) -> _Current:
        if self._current is None:
            raise OutOfOrderError("the coordinator asks about a round that was not started here")
        return self._current

    def _leave_round(self) -> None:
        """Drop the current round's secrets; a delta in the making finishes and is kept."""
        if self._current is not None:
            self._current.one.abort()
            if self._current.delta is not None:
                self._current.delta.exception()  # wait: two draws of one round must not overlap
        self._current = None
