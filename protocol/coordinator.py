"""The server's side of one round: it relays keys and shares, adds masked vectors, unmasks the sum.

KEYS ─roster→ ENCAPS ─encaps_for→ SHARES ─shares_for→ ACCEPTS ─members→ VECTORS ─survivors→
CONSENTS ─consents→ UNMASK ─close→ CLOSED. A stage ends when its caller asks for what comes next;
who has not answered by then is lost, and while enough are left the round goes on. What a peer
sends is checked in full before it changes anything; a faulty message raises with its sender's uid
and leaves the round as it was. One vector of state: each chunk is added on arrival.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from enum import Enum, auto

import numpy as np

from protocol import coordinator_checks as checks
from protocol.config import RoundConfig, SignedConfig
from protocol.errors import AbortCode, AbortError, OutOfOrderError, RoundVoidError
from protocol.identity import SERVER_UID, Identity, Registry
from protocol.masks import Words, word_type, words_from_bytes
from protocol.messages import Advertise, Checkpoint, Masked, Roster
from protocol.outcome import Outcome
from protocol.policy import check_supported, check_threshold, least_consents
from protocol.region_checks import check_advert
from protocol.share_messages import Accepted, Encaps, Members, Parcel, Shares
from protocol.signed import Signed
from protocol.transcript import PublishedSum, Transcript
from protocol.unmask_messages import Consent, Survivors, Unmask
from protocol.unmasking import Unmasking
from protocol.wire import Chunk


class Phase(Enum):
    """What the coordinator waits for."""

    KEYS = auto()
    ENCAPS = auto()
    SHARES = auto()
    ACCEPTS = auto()
    VECTORS = auto()
    CONSENTS = auto()
    UNMASK = auto()
    CLOSED = auto()


class CoordinatorRound:
    """The server in one round; it does no I/O.

    Attributes:
        config: The round.
        phase: What it waits for.
        expected: Uids of the regions that may answer in this phase, or did.
        liars: Uids of regions whose own messages prove that they left the protocol.
        signed_config: The `SignedConfig` to send to every region of the cohort.
    """

    def __init__(
        self, *, config: RoundConfig, server_identity: Identity, registry: Registry
    ) -> None:
        """Open a round.

        Raises:
            AbortError: If the registry or the server's key is another one than the round's, if a
                region is not in the registry, if the sum could wrap, or if this version cannot
                run the round.
        """
        check_supported(config)
        check_threshold(config)
        checks.check_own(config, server_identity, registry)
        self.config = config
        self.liars: frozenset[bytes] = frozenset()
        self.signed_config = SignedConfig.sign(config, server_identity).to_bytes()
        self._identity, self._registry = server_identity, registry
        self._context = config.context()
        self._roster, self._roster_hash = b"", b""
        self._adverts: dict[bytes, Advertise] = {}
        self._encaps: dict[bytes, dict[bytes, bytes]] = {}
        self._shares: dict[bytes, Shares] = {}
        self._accepted: dict[bytes, frozenset[bytes]] = {}
        self._members: tuple[bytes, ...] = ()
        self._sum: Words = np.zeros(0, word_type(config.encoding.bits))
        self._masked: dict[bytes, Masked] = {}
        self._survivors = Survivors(roster_hash=bytes(32), survivors=())
        self._consents: dict[bytes, Consent] = {}
        self._answers: dict[bytes, Unmask] = {}
        self._enter(Phase.KEYS, config.cohort, self._adverts)

    @property
    def context(self) -> bytes:
        """The round's context, 32 bytes."""
        return self._context

    @property
    def missing(self) -> frozenset[str]:
        """Names of the regions that have not yet sent what this phase waits for."""
        return frozenset(self._registry.names(set(self.expected) - self._came.keys()))

    def on_advert(self, advert: bytes) -> None:
        """Take one region's keys.

        Raises:
            MalformedMessageError: If it is not an `Advertise`.
            AbortError: If it is not for this round, not from a region of the cohort, not signed
                by it, or repeats another region's key; with the uid.
            OutOfOrderError: If the roster was made, or this region sent keys before.
        """
        message = Advertise.from_bytes(advert)
        self._require(Phase.KEYS)
        check_advert(message, config=self.config, context=self._context, registry=self._registry)
        self._require_first(message.uid, self._adverts)
        checks.check_fresh_keys(message, self._adverts.values())
        self._adverts[message.uid] = message

    def roster(self) -> bytes:
        """Return the `Roster` for every region; from the first call on, no key is taken.

        Raises:
            RoundVoidError: If fewer regions than ``min_cohort`` sent keys; it names the others.
            OutOfOrderError: If the round is past the ciphertexts.
        """
        if self.phase is Phase.KEYS:
            self._require_count(self.config.min_cohort, "keys")
            adverts = tuple(self._adverts[uid] for uid in sorted(self._adverts))
            roster = Roster(self._context, adverts)
            self._roster, self._roster_hash = roster.to_bytes(), roster.hash()
            self._enter(Phase.ENCAPS, sorted(self._adverts), self._encaps)
        self._require(Phase.ENCAPS)
        return self._roster

    def on_encaps(self, parcel: bytes) -> None:
        """Take one region's ciphertexts for higher peers.

        Raises:
            MalformedMessageError: If it is not a `Parcel` of `Encaps`.
            AbortError: If it is for another roster, from a stranger, or one of them is not
                signed, not its own or for a stranger; with the uid.
            OutOfOrderError: If the phase is another, or this region sent its ciphertexts before.
        """
        message = Parcel.from_bytes(parcel)
        self._require(Phase.ENCAPS)
        self._check_sender(message.uid, message.roster_hash)
        self._require_first(message.uid, self._encaps)
        items = [Encaps.from_bytes(data) for data in message.items]
        for item in items:
            self._check_signed(item, item.roster_hash)
        checks.check_parcel(message.uid, items, roster=self._adverts, kem=self.config.kem)
        self._encaps[message.uid] = {item.recipient: item.to_bytes() for item in items}

    def encaps_for(self, uid: bytes) -> bytes:
        """Return the `Parcel` of ciphertexts for one region; then no more are taken.

        Raises:
            RoundVoidError: If too few regions are left; it names the missing ones.
            OutOfOrderError: If the phase is another.
        """
        if self.phase is Phase.ENCAPS:
            self._require_count(self._least(), "ciphertexts")
            self._enter(Phase.SHARES, sorted(self._encaps), self._shares)
        self._require(Phase.SHARES)
        items = (made[uid] for made in self._encaps.values() if uid in made)
        return Parcel(self._roster_hash, uid, tuple(items)).to_bytes()

    def on_shares(self, shares: bytes) -> None:
        """Take what one region deals.

        Raises:
            MalformedMessageError: If it is not a `Shares`.
            AbortError: If it is for another roster, not signed, or deals to too few; with the uid.
            OutOfOrderError: If the phase is another, or this region dealt before.
        """
        message = Shares.from_bytes(shares)
        self._require(Phase.SHARES)
        self._check_signed(message, message.roster_hash)
        self._require_first(message.uid, self._shares)
        checks.check_dealings(message, roster=self._adverts, present=self.expected)
        self._shares[message.uid] = message

    def shares_for(self, uid: bytes) -> bytes:
        """Return the `Parcel` of dealings to one region; then no more are taken.

        Raises:
            RoundVoidError: If too few regions are left; it names the missing ones.
            OutOfOrderError: If the phase is another.
        """
        if self.phase is Phase.SHARES:
            self._require_count(self._least(), "shares")
            self._enter(Phase.ACCEPTS, sorted(self._shares), self._accepted)
        self._require(Phase.ACCEPTS)
        items = (
            shares.dealing_to(uid).to_bytes()
            for shares in self._shares.values()
            if uid in shares.recipients
        )
        return Parcel(self._roster_hash, uid, tuple(items)).to_bytes()

    def on_accepted(self, accepted: bytes) -> None:
        """Take one region's list of peers whose dealings hold.

        Raises:
            MalformedMessageError: If it is not an `Accepted`.
            AbortError: If it is for another roster, not signed, or names a stranger; with the uid.
            OutOfOrderError: If the phase is another, or this region answered before.
        """
        message = Accepted.from_bytes(accepted)
        self._require(Phase.ACCEPTS)
        self._check_signed(message, message.roster_hash)
        self._require_first(message.uid, self._accepted)
        checks.check_peers(message, shares=self._shares)
        self._accepted[message.uid] = frozenset(message.peers)

    def members(self) -> bytes:
        """Return `Members`: the regions that accepted each other. They mask with each other only.

        Raises:
            RoundVoidError: If too few regions are left; it names the missing ones.
            OutOfOrderError: If the phase is another.
        """
        if self.phase is Phase.ACCEPTS:
            self.liars = checks.proven_liars(self._accepted, self._shares, self._registry)
            self._members = checks.mutual(self._accepted, without=self.liars)
            self._require_count(self._least(), "accepted shares", self._members)
            self._sum = np.zeros(self.config.dim, self._sum.dtype)
            self._enter(Phase.VECTORS, self._members, self._masked)
        self._require(Phase.VECTORS)
        return Members(self._roster_hash, self._members).to_bytes()

    def on_masked(self, masked: bytes, chunks: Sequence[Chunk]) -> None:
        """Check one region's masked vector and add it to the sum.

        Guarantees: a vector is added as a whole or not at all.

        Args:
            masked: A `Masked`, as received.
            chunks: What followed it.

        Raises:
            MalformedMessageError: If it is not a `Masked`.
            AbortError: If it is not for this round, from another party, not signed, masked for
                another set of peers, or its bytes are not what was signed; with the uid.
            OutOfOrderError: If the phase is another, or this region sent its vector before.
        """
        message = Masked.from_bytes(masked)
        self._require(Phase.VECTORS)
        checks.check_masked(message, config=self.config, context=self._context)
        checks.check_base(message, members=self._members)
        message.verify(self._registry.record(message.uid).identity_key)
        self._require_first(message.uid, self._masked)
        checks.check_chunks(message, chunks)
        start = 0
        for chunk in chunks:
            words = words_from_bytes(chunk, self.config.encoding.bits)
            part = self._sum[start : start + words.size]
            np.add(part, words, out=part)
            start += words.size
        self._masked[message.uid] = message

    def survivors(self) -> bytes:
        """Return the signed `Survivors`: whose vectors came. From now on no vector is taken.

        Raises:
            RoundVoidError: If too few vectors came; it names the missing regions.
            OutOfOrderError: If the phase is another.
        """
        if self.phase is Phase.VECTORS:
            self._require_count(self._least(), "masked vector")
            came = tuple(sorted(self._masked))
            notes = [(uid, self._masked[uid].checkpoint) for uid in came]
            self._survivors = Survivors(
                roster_hash=self._roster_hash,
                survivors=came,
                checkpoints=tuple(Checkpoint(uid, note) for uid, note in notes if note),
            ).signed_by(self._identity)
            self._enter(Phase.CONSENTS, came, self._consents)
        self._require(Phase.CONSENTS)
        return self._survivors.to_bytes()

    def on_consent(self, consent: bytes) -> None:
        """Take one survivor's consent.

        Raises:
            MalformedMessageError: If it is not a `Consent`.
            AbortError: If it is for another roster or list, or not signed; with the uid.
            OutOfOrderError: If the phase is another, or this region consented before.
        """
        message = Consent.from_bytes(consent)
        self._require(Phase.CONSENTS)
        self._check_signed(message, message.roster_hash)
        self._require_first(message.uid, self._consents)
        checks.check_list(message.uid, message.survivors_hash, self._survivors)
        self._consents[message.uid] = message

    def consents(self) -> bytes:
        """Return the `Parcel` of consents for every survivor; then no more are taken.

        Raises:
            RoundVoidError: If too few survivors consented; it names the others.
            OutOfOrderError: If the phase is another.
        """
        if self.phase is Phase.CONSENTS:
            survivors = len(self._survivors.survivors)
            self._require_count(least_consents(self.config, survivors=survivors), "consent")
            self._enter(Phase.UNMASK, self._survivors.survivors, self._answers)
        self._require(Phase.UNMASK)
        items = tuple(self._consents[uid].to_bytes() for uid in sorted(self._consents))
        return Parcel(self._roster_hash, SERVER_UID, items).to_bytes()

    def on_unmask(self, unmask: bytes) -> None:
        """Take one survivor's shares.

        Raises:
            MalformedMessageError: If it is not an `Unmask`.
            AbortError: If it is for another roster or list, not signed, or a share is no field
                element or not the one that was dealt; with the uid.
            OutOfOrderError: If the phase is another, or this region revealed before.
        """
        message = Unmask.from_bytes(unmask)
        self._require(Phase.UNMASK)
        self._check_signed(message, message.roster_hash)
        self._require_first(message.uid, self._answers)
        checks.check_list(message.uid, message.survivors_hash, self._survivors)
        self._unmasking().check_answer(message)
        self._answers[message.uid] = message

    def close(self) -> PublishedSum:
        """Return the signed sum over the survivors, with all that proves their consent.

        Raises:
            RoundVoidError: If too few survivors revealed their shares; it names the others.
            AbortError: ``wrong_dealing`` or ``bad_escrow``, with the uid of a region whose shares
                contradict its own commitments: then there is no sum.
            OutOfOrderError: If the round is not at this point, or was closed before.
        """
        self._require(Phase.UNMASK)
        self._require_count(self.config.threshold, "unmasking share")
        self._unmasking().remove(self._sum, list(self._answers.values()))
        self._enter(Phase.CLOSED, (), {})
        outcome = Outcome.of(
            self._sum, context=self._context, survivors=self._survivors.survivors
        ).signed_by(self._identity)
        transcript = Transcript(
            signed_config=self.signed_config,
            roster=self._roster,
            survivors=self._survivors.to_bytes(),
            consents=tuple(self._consents[uid].to_bytes() for uid in sorted(self._consents)),
            outcome=outcome.to_bytes(),
        )
        return PublishedSum(outcome, self._sum, transcript)

    def evidence(self, dealer: bytes) -> tuple[bytes, ...]:
        """Return the signed messages that show what a member dealt and what came of it.

        Its `Shares`, then the `Unmask` of every survivor who answered: whoever has them finds the
        same contradiction as ``close``.
        """
        answers = (self._answers[uid].to_bytes() for uid in sorted(self._answers))
        return (self._shares[dealer].to_bytes(), *answers)

    def _enter(self, phase: Phase, expected: Iterable[bytes], came: Mapping[bytes, object]) -> None:
        self.phase, self.expected, self._came = phase, tuple(expected), came

    def _least(self) -> int:
        return max(self.config.threshold, self.config.min_survivors)

    def _require(self, phase: Phase) -> None:
        if self.phase is not phase:
            raise OutOfOrderError(f"expected this in phase {phase.name}, now is {self.phase.name}")

    def _require_first(self, uid: bytes, came: Container[bytes]) -> None:
        if uid in came:
            raise OutOfOrderError(f"{self._registry.record(uid).name} sent this before; a replay?")

    def _require_count(self, least: int, what: str, came: Sequence[bytes] | None = None) -> None:
        there = tuple(self._came) if came is None else came
        if len(there) < least:
            missing = self._registry.names(set(self.expected) - set(there))
            raise RoundVoidError(missing=missing, phase=what, least=least, came=len(there))

    def _check_sender(self, uid: bytes, roster_hash: bytes) -> None:
        if roster_hash != self._roster_hash:
            raise AbortError(
                AbortCode.ROSTER_MISMATCH, "expected a message about this roster", uid=uid
            )
        if uid not in self.expected:
            raise AbortError(
                AbortCode.UNKNOWN_REGION,
                f"expected a region that is still in the round, got {uid.hex()}",
                uid=uid,
            )

    def _check_signed(self, message: Signed, roster_hash: bytes) -> None:
        self._check_sender(message.uid, roster_hash)
        message.verify(self._registry.record(message.uid).identity_key)

    def _unmasking(self) -> Unmasking:
        return Unmasking(
            roster_hash=self._roster_hash,
            cohort=self.config.cohort,
            threshold=self.config.threshold,
            members=self._members,
            survivors=self._survivors.survivors,
            shares=self._shares,
        )
