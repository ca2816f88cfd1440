"""The region's own coins of an audit that its plan declares: secret, flipped once, committed to.

The coins are in ``canaries.json``, which only the owner reads; the ledger has a salted hash of
them, entered before the plan's first step. Coins that were flipped again after a round would
accuse or acquit at will, so a region whose coins are gone, or are others, does not train.
"""

import hashlib
import json
import secrets
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from client.errors import ApprovalRefusedError, RegionFolderError
from client.folder import RegionFolder, write_durably
from client.materials import Materials
from client.policy import Policy
from distillation.audit.errors import AuditError
from distillation.audit.guessing import secret_coins
from distillation.audit.production import require_canaries, with_production_canaries
from distillation.layout import Vector
from distillation.workbench import Workbench
from privacy.canonical import Json
from privacy.ledger import Ledger
from privacy.ledger_entries import Note
from privacy.noise import SecureStream
from privacy.plan import Plan, PlannedAudit

TOPIC = "canaries"
_LABEL = b"stillroom/canaries/v1"


@dataclass(frozen=True, slots=True, repr=False)
class Coins:
    """A plan's coins.

    Attributes:
        salt: 32 random bytes.
        bits: Whether each canary trains, (m,).
    """

    salt: bytes
    bits: NDArray[np.bool_]

    @property
    def commitment(self) -> str:
        """The hash that the ledger has; it tells nothing without the salt."""
        packed = np.packbits(self.bits).tobytes()
        return hashlib.sha256(_LABEL + self.salt + packed).hexdigest()


def coins_file(folder: RegionFolder) -> Path:
    """Return where the coins are."""
    return folder.root / "canaries.json"


def check_audit_policy(policy: Policy, plan: Plan) -> None:
    """Refuse an audit that the policy does not allow.

    Raises:
        ApprovalRefusedError: With the policy's key in the message.
    """
    if plan.audit is not None and plan.audit.canaries > policy.max_canaries:
        raise ApprovalRefusedError(
            f"federation.max_canaries: the plan adds up to {plan.audit.canaries} made-up records "
            f"to the training to audit it, the policy allows {policy.max_canaries}"
        )


def require_auditable(materials: Materials, plan: Plan, region: str) -> None:
    """Refuse a plan whose audit this client cannot run, before anything is charged.

    Raises:
        ApprovalRefusedError: If the trained part has no room for canaries, or the public size none.
    """
    if plan.audit is None:
        return
    try:
        require_canaries(materials.part, plan.audit.canaries)
    except AuditError as error:
        raise ApprovalRefusedError(f"plan.audit: {error}") from error
    size = plan.region(region).public_size
    if len(materials.records) + plan.audit.canaries > size:
        raise ApprovalRefusedError(
            f"plan.audit: {plan.audit.canaries} canaries beside this region's records are more "
            f"than its public size {size}: raise the public size in the study, or declare fewer"
        )


def flip_coins(folder: RegionFolder, plan: Plan, ledger: Ledger) -> None:
    """Flip a plan's coins once, and put their hash on record; again it changes nothing.

    Raises:
        RegionFolderError: If the coins on record are not those in the folder.
        LedgerError: If the ledger cannot be written.
    """
    if plan.audit is None:
        return
    if _committed(ledger, plan) is None:
        coins = Coins(secrets.token_bytes(32), secret_coins(plan.audit.canaries, SecureStream()))
        _write(folder, plan, coins)
        ledger.note(TOPIC, _note(plan, plan.audit, coins))
    _ = coins_of(folder, plan, ledger)


def coins_of(folder: RegionFolder, plan: Plan, ledger: Ledger) -> Coins:
    """Return the plan's coins.

    Raises:
        RegionFolderError: If they are gone, or are not those on record.
    """
    try:
        found = json.loads(coins_file(folder).read_text(encoding="utf-8"))
        bits = np.array([digit == "1" for digit in str(found["coins"])], dtype=np.bool_)
        coins = Coins(bytes.fromhex(found["salt"]), bits)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RegionFolderError(
            f"{coins_file(folder).name} cannot be read: restore it from the region's own backup; "
            "the plan's audit rests on these coins, and they are flipped once"
        ) from error
    if coins.commitment != _committed(ledger, plan):
        raise RegionFolderError(
            f"the coins in {coins_file(folder).name} are not those that the ledger has on record "
            "for this plan: restore the file from the region's own backup"
        )
    return coins


def with_canaries(
    folder: RegionFolder, plan: Plan, ledger: Ledger, materials: Materials, records: Workbench
) -> Workbench:
    """Return what the region trains on: its records, and the canaries that a plan declares.

    Raises:
        RegionFolderError: If the plan declares an audit and its coins are not there.
    """
    if plan.audit is None:
        return records
    coins = coins_of(folder, plan, ledger)
    return with_production_canaries(
        records, materials.part, coins.bits, clip_norm=float(plan.clip_norm)
    )


def weights_file(folder: RegionFolder, round_: int, draw: int) -> Path:
    """Return where the weights at the start of an audited draw are."""
    return folder.root / "deltas" / f"round-{round_:05d}-draw-{draw}.weights"


def keep_weights(folder: RegionFolder, plan: Plan, round_: int, draw: int, weights: Vector) -> None:
    """Keep what an audit has to know of a draw; nothing where the plan declares none."""
    if plan.audit is not None:
        write_durably(weights_file(folder, round_, draw), weights.astype("<f4").tobytes())


def _note(plan: Plan, audit: PlannedAudit, coins: Coins) -> dict[str, Json]:
    return {"plan": plan.hash, "canaries": audit.canaries, "commitment": coins.commitment}


def _committed(ledger: Ledger, plan: Plan) -> str | None:
    """Return the hash of the plan's coins on record: the first, as coins are flipped once."""
    for entry in ledger.entries():
        note = entry.payload
        if isinstance(note, Note) and note.topic == TOPIC and note.content.get("plan") == plan.hash:
            return str(note.content.get("commitment"))
    return None


def _write(folder: RegionFolder, plan: Plan, coins: Coins) -> None:
    digits = "".join("1" if bit else "0" for bit in coins.bits)
    said = {"plan": plan.hash, "salt": coins.salt.hex(), "coins": digits}
    write_durably(coins_file(folder), json.dumps(said).encode())
    coins_file(folder).chmod(0o600)  # as the folder is its owner's alone, before as well as after
