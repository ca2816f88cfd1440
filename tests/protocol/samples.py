"""One value of every message, the same in every run: for vectors and for damage."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from typing import Protocol, Self

import numpy as np

from protocol.config import Deadlines, Kem, Recovery, RoundConfig, SignedConfig
from protocol.errors import AbortCode
from protocol.fixed_point import Block, Encoding
from protocol.identity import Registry
from protocol.messages import (
    Advertise,
    Checkpoint,
    Collect,
    Masked,
    Pending,
    Refusal,
    Roster,
)
from protocol.outcome import Outcome
from protocol.wire import CHUNK_BYTES, KEM_KEY_BYTES
from tests.protocol.builders import Federation, identity


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


@cache
def samples() -> Mapping[str, Sample]:
    """Return a sample of every message by its name."""
    federation = Federation(3, shares=(1, 2, 3))
    uids, context = federation.uids, federation.config.context()
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
        "config": Sample(federation.config, RoundConfig.from_bytes),
        "config_with_all_fields": Sample(_full_config(federation), RoundConfig.from_bytes),
        "signed_config": Sample(
            SignedConfig.sign(federation.config, identity("server")), SignedConfig.from_bytes
        ),
        "advertise": Sample(adverts[0], Advertise.from_bytes),
        "advertise_hybrid": Sample(hybrid, Advertise.from_bytes),
        "roster": Sample(Roster(context, adverts), Roster.from_bytes),
        "masked": Sample(masked, Masked.from_bytes),
        "outcome": Sample(outcome.signed_by(identity("server")), Outcome.from_bytes),
        "collect": Sample(Collect(context), Collect.from_bytes),
        "pending": Sample(Pending(context), Pending.from_bytes),
        "refusal": Sample(
            Refusal(context=context, uid=uids[0], code=AbortCode.MODEL_MISMATCH),
            Refusal.from_bytes,
        ),
    }


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
