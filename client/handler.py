"""How a region answers the coordinator: three messages, and nothing else leaves.

``train.start`` answers at once with this round's signed key. ``query.encaps`` brings every
region's keys; once they verify, and only then, budget is reserved and training begins in the
background. ``train.masked`` collects the masked delta, or says that it is not ready yet.
"""

import hashlib
from collections.abc import Callable
from concurrent.futures import Executor, Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from client.errors import ModelChainError
from client.folder import RegionFolder, write_durably
from client.ledger_history import LedgerHistory
from client.model_chain import ModelChain, load_chain, save_chain
from client.training import LocalTraining
from distillation.aggregate import ModelState
from distillation.layout import Vector
from distillation.plan_terms import encoding_of, optimizer_of, weights_of
from privacy.ledger import Ledger
from privacy.plan import TRAIN, Plan
from protocol.config import SignedConfig
from protocol.envelope import Envelope, MessageKind
from protocol.errors import OutOfOrderError
from protocol.identity import Identity, Registry, region_uid
from protocol.messages import Collect, Pending
from protocol.outcome import published_mean
from protocol.policy import RegionPolicy
from protocol.region import RegionRound

_WAIT_S = 5.0
"""How long a collect request waits for training before it answers that the delta is pending."""


class RegionHandler:
    """One region, answering one coordinator for one approved plan.

    Guarantees:
      - training starts only after every check of the round's configuration and keys;
      - a vector leaves only after the ledger holds its release and this very send;
      - the model that it trains from is the one that it computed itself.
    """

    def __init__(
        self,
        *,
        folder: RegionFolder,
        training: LocalTraining,
        registry: Registry,
        min_cohort: int,
        max_weight: Fraction,
        executor: Executor,
        clock: Callable[[], int],
    ) -> None:
        """Take up the plan where the region's folder says it stopped.

        Args:
            folder: The region's folder.
            training: Draws deltas; holds plan, ledger and materials.
            registry: The pinned registry.
            min_cohort: The policy's smallest cohort.
            max_weight: The policy's largest share.
            executor: Where training runs.
            clock: Unix seconds.

        Raises:
            ModelChainError: If the stored model is damaged.
        """
        self._folder, self._training, self._registry = folder, training, registry
        self._min_cohort, self._max_weight = min_cohort, max_weight
        self._executor, self._clock = executor, clock
        self._identity: Identity = folder.identity()
        self._plan: Plan = training.plan
        self._ledger: Ledger = training.ledger
        self._layout = training.materials.part.layout
        start = ModelState.start(training.materials.part.vector())
        self._chain: ModelChain = load_chain(folder, self._plan.hash, start)
        self._round: RegionRound | None = None
        self._delta: Future[Vector] | None = None
        self._sent: Envelope | None = None

    @property
    def uid(self) -> bytes:
        """The region's 16 bytes on the wire."""
        return region_uid(self._training.region)

    def handle(self, kind: MessageKind, request: Envelope) -> Envelope:
        """Answer one message.

        Raises:
            ProtocolError: If the request breaks the protocol or the region's policy.
            ClientError: If the model chain does not fit.
            PrivacyError: If the budget or the ledger stops the round.
        """
        match kind:
            case MessageKind.TRAIN_START:
                return self._start(request)
            case MessageKind.QUERY_ENCAPS:
                return self._begin_training(request)
            case MessageKind.TRAIN_MASKED:
                return self._collect(request)

    def _start(self, request: Envelope) -> Envelope:
        config = SignedConfig.from_bytes(request.body).config
        self._advance(config.round_, request.chunks)
        self._leave_round()
        one = RegionRound(
            identity=self._identity,
            policy=self._policy(),
            history=LedgerHistory(self._ledger),
            now=self._clock(),
        )
        advert = one.start(request.body)
        write_durably(self._folder.last_config, request.body)
        self._round = one
        return Envelope(advert)

    def _begin_training(self, request: Envelope) -> Envelope:
        one = self._current()
        one.on_roster(request.body)
        round_, weights = one.config.round_, self._chain.model.weights
        self._delta = self._executor.submit(self._training.delta, round_, weights)
        return Envelope(Pending(one.context).to_bytes())

    def _collect(self, request: Envelope) -> Envelope:
        one = self._current()
        if Collect.from_bytes(request.body).context != one.context:
            raise OutOfOrderError("the coordinator collects another round than the current one")
        if self._sent is not None:
            return self._sent  # its reply was lost; the same bytes show nothing new
        if self._delta is None:
            raise OutOfOrderError("the coordinator collects before it sent the keys")
        try:
            delta = self._delta.result(timeout=_WAIT_S)
        except FutureTimeoutError:
            return Envelope(Pending(one.context).to_bytes())
        masked, chunks = one.mask(delta)
        self._record_send(one, masked, chunks)
        self._sent = Envelope(masked, chunks)
        return self._sent

    def _record_send(self, one: RegionRound, masked: bytes, chunks: tuple[bytes, ...]) -> None:
        """Put the vector on record, durably, before it can leave."""
        digest = hashlib.sha256()
        for chunk in chunks:
            digest.update(chunk)
        self._ledger.send(
            self._plan.hash,
            one.config.round_,
            TRAIN,
            one.context,
            digest.hexdigest(),
            sum(map(len, chunks)),
            "coordinator",
        )

    def _advance(self, round_: int, published: tuple[bytes, ...]) -> None:
        """Bring the model to ``round_`` from the published sum, if it is one behind."""

        def mean_delta() -> NDArray[np.float64]:
            if not published:
                raise ModelChainError("the coordinator starts a round without the last sum")
            last = SignedConfig.from_bytes(self._folder.last_config.read_bytes()).config
            return published_mean(
                published[0], b"".join(published[1:]), config=last, registry=self._registry
            )

        chain = self._chain.after(round_, mean_delta, optimizer_of(self._plan))
        if chain is not self._chain:
            save_chain(self._folder, self._plan.hash, chain)
            self._chain = chain

    def _policy(self) -> RegionPolicy:
        return RegionPolicy(
            registry=self._registry,
            plan_hash=bytes.fromhex(self._plan.hash),
            model_hash=self._chain.model.hash,
            layout_hash=self._layout.hash,
            encoding=encoding_of(self._plan, self._layout),
            weights=weights_of(self._plan),
            min_cohort=self._min_cohort,
            max_weight=self._max_weight,
        )

    def _current(self) -> RegionRound:
        if self._round is None:
            raise OutOfOrderError("the coordinator asks about a round that was not started here")
        return self._round

    def _leave_round(self) -> None:
        """Drop the current round's secrets; a delta in the making finishes and is kept."""
        if self._round is not None:
            self._round.abort()
        if self._delta is not None:
            self._delta.exception()  # wait: two draws of one round must not overlap
        self._round, self._delta, self._sent = None, None, None
