"""One value of every message, the same in every run: for vectors and for damage."""

from __future__ import annotations

import hashlib
import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cache
from typing import Protocol, Self

import numpy as np

import protocol
from protocol.config import Deadlines, Kem, Recovery, RoundConfig, SignedConfig
from protocol.errors import AbortCode
from protocol.fixed_point import Block, Encoding
from protocol.governance import RegistryChange, sign_change
from protocol.identity import Registry, region_uid
from protocol.messages import (
    Advertise,
    Behind,
    Checkpoint,
    Collect,
    Masked,
    Pending,
    Refusal,
    Roster,
)
from protocol.outcome import Outcome
from protocol.share_messages import Accepted, Dealing, Encaps, Members, Parcel, Shares
from protocol.transcript import PublishedSum, Receipt, Transcript, transcript_hash
from protocol.unmask_messages import Consent, Survivors, Unmask
from protocol.wire import CHUNK_BYTES, KEM_CIPHERTEXT_BYTES, KEM_KEY_BYTES
from tests.protocol.builders import Federation, Play, identity, payload


class Message(Protocol):
    """What every message can do."""

    def to_bytes(self) -> bytes: ...

    @classmethod
    def from_bytes(cls, data: bytes) -> Self: ...


@dataclass(frozen=True)
class Sample:
    """A message, and what reads it."""

    value: Message
    read: Callable[[bytes], Message]


def message_types() -> frozenset[type]:
    """Return every class of the package that has ``from_bytes``, found by looking."""
    found: set[type] = set()
    for module in pkgutil.iter_modules(protocol.__path__):
        members = vars(importlib.import_module(f"protocol.{module.name}"))
        found.update(one for one in members.values() if isinstance(one, type))
    return frozenset(
        one for one in found if hasattr(one, "from_bytes") and not issubclass(one, int)
    )


@dataclass
class Recorded(Play):
    """A round whose every message is kept; one region is lost after it dealt its shares.

    Attributes:
        sent: What each region sent, by its name and the message's.
        published: The sum.
    """

    sent: dict[str, dict[str, bytes]] = field(default_factory=dict)
    published: PublishedSum | None = None

    @property
    def lost(self) -> str:
        """The region that is lost."""
        return self.federation.names[1]

    @property
    def result(self) -> PublishedSum:
        """The sum.

        Raises:
            ValueError: Before the round was played.
        """
        if self.published is None:
            raise ValueError("expected a round that was played")
        return self.published

    def keep(self, name: str, message: str, data: bytes) -> bytes:
        """Remember a message and return it."""
        self.sent.setdefault(name, {})[message] = data
        return data

    def record(self) -> Recorded:
        """Play the round."""
        server, regions = self.server, self.regions
        for name, one in regions.items():
            server.on_advert(self.keep(name, "advertise", one.start(server.signed_config)))
        for name, one in regions.items():
            server.on_encaps(self.keep(name, "encaps", one.on_roster(server.roster())))
        for name, one in regions.items():
            parcel = server.encaps_for(one.uid)
            server.on_shares(self.keep(name, "shares", one.on_encaps(parcel)))
        for name, one in regions.items():
            parcel = server.shares_for(one.uid)
            server.on_accepted(self.keep(name, "accepted", one.on_shares(parcel)))
        members = server.members()
        self.lose(self.lost)
        for name, one in regions.items():
            delta = self.inputs[name]
            masked, chunks = one.mask(
                members,
                delta,
                payload_sha256=payload(name),
                checkpoint=f"ledger of {name}".encode(),
            )
            self.masked[name] = masked, chunks
            server.on_masked(self.keep(name, "masked", masked), chunks)
        for name, one in regions.items():
            server.on_consent(self.keep(name, "consent", one.on_survivors(server.survivors())))
        for name, one in regions.items():
            server.on_unmask(self.keep(name, "unmask", one.on_consents(server.consents())))
        self.published = server.close()
        return self


@cache
def recorded(bits: int = 32) -> Recorded:
    """Return a finished round of five regions, of unequal weights."""
    federation = Federation(5, dim=4, bits=bits, shares=(2, 3, 2, 2, 1), kem=Kem.X25519)
    play = federation.play()
    return Recorded(federation, play.server, play.regions).record()


@cache
def samples() -> Mapping[str, Sample]:
    """Return a sample of every message by its name."""
    return _round_samples() | _share_samples() | _unmask_samples()


def _round_samples() -> dict[str, Sample]:
    federation = Federation(3, shares=(1, 2, 3), kem=Kem.X25519)
    config = replace(federation.config, recovery=Recovery.NONE)  # as these were first recorded
    uids, context = federation.uids, config.context()
    signers = [identity(name) for name in federation.names]
    adverts = tuple(
        Advertise(context=context, uid=uid, x25519_key=bytes([i]) * 32).signed_by(signers[i])
        for i, uid in enumerate(uids)
    )
    hybrid = Advertise(
        context=context,
        uid=uids[0],
        x25519_key=b"\x05" * 32,
        kem_key=b"\x06" * KEM_KEY_BYTES,
        checkpoints=(Checkpoint(uids[1], b"note 1"), Checkpoint(uids[2], b"note 2")),
    ).signed_by(signers[0])
    masked = Masked(
        context=context,
        uid=uids[0],
        base=uids[1:],
        size_bytes=CHUNK_BYTES + 4,
        chunk_hashes=tuple(hashlib.sha256(part).digest() for part in (b"first", b"second")),
        checkpoint=b"note 0",
    ).signed_by(signers[0])
    outcome = Outcome.of(np.arange(5, dtype="<u4"), context=context, survivors=uids)
    return {
        "registry": Sample(federation.registry, Registry.from_bytes),
        "registry_change": Sample(_change(federation), RegistryChange.from_bytes),
        "config": Sample(config, RoundConfig.from_bytes),
        "config_with_all_fields": Sample(_full_config(federation), RoundConfig.from_bytes),
        "signed_config": Sample(
            SignedConfig.sign(config, identity("server")), SignedConfig.from_bytes
        ),
        "advertise": Sample(adverts[0], Advertise.from_bytes),
        "advertise_hybrid": Sample(hybrid, Advertise.from_bytes),
        "roster": Sample(Roster(context, adverts), Roster.from_bytes),
        "masked": Sample(masked, Masked.from_bytes),
        "outcome": Sample(outcome.signed_by(identity("server")), Outcome.from_bytes),
        "collect": Sample(Collect(context), Collect.from_bytes),
        "pending": Sample(Pending(context), Pending.from_bytes),
        "behind": Sample(
            Behind(plan_hash=config.plan_hash, uid=uids[1], round_=2), Behind.from_bytes
        ),
        "refusal": Sample(
            Refusal(context=context, uid=uids[0], code=AbortCode.MODEL_MISMATCH),
            Refusal.from_bytes,
        ),
    }


def _share_samples() -> dict[str, Sample]:
    play = recorded()
    uids, sent = play.federation.uids, play.sent[play.federation.names[0]]
    shares = Shares.from_bytes(sent["shares"])
    encaps = Encaps(
        roster_hash=shares.roster_hash,
        uid=uids[0],
        recipient=uids[1],
        ciphertext=hashlib.shake_256(b"no ciphertext").digest(KEM_CIPHERTEXT_BYTES),
    ).signed_by(identity(play.federation.names[0]))
    parcel = Parcel.from_bytes(sent["encaps"])
    return {
        "encaps": Sample(Encaps.from_bytes(parcel.items[0]), Encaps.from_bytes),
        "encaps_hybrid": Sample(encaps, Encaps.from_bytes),
        "parcel": Sample(parcel, Parcel.from_bytes),
        "dealing": Sample(shares.dealings[0], Dealing.from_bytes),
        "shares": Sample(shares, Shares.from_bytes),
        "accepted": Sample(Accepted.from_bytes(sent["accepted"]), Accepted.from_bytes),
        "members": Sample(Members(shares.roster_hash, uids), Members.from_bytes),
    }


def _unmask_samples() -> dict[str, Sample]:
    play = recorded()
    name, transcript = play.federation.names[0], play.result.transcript
    receipt = Receipt(
        context=play.federation.config.context(),
        uid=region_uid(name),
        transcript_hash=transcript_hash(transcript.to_bytes()),
    ).signed_by(identity(name))
    return {
        "survivors": Sample(Survivors.from_bytes(transcript.survivors), Survivors.from_bytes),
        "consent": Sample(Consent.from_bytes(play.sent[name]["consent"]), Consent.from_bytes),
        "unmask": Sample(Unmask.from_bytes(play.sent[name]["unmask"]), Unmask.from_bytes),
        "transcript": Sample(transcript, Transcript.from_bytes),
        "receipt": Sample(receipt, Receipt.from_bytes),
    }


def _change(federation: Federation) -> RegistryChange:
    """Return a change that gives one region another key, with two approvals."""
    registry, first = federation.registry, federation.registry.regions[0]
    new = identity(first.name + "/2")
    return sign_change(
        registry,
        replace(
            registry,
            epoch=2,
            regions=(replace(first, identity_key=new.public_bytes()), *registry.regions[1:]),
        ),
        approvers={record.uid: identity(record.name) for record in registry.regions[:2]},
        rotations={first.uid: (identity(first.name), new)},
    )


def _full_config(federation: Federation) -> RoundConfig:
    return replace(
        federation.config,
        attempt=2,
        encoding=Encoding(bits=16, qmax=8191, blocks=(Block(3, 0.5), Block(2, 1e-3))),
        rotation_seed=b"\x09" * 32,
        noise_sigma=3.0,
        weights=(Fraction(1, 2), Fraction(1, 3), Fraction(1, 6)),
        assumed_colluders=1,
        kem=Kem.X25519_ML_KEM_768,
        recovery=Recovery.SHARES,
        deadlines=Deadlines(
            advertise_s=1, encaps_s=2, shares_s=3, masked_s=4, consent_s=5, unmask_s=6
        ),
    )
