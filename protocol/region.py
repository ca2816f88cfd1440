"""One region's side of one round: bytes in, bytes out, and no secret left behind.

IDLE ─start→ ADVERTISED ─on_roster→ KEYED ─on_encaps→ DEALT ─on_shares→ ACCEPTED ─mask→ MASKED
─on_survivors→ CONSENTED ─on_consents→ DONE. Any error, and any call in another state, leads to
ABORTED and drops the secrets: there are no partial answers and no second ones. A peer's bad
message costs the others that peer, not the round. Bonawitz et al. 2017, figure 4.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import Enum, auto
from os import urandom
from typing import NoReturn

from protocol import region_checks as checks
from protocol import survivor_checks
from protocol.config import RoundConfig, SignedConfig
from protocol.dealing import deal, open_dealing
from protocol.encoding import enc, tagged_hash
from protocol.errors import AbortCode, OutOfOrderError, ProtocolError
from protocol.fixed_point import Delta, encode
from protocol.history import History, Reveal
from protocol.identity import Identity
from protocol.masks import apply_masks, bytes_of, word_type
from protocol.messages import Advertise, Masked, Roster
from protocol.policy import RegionPolicy, check_config
from protocol.round_secrets import RoundSecrets, present
from protocol.share_messages import Accepted, Dealing, Encaps, Members, Parcel
from protocol.unmask_messages import Consent, Survivors, Unmask
from protocol.wire import Chunk, split_chunks

__all__ = ["RegionPolicy", "RegionRound", "State"]


class State(Enum):
    """Where a region is in its round."""

    IDLE = auto()
    ADVERTISED = auto()
    KEYED = auto()
    DEALT = auto()
    ACCEPTED = auto()
    MASKED = auto()
    CONSENTED = auto()
    DONE = auto()
    ABORTED = auto()


class RegionRound:
    """One region in one round; it does no I/O.

    Time and randomness come in as arguments. It shows no secret in its ``repr`` and cannot be
    pickled or copied.

    Attributes:
        state: Where the round is.
        uid: This region's 16 bytes.
        faults: Peers whose messages failed a check, and which; they are left out of the masks.
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
            history: What it accepted and revealed before.
            now: Unix time, seconds.
            randomness: Returns so many secret random bytes.

        Raises:
            AbortError: ``unknown_region`` if the registry does not know ``identity``.
        """
        self.uid = checks.own_uid(policy.registry, identity.public_bytes())
        self.state = State.IDLE
        self.faults: dict[bytes, AbortCode] = {}
        self.saturated = 0
        self._identity, self._policy, self._history = identity, policy, history
        self._now, self._randomness = now, randomness
        self._config: RoundConfig | None = None
        self._context = self._advert = self._roster_hash = b""
        self._roster: dict[bytes, Advertise] = {}
        self._members: tuple[bytes, ...] = ()
        self._survivors: tuple[bytes, ...] = ()
        self._survivors_hash = self._payload = self._checkpoint = b""
        self._secrets = RoundSecrets()

    @property
    def config(self) -> RoundConfig:
        """The round's configuration, checked.

        Raises:
            OutOfOrderError: Before ``start`` has accepted one.
        """
        return present(self._config)

    @property
    def context(self) -> bytes:
        """The round's context, 32 bytes.

        Raises:
            OutOfOrderError: Before ``start`` has accepted a configuration.
        """
        _ = self.config
        return self._context

    def start(self, signed_config: bytes) -> bytes:
        """Check the round that the server proposes and return this region's `Advertise`.

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
            x25519_key, kem_key = self._secrets.make_keys(config.kem, self._randomness)
            advert = Advertise(
                context=context,
                uid=self.uid,
                x25519_key=x25519_key,
                kem_key=kem_key,
                checkpoints=self._history.checkpoints(),
            )
            self._advert = advert.signed_by(self._identity).to_bytes()
            return self._advert

    def on_roster(self, roster: bytes) -> bytes:
        """Check everybody's keys and return a `Parcel` with an `Encaps` for each higher peer.

        Raises:
            MalformedMessageError: If ``roster`` is not a `Roster`.
            AbortError: If an advert is missing, changed, doubled or unsigned, or if a peer has
                seen a later ledger of this region than it has.
            OutOfOrderError: If ``start`` was not the last call.
        """
        with self._step(State.ADVERTISED, State.KEYED):
            message = Roster.from_bytes(roster)
            checks.check_roster(
                message,
                config=self.config,
                context=self._context,
                own_advert=self._advert,
                me=self.uid,
                registry=self._policy.registry,
            )
            checks.check_not_behind(message, me=self.uid, history=self._history)
            self._roster = {advert.uid: advert for advert in message.adverts}
            self._roster_hash = message.hash()
            items = []
            for advert in message.adverts:
                if advert.uid > self.uid:
                    with self._excluding(advert.uid):
                        items.append(self._encaps(advert.uid, self._secrets.encapsulate(advert)))
            return Parcel(self._roster_hash, self.uid, tuple(items)).to_bytes()

    def on_encaps(self, parcel: bytes) -> bytes:
        """Agree on a secret with each peer and return this region's `Shares`.

        Args:
            parcel: A `Parcel` with the `Encaps` of lower peers, as received.

        Raises:
            MalformedMessageError: If it is not one.
            AbortError: As `region_checks.read_parcel` if it is not for this region and round,
                ``too_few_keys`` if it is left with fewer peers than the threshold needs.
            OutOfOrderError: If ``on_roster`` was not the last call.
        """
        with self._step(State.KEYED, State.DEALT):
            secrets = self._secrets
            for peer, message in self._read(parcel, Encaps.from_bytes).items():
                with self._excluding(peer):
                    message.verify(self._policy.registry.record(peer).identity_key)
                    secrets.decapsulate(message)
            for peer in secrets.encapsulated:
                with self._excluding(peer):
                    secrets.agree(self.uid, self._roster[peer], self._roster_hash)
            secrets.drop_keys()
            checks.check_enough(len(secrets.pairs), AbortCode.TOO_FEW_KEYS, config=self.config)
            secrets.dealt = deal(
                me=self.uid,
                identity=self._identity,
                cohort=self.config.cohort,
                threshold=self.config.threshold,
                roster_hash=self._roster_hash,
                pairs=secrets.pairs,
                randomness=self._randomness,
            )
            return secrets.dealt.shares.to_bytes()

    def on_shares(self, parcel: bytes) -> bytes:
        """Check what the peers dealt to this region and return `Accepted`, those that hold.

        Args:
            parcel: A `Parcel` with the `Dealing` of each peer, as received.

        Raises:
            MalformedMessageError: If it is not one.
            AbortError: As ``on_encaps``; ``too_few_shares`` if too few dealings hold.
            OutOfOrderError: If ``on_encaps`` was not the last call.
        """
        with self._step(State.DEALT, State.ACCEPTED):
            for peer, message in self._read(parcel, Dealing.from_bytes).items():
                pair = self._secrets.pairs.get(peer)
                if pair is not None:
                    with self._excluding(peer):
                        key = self._policy.registry.record(peer).identity_key
                        self._secrets.held[peer] = open_dealing(
                            message, me=self.uid, identity_key=key, pair=pair
                        )
            held = self._secrets.held
            checks.check_enough(len(held), AbortCode.TOO_FEW_SHARES, config=self.config)
            accepted = Accepted(
                roster_hash=self._roster_hash, uid=self.uid, peers=tuple(sorted(held))
            )
            return accepted.signed_by(self._identity).to_bytes()

    def mask(
        self,
        members: bytes,
        delta: Delta,
        *,
        payload_sha256: bytes,
        checkpoint: bytes = b"",
        in_place: bool = False,
    ) -> tuple[bytes, tuple[Chunk, ...]]:
        """Return the delta as a masked vector: a `Masked` message and the chunks that follow it.

        The same delta gives the same words in every attempt of a round: what is rounded up is
        derived from the region's key, the plan, the round and the delta's hash.

        Args:
            members: A `Members`, as received: each of them masks with all the others.
            delta: The delta that the ledger released, shape (d,); not changed unless ``in_place``.
            payload_sha256: Its hash as the ledger has it, 32 bytes.
            checkpoint: The region's own ledger after that release, at most 1024 bytes.
            in_place: Write the vector into the delta's own memory: for what fits only once.

        Raises:
            MalformedMessageError: If ``members`` is not one, or the checkpoint is too long.
            AbortError: ``bad_members`` or ``too_few_shares`` for members that this region cannot
                mask with; ``bad_length`` or ``nonfinite_input`` for the delta.
            OutOfOrderError: If ``on_shares`` was not the last call.
        """
        with self._step(State.ACCEPTED, State.MASKED):
            config, secrets = self.config, self._secrets
            asked = Members.from_bytes(members)
            checks.check_roster_hash(asked.roster_hash, self._roster_hash)
            checks.check_members(asked, me=self.uid, accepted=secrets.held, config=config)
            encoded = encode(
                delta,
                encoding=config.encoding,
                weights=config.weights,
                me=config.cohort.index(self.uid),
                rounding_key=self._rounding_key(payload_sha256),
                rotation_seed=config.rotation_seed,
                out=delta.view(word_type(config.encoding.bits))[: config.dim] if in_place else None,
            )
            self.saturated, words = encoded.saturated, encoded.words
            peers = [peer for peer in asked.uids if peer != self.uid]
            add, subtract = secrets.seeds(self.uid, peers)
            apply_masks(words, add=add, subtract=subtract)
            chunks = split_chunks(bytes_of(words))
            message = Masked(
                context=self._context,
                uid=self.uid,
                base=tuple(peers),
                size_bytes=words.nbytes,
                chunk_hashes=tuple(hashlib.sha256(chunk).digest() for chunk in chunks),
                checkpoint=checkpoint,
            )
            self._members, self._payload, self._checkpoint = asked.uids, payload_sha256, checkpoint
            secrets.drop_seeds()
            return message.signed_by(self._identity).to_bytes(), chunks

    def on_survivors(self, survivors: bytes) -> bytes:
        """Check whose vectors the sum will hold and return this region's `Consent`.

        Raises:
            MalformedMessageError: If ``survivors`` is not a `Survivors`.
            AbortError: If the list is not for this round, not signed by the server, lacks this
                region, names a stranger, is too small, differs from the list of an attempt in
                which this region revealed shares, or would isolate a few regions.
            OutOfOrderError: If ``mask`` was not the last call.
        """
        with self._step(State.MASKED, State.CONSENTED):
            message = Survivors.from_bytes(survivors)
            checks.check_roster_hash(message.roster_hash, self._roster_hash)
            message.verify(self._policy.registry.server_key)
            survivor_checks.check_survivors(
                message,
                me=self.uid,
                members=self._members,
                checkpoint=self._checkpoint,
                config=self.config,
                max_weight=self._policy.max_weight,
            )
            survivor_checks.check_one_view(
                message.survivors,
                config=self.config,
                payload_sha256=self._payload,
                history=self._history,
                differencing=self._policy.differencing,
            )
            self._history.saw(note for note in message.checkpoints if note.uid != self.uid)
            self._survivors, self._survivors_hash = message.survivors, message.hash()
            consent = Consent(
                roster_hash=self._roster_hash, uid=self.uid, survivors_hash=self._survivors_hash
            )
            return consent.signed_by(self._identity).to_bytes()

    def on_consents(self, parcel: bytes) -> bytes:
        """Check that enough survivors consented to the same list and return `Unmask`, once.

        Guarantees: the history holds the list, durably, before the shares are returned.

        Args:
            parcel: A `Parcel` with the `Consent` of each survivor, as received.

        Raises:
            MalformedMessageError: If it is not one.
            AbortError: ``bad_signature``, ``bad_survivors`` or ``too_few_consents``.
            OutOfOrderError: If ``on_survivors`` was not the last call.
        """
        with self._step(State.CONSENTED, State.DONE):
            survivor_checks.check_consents(
                [Consent.from_bytes(data) for data in Parcel.from_bytes(parcel).items],
                config=self.config,
                survivors=self._survivors,
                survivors_hash=self._survivors_hash,
                roster_hash=self._roster_hash,
                registry=self._policy.registry,
                me=self.uid,
            )
            self._history.reveal(
                Reveal(
                    plan_hash=self.config.plan_hash,
                    round_=self.config.round_,
                    context=self._context,
                    survivors=self._survivors,
                    payload_sha256=self._payload,
                )
            )
            unmask = self._unmask()
            self._secrets = RoundSecrets()
            return unmask.signed_by(self._identity).to_bytes()

    def abort(self) -> None:
        """Leave the round and drop its secrets; always allowed."""
        self.state = State.ABORTED
        self._secrets = RoundSecrets()

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

    @contextmanager
    def _excluding(self, peer: bytes) -> Iterator[None]:
        """Leave ``peer`` out of the masks if its message fails a check, and go on."""
        try:
            yield
        except ProtocolError as error:
            self.faults[peer] = error.code

    def _read(
        self, parcel: bytes, read: Callable[[bytes], checks.Message]
    ) -> Mapping[bytes, checks.Message]:
        return checks.read_parcel(
            parcel, read, roster_hash=self._roster_hash, me=self.uid, peers=self._roster
        )

    def _encaps(self, peer: bytes, ciphertext: bytes) -> bytes:
        message = Encaps(
            roster_hash=self._roster_hash, uid=self.uid, recipient=peer, ciphertext=ciphertext
        )
        return message.signed_by(self._identity).to_bytes()

    def _rounding_key(self, payload_sha256: bytes) -> bytes:
        """Return a secret that is the same in every attempt: an Ed25519 signature never shown."""
        body = enc(self.config.round_, payload_sha256)
        plan = self.config.plan_hash
        secret = self._identity.sign("rounding", context=plan, uid=self.uid, body=body)
        return tagged_hash("rounding", secret)

    def _unmask(self) -> Unmask:
        lost = [uid for uid in self._members if uid not in self._survivors]
        return Unmask(
            roster_hash=self._roster_hash,
            uid=self.uid,
            survivors_hash=self._survivors_hash,
            self_shares=self._secrets.self_shares(self.uid, self._survivors),
            escrow_shares=self._secrets.escrow_shares(lost),
        )
