"""The round loop: propose, relay keys and shares, collect masked deltas, publish, step the student.

It sees signed public keys, masked words and their sum; everything it decides is checked again by
every region. Lost regions cost the sum their deltas. Where too many are lost the attempt is void
and the round is tried again: the regions mask the same delta anew, which costs no privacy.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from distillation.aggregate import ModelState, advance
from distillation.layout import Layout
from distillation.plan_terms import encoding_of, optimizer_of, rotation_of, weights_of
from privacy.plan import Plan
from protocol.config import Deadlines, Kem, Recovery, RoundConfig
from protocol.coordinator import CoordinatorRound
from protocol.differencing import SurvivorSet, allows
from protocol.envelope import Envelope, MessageKind
from protocol.errors import AbortCode, AbortError, RoundVoidError
from protocol.identity import Identity, Registry, region_uid
from protocol.policy import LEAST_HONEST
from protocol.transcript import PublishedSum, Receipt, start_hash, transcript_hash
from protocol.wire import UID_BYTES
from server.attempt import Attempt, Exchanges
from server.checkpoint import Checkpoint, load, save
from server.errors import RunFailedError
from server.flower_adapter import Transport
from server.published import PublishedRounds
from server.transcript import Transcript
from server.witness import Witness

_ATTEMPTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTerms:
    """What the coordinator runs.

    Attributes:
        plan: The plan that the regions approved.
        layout: The trained tensors.
        registry: Everybody's keys.
        identity: The server's signing key.
        deadlines: How long each step may take.
        open_round: Opens a round's state machine; another one is a lying server, for tests.
    """

    plan: Plan
    layout: Layout
    registry: Registry
    identity: Identity
    deadlines: Deadlines
    open_round: Callable[..., CoordinatorRound] = CoordinatorRound


@dataclass(frozen=True, slots=True)
class FinishedRound:
    """What is known after a round; all of it public.

    Attributes:
        round_: Its index, from 0.
        model: The model after it.
        bytes_in: Bytes of the masked message and vector of each region in the sum, by region.
        seconds: From the first message of the attempt to the published sum.
    """

    round_: int
    model: ModelState
    bytes_in: Mapping[str, int]
    seconds: float


class RoundLoop:
    """Runs a plan's rounds over a transport, from wherever its folder says it stopped.

    Attributes:
        folder: Holds ``checkpoint.npz``, ``transcript.jsonl`` and ``rounds/``.
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
        self._terms, self._clock, self.folder = terms, clock, folder
        self._exchanges = Exchanges(
            transport,
            Transcript(folder / "transcript.jsonl"),
            terms.registry,
            PublishedRounds(folder / "rounds"),
            Witness.open(folder / "server", terms.registry),
            clock,
            sleep,
        )
        found = load(folder / "checkpoint.npz", plan_hash=terms.plan.hash)
        self.checkpoint = found or Checkpoint(terms.plan.hash, 0, 0, start)
        published = self._exchanges.published
        self._sums = [published.survivors(n) for n in range(self.checkpoint.finished)]

    def run(self) -> Iterator[FinishedRound]:
        """Yield each remaining round as it finishes.

        Raises:
            RunFailedError: If a round stayed void after all its attempts; run again to resume.
        """
        while self.checkpoint.finished < self._terms.plan.rounds:
            yield self._round()

    def _round(self) -> FinishedRound:
        reasons: list[str] = []
        blamed: set[bytes] = set()
        absent: Counter[str] = Counter()
        for _ in range(_ATTEMPTS):
            began = self._clock()
            attempt = self._open(blamed)
            try:
                published = attempt.run(before_unmask=self._fix_survivors)
            except RoundVoidError as error:
                reasons.append(str(error))
                self._note_void(attempt.one, list(error.missing))
                absent.update(error.missing)
                # Who was waited for twice is not waited for a third time.
                blamed |= {region_uid(name) for name, times in absent.items() if times > 1}
            except AbortError as error:
                reasons.append(str(error))
                self._note_void(attempt.one, [])
                blamed |= self._note_blame(attempt.one, error)
            else:
                self._finish(attempt, published)
                round_, seconds = self.checkpoint.finished - 1, self._clock() - began
                return FinishedRound(round_, self.checkpoint.model, attempt.bytes_in, seconds)
            blamed |= self._note_liars(attempt.one)
        raise RunFailedError(
            f"round {self.checkpoint.finished} gave no sum in {_ATTEMPTS} attempts: {reasons[-1]}; "
            "nothing is lost: run again with --resume"
        )

    def _open(self, blamed: Iterable[bytes]) -> Attempt:
        """Open the next attempt; its number is on disk before any region hears of it."""
        now = self.checkpoint
        one = self._terms.open_round(
            config=self._config(now),
            server_identity=self._terms.identity,
            registry=self._terms.registry,
        )
        self._save(replace(now, attempt=now.attempt + 1))
        self._exchanges.transcript.add(
            "config", context=one.context.hex(), signed=one.signed_config.hex()
        )
        allowed = _uids(now.survivors) or self._last_survivors() - frozenset(blamed)
        return Attempt(one, self._exchanges, allowed, self._acceptable)

    def _last_survivors(self) -> SurvivorSet:
        """Return who may be in the next sum.

        Unless the plan allows any survivors, a region that was lost in one sum stays out of the
        later ones: the difference of two sums would be its delta, or nearly.
        """
        everybody = frozenset(weights_of(self._terms.plan))
        return everybody if self._terms.plan.sum.any_survivors or not self._sums else self._sums[-1]

    def _acceptable(self, survivors: SurvivorSet) -> bool:
        fixed, terms = _uids(self.checkpoint.survivors), self._terms.plan.sum
        if fixed and survivors != fixed:
            return False
        least = terms.assumed_colluders + LEAST_HONEST
        return terms.any_survivors or allows(self._sums, survivors, least=least)

    def _fix_survivors(self, survivors: tuple[bytes, ...]) -> None:
        """Put the survivors on record: whoever gives shares for them gives them for no others."""
        self._save(replace(self.checkpoint, survivors=b"".join(survivors)))

    def _note_void(self, one: CoordinatorRound, missing: list[str]) -> None:
        self._exchanges.transcript.add("void", context=one.context.hex(), missing=missing)

    def _note_liars(self, one: CoordinatorRound) -> frozenset[bytes]:
        for uid in sorted(one.liars):
            self._exchanges.transcript.add("liar", context=one.context.hex(), uid=uid.hex())
        return one.liars

    def _note_blame(self, one: CoordinatorRound, error: AbortError) -> set[bytes]:
        """Keep what proves a member's fault; return whom to leave out."""
        if error.uid is None:
            return set()
        self._exchanges.transcript.add(
            "blamed",
            context=one.context.hex(),
            uid=error.uid.hex(),
            code=error.code.value,
            evidence=[message.hex() for message in one.evidence(error.uid)],
        )
        return {error.uid}

    def _finish(self, attempt: Attempt, published: PublishedSum) -> None:
        """Publish the sum, step the model, and have the regions countersign."""
        now, words = self.checkpoint, b"".join(published.chunks())
        mean = published.outcome.mean(words, config=attempt.one.config)
        model = advance(now.model, mean, optimizer_of(self._terms.plan))
        self._exchanges.published.save(now.finished, published)
        self._sums.append(frozenset(published.outcome.survivors))
        self._exchanges.transcript.add(
            "outcome",
            context=attempt.one.context.hex(),
            outcome=published.outcome.to_bytes().hex(),
        )
        self._save(Checkpoint(now.plan_hash, now.finished + 1, 0, model))
        self._countersign(attempt, published, now.finished)

    def _countersign(self, attempt: Attempt, published: PublishedSum, round_: int) -> None:
        """Send the sum to everybody who is there and keep the receipts that come back.

        Who does not answer gets the sum before the next round; the run does not wait for it.
        """
        transcript = published.transcript.to_bytes()
        request = Envelope(transcript, published.chunks())
        receipts: dict[bytes, bytes] = {}

        def take(body: bytes) -> None:
            receipt = Receipt.from_bytes(body)
            receipt.verify(self._terms.registry.record(receipt.uid).identity_key)
            expected = (attempt.one.context, transcript_hash(transcript))
            if (receipt.context, receipt.transcript_hash) != expected:
                raise AbortError(
                    AbortCode.WRONG_CONTEXT, "a receipt for another round", uid=receipt.uid
                )
            receipts[receipt.uid] = body

        everyone = dict.fromkeys(self._exchanges.transport.nodes(), request)
        limit_s = self._terms.deadlines.consent_s
        for node, reply in self._exchanges.ask(MessageKind.QUERY_SUM, everyone, limit_s):
            if reply is not None and self._exchanges.take(
                attempt.one.context, node, partial(take, reply.body)
            ):
                self._exchanges.cosign(Receipt.from_bytes(reply.body).uid, reply)
        self._exchanges.published.save_receipts(round_, [receipts[uid] for uid in sorted(receipts)])

    def _save(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint
        save(checkpoint, self.folder / "checkpoint.npz")

    def _config(self, now: Checkpoint) -> RoundConfig:
        terms, plan, weights = self._terms, self._terms.plan, weights_of(self._terms.plan)
        return RoundConfig(
            plan_hash=bytes.fromhex(plan.hash),
            round_=now.finished,
            attempt=now.attempt,
            model_hash=start_hash(
                now.model.hash, self._exchanges.published.last_hash(now.finished)
            ),
            layout_hash=terms.layout.hash,
            registry_hash=terms.registry.hash,
            encoding=encoding_of(plan, terms.layout),
            rotation_seed=rotation_of(plan, now.finished),
            cohort=tuple(weights),
            weights=tuple(weights.values()),
            threshold=plan.sum.threshold,
            min_cohort=plan.sum.min_survivors,
            min_survivors=plan.sum.min_survivors,
            assumed_colluders=plan.sum.assumed_colluders,
            kem=Kem.X25519_ML_KEM_768,
            recovery=Recovery.SHARES,
            deadlines=terms.deadlines,
        )


def _uids(joined: bytes) -> frozenset[bytes]:
    return frozenset(joined[i : i + UID_BYTES] for i in range(0, len(joined), UID_BYTES))
