"""The plan and the regions of a made run: keys and ledgers, all from one seed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from privacy.code_listing import REGION_CODE, CodeListing
from privacy.cosignatures import ledger_origin
from privacy.guarantee import Neighbours, Unit
from privacy.ledger_entries import Entry, Payload
from privacy.ledger_state import fold
from privacy.ledger_values import LedgerState
from privacy.lineage import Declaration, TeacherLineage
from privacy.notes import Checkpoint as LedgerCheckpoint
from privacy.notes import sign_note
from privacy.plan import (
    Artifacts,
    Component,
    OptimizerName,
    OptimizerTerms,
    Plan,
    RegionTerms,
    SumTerms,
    slack_rounds,
)
from privacy.tree import leaf_hash, root
from protocol.identity import Identity, region_uid

TIME = 1_800_000_000
LINEAGE = "patients"
RECIPE = b'{"objective":"soft"}'
CODE = CodeListing(
    {f"{name}/__init__.py": hashlib.sha256(name.encode()).hexdigest() for name in REGION_CODE},
    {"numpy": "2.4.6", "torch": "2.13.0"},
)
COORDINATES = 8
LOCAL_STEPS = 2


def made_plan(
    names: Sequence[str], *, rounds: int, noise_multiplier: str = "8", code: CodeListing = CODE
) -> Plan:
    """A plan of these regions with equal weights."""
    slack, count = slack_rounds(rounds), len(names)
    steps = (rounds + slack) * LOCAL_STEPS
    train = Component("train", Decimal(noise_multiplier), Fraction(1, 10), steps)
    digest = hashlib.sha256(b"artifact").hexdigest()
    return Plan(
        study="made",
        unit=Unit.RECORD,
        neighbours=Neighbours.ADD_OR_REMOVE_ONE,
        epsilon=Decimal(8),
        delta=Decimal("0.00001"),
        clip_norm=Decimal(1),
        rounds=rounds,
        slack_rounds=slack,
        local_steps=LOCAL_STEPS,
        regions=tuple(
            RegionTerms(
                name=name,
                public_size=600,
                max_records_per_unit=1,
                weight=Fraction(1, count),
                components=(train,),
            )
            for name in sorted(names)
        ),
        sum=SumTerms(
            threshold=2 * count // 3 + 1, min_survivors=count, bits=32, value_range=Decimal("0.5")
        ),
        optimizer=OptimizerTerms(OptimizerName.SGD, Decimal(1), Decimal("0.9")),
        artifacts=Artifacts(
            layout=digest,
            student=digest,
            recipe=hashlib.sha256(RECIPE).hexdigest(),
            public_data=digest,
            teacher=digest,
            tokenizer=digest,
            code=code.region_hash,
        ),
        teacher=Declaration(TeacherLineage.PUBLIC),
    )


@dataclass(slots=True)
class Randomness:
    """Bytes that follow from a seed."""

    seed: str
    drawn: int = 0

    def __call__(self, size: int) -> bytes:
        """Return the next bytes."""
        self.drawn += 1
        return hashlib.shake_256(f"{self.seed}/{self.drawn}".encode()).digest(size)


@dataclass(slots=True)
class MadeRegion:
    """One region: its keys and its ledger."""

    name: str
    identity: Identity
    ledger_key: Identity
    draw: Randomness
    state: LedgerState = field(default_factory=LedgerState)
    bodies: list[bytes] = field(default_factory=list)
    leaves: list[bytes] = field(default_factory=list)

    @property
    def uid(self) -> bytes:
        return region_uid(self.name)

    @property
    def key(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.ledger_key.private_bytes())

    def add(self, *payloads: Payload) -> None:
        """Append entries, checked by the writer's own fold."""
        for payload in payloads:
            salt = self.draw(16).hex()
            time = TIME + len(self.bodies)
            body = Entry(self.state.size + 1, time, self.state.head, salt, payload).to_bytes()
            self.state = fold(self.state, body)
            self.bodies.append(body)
            self.leaves.append(leaf_hash(body))

    def checkpoint(self) -> bytes:
        """Sign the ledger as it is."""
        origin = ledger_origin(self.uid)
        text = LedgerCheckpoint(origin, len(self.leaves), root(self.leaves)).to_text()
        return sign_note(text, name=origin, key=self.key)
