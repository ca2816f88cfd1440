"""A run of any size without a model: real ledgers, real signed rounds, nothing trained or masked.

Every message, signature, checkpoint and entry is made as the parties make them and in their order;
only the vectors are random words. All keys and all randomness follow from one seed, so a run can be
made again byte by byte.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from privacy.canonical import Json, dumps
from privacy.charging import charge
from privacy.code_listing import CodeListing
from privacy.cosignatures import COSIGNER_NAME, cosign
from privacy.guarantee import Bound
from privacy.ledger_grants import Account, Approval, Genesis, Note
from privacy.ledger_steps import Context, Release, Reserve, Reveal, Send, Sum
from privacy.pack import PackKeys, RegionKey
from privacy.pack.bodies import to_lines
from privacy.plan import (
    Plan,
)
from protocol.config import Deadlines, Kem, Recovery, RoundConfig, SignedConfig
from protocol.fixed_point import Block, Encoding
from protocol.identity import SERVER_UID, Identity, RegionRecord, Registry
from protocol.masks import bytes_of
from protocol.messages import Advertise, Checkpoint, Masked, Roster
from protocol.outcome import Outcome
from protocol.share_messages import Parcel
from protocol.transcript import Receipt, Transcript, start_hash, transcript_hash
from protocol.unmask_messages import Consent, Survivors
from protocol.wire import KEM_KEY_BYTES
from tests.verify.made_region import (
    CODE,
    COORDINATES,
    LINEAGE,
    LOCAL_STEPS,
    RECIPE,
    TIME,
    MadeRegion,
    Randomness,
    made_plan,
)
from verify.auditor_keys import AuditorKeys
from verify.recomputed import figures


@dataclass(slots=True)
class MadeRun:
    """A finished run in a folder.

    Attributes:
        root: The folder.
        plan: What was run.
        server: The coordinator's signing key.
        cosigner: The witness's.
        registry: Everybody's public keys.
        regions: In the order of the uids.
    """

    root: Path
    plan: Plan
    server: Identity
    cosigner: Identity
    registry: Registry
    regions: tuple[MadeRegion, ...]
    draw: Randomness
    last: bytes = b""
    seen: dict[bytes, bytes] = field(default_factory=dict)
    events: list[Mapping[str, str]] = field(default_factory=list)
    rounds: int = 0

    @property
    def pack_keys(self) -> PackKeys:
        """Keys of everybody, as one process of a simulation has them."""
        operator = Ed25519PrivateKey.from_private_bytes(self.server.private_bytes())
        regions = sorted(self.regions, key=lambda region: region.name)
        return PackKeys(operator, tuple(RegionKey(one.name, one.uid, one.key) for one in regions))

    @property
    def auditor_keys(self) -> AuditorKeys:
        """What an auditor would have been given, with a witness asked for."""
        keys = AuditorKeys.of_registry(self.registry)
        return AuditorKeys(
            registry_hash=keys.registry_hash,
            server_key=keys.server_key,
            cosigner_key=keys.cosigner_key,
            witnesses=1,
            regions=keys.regions,
        )

    def region(self, name: str) -> MadeRegion:
        return next(one for one in self.regions if one.name == name)

    def play(self, rounds: int) -> None:
        """Run so many more rounds and write everything down."""
        for _ in range(rounds):
            self._round(self.rounds)
            self.rounds += 1
        self.write()

    def go_on_with(self, plan: Plan, *, rounds: int) -> None:
        """Approve another plan from the same accounts and run so many rounds of it."""
        for one in self.regions:
            _approve(one, plan, CODE)
        shutil.rmtree(self.root / "rounds")
        (self.root / "rounds").mkdir()
        (self.root / "plan.json").write_bytes(plan.to_bytes())
        self.plan, self.rounds, self.last, self.events = plan, 0, b"", []
        self.play(rounds)

    def write(self) -> None:
        """Write ledgers, record and report as they are now."""
        lines = (json.dumps(event, sort_keys=True) + "\n" for event in self.events)
        (self.root / "transcript.jsonl").write_text("".join(lines))
        for one in self.regions:
            home = self.root / "regions" / one.name
            home.mkdir(parents=True, exist_ok=True)
            (home / "ledger.jsonl").write_bytes(to_lines(one.bodies))
            (home / "plan.signature").write_bytes(self._approval(one))
            (home / "cosigned.note").write_bytes(self._cosigned(one))
        (self.root / "report.json").write_bytes(dumps(self.report()))

    def report(self) -> dict[str, Json]:
        """Return a report with the figures that every report has."""
        names = self.plan.cohort
        return {
            "schema": "stillroom/report/v1",
            "study": self.plan.study,
            "plan": self.plan.hash,
            "teacher": {"declaration": {"lineage": self.plan.teacher.lineage, "population": ""}},
            "sums": {
                "min_survivors": self.plan.sum.min_survivors,
                "assumed_colluders": self.plan.sum.assumed_colluders,
                "any_survivors": self.plan.sum.any_survivors,
            },
            "regions": [dict(figures(self.region(n).state, self.plan, n)) for n in names],
        }

    def _approval(self, one: MadeRegion) -> bytes:
        return one.identity.sign(
            "approval", context=bytes.fromhex(self.plan.hash), uid=one.uid, body=b"a steward"
        )

    def _cosigned(self, one: MadeRegion) -> bytes:
        key = Ed25519PrivateKey.from_private_bytes(self.cosigner.private_bytes())
        time = TIME + len(one.bodies)
        return cosign(one.checkpoint(), name=COSIGNER_NAME, key=key, time=time)

    def _config(self, round_: int) -> RoundConfig:
        count = len(self.regions)
        return RoundConfig(
            plan_hash=bytes.fromhex(self.plan.hash),
            round_=round_,
            model_hash=start_hash(bytes(32), self.last),
            layout_hash=bytes.fromhex(self.plan.artifacts.layout),
            registry_hash=self.registry.hash,
            encoding=Encoding.for_regions(count, bits=32, blocks=(Block(COORDINATES, 0.5),)),
            cohort=tuple(one.uid for one in self.regions),
            weights=(Fraction(1, count),) * count,
            threshold=self.plan.sum.threshold,
            min_cohort=count,
            min_survivors=count,
            kem=Kem.X25519_ML_KEM_768,
            recovery=Recovery.SHARES,
            deadlines=Deadlines(advertise_s=1, masked_s=1),
        )

    def _round(self, round_: int) -> None:
        signed = SignedConfig.sign(self._config(round_), self.server)
        context = signed.config.context()
        self._event("config", context, signed=signed.to_bytes())
        roster = Roster(context, tuple(self._advert(one, context) for one in self.regions))
        notes = tuple(self._send(one, round_, context) for one in self.regions)
        uids = tuple(one.uid for one in self.regions)
        survivors = Survivors(
            roster_hash=roster.hash(), survivors=uids, checkpoints=notes
        ).signed_by(self.server)
        self.seen |= {note.uid: note.note for note in notes}
        words = np.frombuffer(self.draw(4 * COORDINATES), dtype="<u4")
        outcome = Outcome.of(words, context=context, survivors=uids).signed_by(self.server)
        transcript = Transcript(
            signed_config=signed.to_bytes(),
            roster=roster.to_bytes(),
            survivors=survivors.to_bytes(),
            consents=tuple(self._consent(one, roster, survivors) for one in self.regions),
            outcome=outcome.to_bytes(),
        ).to_bytes()
        self._event("outcome", context, outcome=outcome.to_bytes())
        self._publish(round_, context, transcript, bytes_of(words), uids)

    def _advert(self, one: MadeRegion, context: bytes) -> Advertise:
        others = tuple(
            Checkpoint(uid, note) for uid, note in sorted(self.seen.items()) if uid != one.uid
        )
        return Advertise(
            context=context,
            uid=one.uid,
            x25519_key=self.draw(32),
            kem_key=self.draw(KEM_KEY_BYTES),
            checkpoints=others,
        ).signed_by(one.identity)

    def _send(self, one: MadeRegion, round_: int, context: bytes) -> Checkpoint:
        """Enter a round's steps and send a vector; return the checkpoint that went with it."""
        plan, vector = self.plan.hash, self.draw(4 * COORDINATES)
        digest = hashlib.sha256(vector).hexdigest()
        payload = hashlib.sha256(vector[:8]).hexdigest()
        one.add(
            Context(plan, round_, 0, context.hex()),
            Reserve(plan, round_, "train", 1, LOCAL_STEPS),
            Release(plan, round_, "train", 1, payload, len(vector)),
            Send(plan, round_, "train", context.hex(), digest, len(vector), "coordinator"),
        )
        note = one.checkpoint()
        peers = tuple(other.uid for other in self.regions if other is not one)
        masked = Masked(
            context=context,
            uid=one.uid,
            base=peers,
            size_bytes=len(vector),
            chunk_hashes=(bytes.fromhex(digest),),
            checkpoint=note,
        ).signed_by(one.identity)
        self._event("masked", context, uid=one.uid, message=masked.to_bytes())
        joined = b"".join(region.uid for region in self.regions).hex()
        one.add(Reveal(plan, round_, context.hex(), joined, payload))
        return Checkpoint(one.uid, note)

    def _consent(self, one: MadeRegion, roster: Roster, survivors: Survivors) -> bytes:
        consent = Consent(roster_hash=roster.hash(), uid=one.uid, survivors_hash=survivors.hash())
        return consent.signed_by(one.identity).to_bytes()

    def _publish(
        self,
        round_: int,
        context: bytes,
        transcript: bytes,
        words: memoryview,
        uids: Iterable[bytes],
    ) -> None:
        self.last = transcript_hash(transcript)
        joined, receipts = b"".join(uids).hex(), []
        for one in self.regions:
            one.add(Sum(self.plan.hash, round_, self.last.hex(), joined))
            receipt = Receipt(context=context, uid=one.uid, transcript_hash=self.last)
            receipts.append(receipt.signed_by(one.identity).to_bytes())
        stem = self.root / "rounds" / f"{round_:05d}"
        stem.with_suffix(".transcript").write_bytes(transcript)
        stem.with_suffix(".sum").write_bytes(words)
        parcel = Parcel(bytes(32), SERVER_UID, tuple(receipts))
        stem.with_suffix(".receipts").write_bytes(parcel.to_bytes())

    def _event(self, event: str, context: bytes, **fields: bytes) -> None:
        values = {key: value.hex() for key, value in fields.items()}
        self.events.append({"event": event, "context": context.hex(), **values})


def made_run(
    folder: Path,
    *,
    regions: Sequence[str] = ("east", "north", "west"),
    planned: int = 4,
    rounds: int = 2,
    seed: str = "made",
    noise_multiplier: str = "8",
    code: CodeListing = CODE,
) -> MadeRun:
    """Make a run of ``rounds`` of the ``planned`` rounds in an empty folder."""
    plan = made_plan(regions, rounds=planned, noise_multiplier=noise_multiplier, code=code)
    keys = Randomness(f"{seed}/keys")
    server, cosigner = Identity.generate(keys), Identity.generate(keys)
    made = [
        MadeRegion(name, Identity.generate(keys), Identity.generate(keys), Randomness(seed + name))
        for name in sorted(regions)
    ]
    made.sort(key=lambda one: one.uid)
    run = MadeRun(
        folder,
        plan,
        server,
        cosigner,
        _registry(made, server, cosigner),
        tuple(made),
        Randomness(f"{seed}/rounds"),
    )
    for name in ("server", "rounds", "artifacts"):
        (folder / name).mkdir(parents=True)
    (folder / "server" / "registry.bin").write_bytes(run.registry.to_bytes())
    (folder / "plan.json").write_bytes(plan.to_bytes())
    (folder / "report.html").write_text("<!doctype html><title>made</title>")
    (folder / "artifacts" / "recipe.json").write_bytes(RECIPE)
    (folder / "code.txt").write_bytes(code.to_bytes())
    for one in made:
        _begin(one, plan, code)
    run.play(rounds)
    return run


def _registry(made: Sequence[MadeRegion], server: Identity, cosigner: Identity) -> Registry:
    records = (
        RegionRecord(
            name=one.name,
            identity_key=one.identity.public_bytes(),
            ledger_key=one.ledger_key.public_bytes(),
            not_after=2**40,
        )
        for one in made
    )
    return Registry(
        epoch=0,
        quorum=1,
        regions=tuple(records),
        server_key=server.public_bytes(),
        cosigner_key=cosigner.public_bytes(),
        server_not_after=2**40,
    )


def _begin(one: MadeRegion, plan: Plan, code: CodeListing) -> None:
    """Enter what stands before the first round."""
    limit = Bound(plan.unit, plan.neighbours, Decimal(20), Decimal("0.0001"))
    one.add(Genesis(one.name), Account(LINEAGE, (limit,)))
    _approve(one, plan, code)


def _approve(one: MadeRegion, plan: Plan, code: CodeListing) -> None:
    """Enter a plan's approval and the self-test for it."""
    cost = charge(plan, one.name)
    events = {part.name: part.event for part in plan.region(one.name).components}
    charged = Bound(plan.unit, plan.neighbours, cost.epsilon, cost.delta)
    one.add(
        Approval(plan.hash, LINEAGE, plan.unit, None, events, (charged,), "a steward"),
        Note(
            "conformance",
            {
                "plan": plan.hash,
                "code": code.trainer_hash,
                "subject": "cd" * 32,
                "passed": ["sensitivity"],
                "failed": [],
            },
        ),
    )
