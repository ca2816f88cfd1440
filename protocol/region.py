"""One region's side of one round: bytes in, bytes out, and no secret left behind.

IDLE ─start→ ADVERTISED ─on_roster→ KEYED ─mask→ DONE; any error, and any call in another state,
leads to ABORTED and drops the keys. There are no partial answers and no second ones: a region
masks one vector for a context. Bonawitz et al. 2017, figure 4, rounds 0 and 2.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum, auto
from os import urandom
from typing import NoReturn

from protocol.config import Kem, RoundConfig, SignedConfig
from protocol.errors import AbortCode, AbortError, OutOfOrderError
from protocol.fixed_point import Delta, encode
from protocol.history import History
from protocol.identity import Identity, Registry
from protocol.keys import RoundKeys
from protocol.masks import add_masks, bytes_of
from protocol.messages import Advertise, Masked, Roster
from protocol.policy import RegionPolicy, check_config
from protocol.wire import KEM_KEY_BYTES, split_chunks

__all__ = ["RegionPolicy", "RegionRound", "State"]


class State(Enum):
    """Where a region is in its round."""

    IDLE = auto()
    ADVERTISED = auto()
    KEYED = auto()
    DONE = auto()
    ABORTED = auto()


class RegionRound:
    """One region in one round; it does no I/O.

    Time and randomness come in as arguments. It shows no secret in its ``repr`` and cannot be
    pickled or copied.

    Attributes:
        state: Where the round is.
        uid: This region's 16 bytes.
        saturated: Coordinates that ``mask`` clipped; depends on the data, so it stays here.
    """

    def __init__(
        self,
        *,
        identity: Identity,
        policy: RegionPolicy,
        history: History,
        now: int,
        randomness: Callable[[int], bytes] = urandom,
    ) -> None:
        """Prepare for one round.

        Args:
            identity: The key that the registry pins for this region.
            policy: What the region accepts.
            history: What it accepted before.
            now: Unix time, seconds.
            randomness: Returns so many secret random bytes.

        Raises:
            AbortError: ``unknown_region`` if the registry does not know ``identity``.
        """
        self.uid = _own_uid(policy.registry, identity.public_bytes())
        self.state = State.IDLE
        self.saturated = 0
        self._identity, self._policy, self._history = identity, policy, history
        self._now, self._randomness = now, randomness
        self._config: RoundConfig | None = None
        self._context = b""
        self._advert = b""
        self._keys: RoundKeys | None = None
        self._seeds: dict[int, bytes] = {}

    @property
    def config(self) -> RoundConfig:
        """The round's configuration, checked.

        Raises:
            OutOfOrderError: Before ``start`` has accepted one.
        """
        if self._config is None:
            raise OutOfOrderError("the round has no configuration yet; call start first")
        return self._config

    @property
    def context(self) -> bytes:
        """The round's context, 32 bytes.

        Raises:
            OutOfOrderError: Before ``start`` has accepted a configuration.
        """
        _ = self.config
        return self._context

    def start(self, signed_config: bytes) -> bytes:
        """Check the round that the server proposes and return this region's advert.

        Guarantees: the history holds the round before the advert is returned, so a restart
        cannot take it twice.

        Args:
            signed_config: A `SignedConfig`, as received.

        Raises:
            MalformedMessageError: If it is not one.
            AbortError: If the policy or the history forbids the round.
            OutOfOrderError: If this is not the first call.
        """
        with self._step(State.IDLE, State.ADVERTISED):
            signed = SignedConfig.from_bytes(signed_config)
            config, context = signed.config, signed.config.context()
            check_config(
                signed, policy=self._policy, history=self._history, me=self.uid, now=self._now
            )
            self._history.accept(
                plan_hash=config.plan_hash,
                round_=config.round_,
                attempt=config.attempt,
                context=context,
            )
            self._config, self._context = config, context
            self._keys = RoundKeys(self._randomness)
            advert = Advertise(context=context, uid=self.uid, x25519_key=self._keys.public_bytes())
            self._advert = advert.signed_by(self._identity).to_bytes()
            return self._advert

    def on_roster(self, roster: bytes) -> None:
        """Check everybody's keys and derive the secret shared with each peer.

        Args:
            roster: A `Roster`, as received.

        Raises:
            MalformedMessageError: If it is not one.
            AbortError: If a key is missing, changed, doubled, unsigned or of low order.
            OutOfOrderError: If ``start`` was not the last call.
        """
        with self._step(State.ADVERTISED, State.KEYED):
            message = Roster.from_bytes(roster)
            self._check_roster(message)
            keys, self._keys = self._keys, None
            if keys is None:
                raise OutOfOrderError("the round's keys are gone; start another round")
            roster_hash = message.hash()
            for position, advert in enumerate(message.adverts):
                if advert.uid != self.uid:
                    secret = keys.pair_secret(
                        me=self.uid,
                        peer=advert.uid,
                        peer_key=advert.x25519_key,
                        roster_hash=roster_hash,
                    )
                    self._seeds[position] = secret.seed

    def mask(self, delta: Delta, checkpoint: bytes = b"") -> tuple[bytes, tuple[bytes, ...]]:
        """Return this region's `Masked` message and the masked vector in chunks.

        Guarantees: without the seeds of every peer that is not its accomplice, the server cannot
        tell the vector from random words; the seeds are dropped before this returns.

        Args:
            delta: The unweighted, already private delta, shape (d,); not changed.
            checkpoint: This region's signed ledger checkpoint after the release; may be empty.

        Raises:
            AbortError: ``bad_length`` or ``nonfinite_input`` if the delta cannot be sent.
            MalformedMessageError: If the checkpoint is longer than 1024 bytes.
            OutOfOrderError: If ``on_roster`` was not the last call.
        """
        with self._step(State.KEYED, State.DONE):
            config, seeds, self._seeds = self.config, self._seeds, {}
            me = config.cohort.index(self.uid)
            encoded = encode(
                delta,
                encoding=config.encoding,
                weights=config.weights,
                me=me,
                rounding_key=self._randomness(32),
            )
            self.saturated = encoded.saturated
            add_masks(encoded.words, me=me, seeds=seeds)
            chunks = split_chunks(bytes_of(encoded.words))
            masked = Masked(
                context=self._context,
                uid=self.uid,
                base=tuple(config.cohort[peer] for peer in sorted(seeds)),
                size_bytes=encoded.words.nbytes,
                chunk_hashes=tuple(hashlib.sha256(chunk).digest() for chunk in chunks),
                checkpoint=checkpoint,
            )
            return masked.signed_by(self._identity).to_bytes(), chunks

    def abort(self) -> None:
        """Leave the round and drop its secrets; always allowed."""
        self.state = State.ABORTED
        self._keys, self._seeds = None, {}

    def __repr__(self) -> str:
        return f"RegionRound(uid={self.uid.hex()}, state={self.state.name})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a RegionRound holds the secrets of one round: it cannot be copied")

    @contextmanager
    def _step(self, expected: State, then: State) -> Iterator[None]:
        """Run one step: from ``expected`` to ``then``, or to ABORTED."""
        came, self.state = self.state, State.ABORTED
        try:
            if came is not expected:
                raise OutOfOrderError(
                    f"expected this call in state {expected.name}, it came in {came.name}; the "
                    "round is aborted: start another one"
                )
            yield
            self.state = then
        finally:
            if self.state is State.ABORTED:
                self.abort()

    def _check_roster(self, roster: Roster) -> None:
        config = self.config
        if roster.context != self._context:
            raise AbortError(
                AbortCode.WRONG_CONTEXT,
                f"expected the roster of {self._context.hex()}, got {roster.context.hex()}",
            )
        own = [advert for advert in roster.adverts if advert.uid == self.uid]
        if [advert.to_bytes() for advert in own] != [self._advert]:
            raise AbortError(
                AbortCode.OWN_KEY_REPLACED,
                "expected this region's own advert, byte for byte; the server changed or lost it",
            )
        for advert in roster.adverts:
            check_advert(
                advert, config=config, context=self._context, registry=self._policy.registry
            )
        keys = {advert.x25519_key for advert in roster.adverts}
        if len(keys) != len(roster.adverts):
            raise AbortError(
                AbortCode.DUPLICATE_KEYS,
                "expected a key of its own from every region, got one twice",
            )
        if len(roster.adverts) < config.threshold:
            raise AbortError(
                AbortCode.TOO_FEW_KEYS,
                f"expected the keys of {config.threshold} regions, got {len(roster.adverts)}",
            )


def check_advert(
    advert: Advertise, *, config: RoundConfig, context: bytes, registry: Registry
) -> None:
    """Check one advert against the round, whose context is given; both sides do.

    Raises:
        AbortError: ``wrong_context``, ``unknown_region``, ``malformed`` (a KEM key that the round
            has no use for, or none where it needs one) or ``bad_signature``, with the uid.
    """
    if advert.context != context:
        raise AbortError(
            AbortCode.WRONG_CONTEXT, "expected an advert for this round", uid=advert.uid
        )
    if advert.uid not in config.cohort:
        raise AbortError(
            AbortCode.UNKNOWN_REGION,
            f"expected a region of the cohort, got {advert.uid.hex()}",
            uid=advert.uid,
        )
    expected = 0 if config.kem is Kem.X25519 else KEM_KEY_BYTES
    if len(advert.kem_key) != expected:
        raise AbortError(
            AbortCode.MALFORMED,
            f"expected a KEM key of {expected} bytes, got {len(advert.kem_key)}",
            uid=advert.uid,
        )
    advert.verify(registry.record(advert.uid).identity_key)


def _own_uid(registry: Registry, public_key: bytes) -> bytes:
    for record in registry.regions:
        if record.identity_key == public_key:
            return record.uid
    raise AbortError(
        AbortCode.UNKNOWN_REGION,
        f"the registry (epoch {registry.epoch}) has no region with this identity; is the key "
        "file the right one?",
    )
