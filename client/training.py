"""One round's delta: reserve, train, store, release — in this order, each step on disk.

A crash before the release burns the reserve; after it, the stored delta is the round's delta for
ever, and every further attempt of the secure sum masks it anew.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from client.canaries import keep_weights
from client.errors import RegionFolderError
from client.folder import RegionFolder, write_durably
from client.halt import require_running
from client.incidents import require_usable_plan
from client.materials import Materials
from distillation.dp.optimizer import StepTerms
from distillation.layout import Vector
from distillation.workbench import Workbench
from privacy.ledger import Ledger
from privacy.noise import SecureStream
from privacy.plan import TRAIN, Plan


@dataclass(frozen=True, slots=True)
class Released:
    """A round's released delta.

    Attributes:
        delta: Shape (d,), float32.
        payload_sha256: Its hash, as the ledger has it, 32 bytes.
    """

    delta: Vector
    payload_sha256: bytes


@dataclass(frozen=True, slots=True)
class LocalTraining:
    """Draws each round's delta at most once, and never without a durable reserve.

    Attributes:
        folder: The region's folder.
        region: Its name in the plan.
        plan: The approved plan.
        ledger: The region's ledger.
        materials: Recipe and trained part.
        bench: The region's labelled records, and the canaries that train with them.
        on_step: Told what is about to happen; tests kill the process there.
    """

    folder: RegionFolder
    region: str
    plan: Plan
    ledger: Ledger
    materials: Materials
    bench: Workbench
    on_step: Callable[[str], None] = lambda step: None

    def delta(self, round_: int, weights: Vector) -> Released:
        """Return the round's released delta; draw it if there is none yet.

        Raises:
            HaltedError: If the steward stopped the region; nothing was trained.
            AccountFrozenError: If an incident stopped the account; nothing was trained.
            BudgetExceededError: If the plan has no steps left; nothing was trained.
            LedgerError: If the ledger cannot be written; nothing was released.
            RegionFolderError: If the stored delta is gone or was changed.
        """
        released = self.ledger.state.released(self.plan.hash, round_, TRAIN)
        if released is None:
            self._draw(round_, weights)
            released = self.ledger.state.released(self.plan.hash, round_, TRAIN)
        if released is None:
            raise RegionFolderError(f"round {round_} was drawn but its release is not on record")
        delta = self._stored(round_, released.draw, released.payload_sha256)
        return Released(delta, bytes.fromhex(released.payload_sha256))

    def _draw(self, round_: int, weights: Vector) -> None:
        steps = self.plan.local_steps
        require_running(self.folder)
        require_usable_plan(self.folder, self.ledger.state, self.plan.hash)
        self.on_step("reserve")
        draw = self.ledger.reserve(self.plan.hash, round_, TRAIN, steps)
        require_running(self.folder)  # else a stop between the two would not stop this round
        keep_weights(self.folder, self.plan, round_, draw, weights)
        self.on_step("train")
        delta = self.bench.private_update(
            self.materials.part,
            weights,
            self.materials.recipe,
            steps=steps,
            terms=step_terms(self.plan, self.region),
            stream=SecureStream(),
        )
        payload = delta.astype("<f4").tobytes()
        self.on_step("store")
        write_durably(self.folder.delta(round_, draw), payload)
        self.on_step("release")
        digest = hashlib.sha256(payload).hexdigest()
        self.ledger.release(self.plan.hash, round_, TRAIN, draw, digest, len(payload))

    def _stored(self, round_: int, draw: int, digest: str) -> Vector:
        path = self.folder.delta(round_, draw)
        payload = path.read_bytes() if path.exists() else b""
        if hashlib.sha256(payload).hexdigest() != digest:
            raise RegionFolderError(
                f"the released delta {path.name} is missing or was changed: restore it from the "
                "region's backup; it is never drawn again"
            )
        return np.frombuffer(payload, dtype="<f4").astype(np.float32)


def step_terms(plan: Plan, region: str) -> StepTerms:
    """Return what one private step of a region is made of, from the plan alone."""
    terms = plan.region(region)
    component = terms.component(TRAIN)
    return StepTerms(
        noise_multiplier=component.noise_multiplier,
        clip_norm=plan.clip_norm,
        sample_rate=component.sample_rate,
        public_size=terms.public_size,
        max_records_per_unit=terms.max_records_per_unit,
    )
