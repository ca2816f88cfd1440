"""A region's folder: everything the region holds, under one root that only it can read.

policy.toml      what the steward allows            registry.bin     the pinned registry
identity.key     signs messages and approvals       ledger.key       signs the ledger's checkpoints
records.csv      the private records                labels.key       opens the label cache
ledger.db        what was spent and what left       labels.db        soft labels, encrypted
plan.json        the approved plan                  plan.signature   this region's approval of it
artifacts/       teacher, student, recipe           deltas/          released deltas
model.npz        the federation's model so far      checkpoints.json the other ledgers, as last seen
errors.log       what went wrong                    halted.json      the steward's stop
sent.jsonl       everything that left               checkpoint.note  this ledger, as last signed
                                                    cosigned.note    and as last cosigned
"""

import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from client.errors import RegionFolderError
from client.policy import Policy
from privacy.ledger import Ledger
from protocol.identity import Identity


@dataclass(frozen=True, slots=True)
class RegionFolder:
    """Paths below one region's root."""

    root: Path

    @property
    def policy(self) -> Path:
        """The steward's policy."""
        return self.root / "policy.toml"

    @property
    def registry(self) -> Path:
        """The pinned registry."""
        return self.root / "registry.bin"

    @property
    def ledger(self) -> Path:
        """The ledger."""
        return self.root / "ledger.db"

    @property
    def labels(self) -> Path:
        """The encrypted soft labels."""
        return self.root / "labels.db"

    @property
    def plan(self) -> Path:
        """The approved plan."""
        return self.root / "plan.json"

    @property
    def approval(self) -> Path:
        """The region's signature of the plan's hash."""
        return self.root / "plan.signature"

    @property
    def artifacts(self) -> Path:
        """What travels beside the plan."""
        return self.root / "artifacts"

    @property
    def model(self) -> Path:
        """The federation's model, as this region computed it."""
        return self.root / "model.npz"

    @property
    def checkpoints(self) -> Path:
        """The latest checkpoint seen of each other region's ledger."""
        return self.root / "checkpoints.json"

    @property
    def errors(self) -> Path:
        """The region's own log of errors."""
        return self.root / "errors.log"

    def delta(self, round_: int, draw: int) -> Path:
        """The delta of one draw of one round."""
        return self.root / "deltas" / f"round-{round_:05d}-draw-{draw}.f32"

    def identity(self) -> Identity:
        """Read the region's signing key."""
        return Identity.from_private_bytes(self._secret("identity.key"))

    def ledger_key(self) -> Identity:
        """Read the key that signs the ledger's checkpoints."""
        return Identity.from_private_bytes(self._secret("ledger.key"))

    def labels_key(self) -> bytes:
        """Read the key of the label cache, 32 bytes."""
        return self._secret("labels.key")

    def _secret(self, name: str) -> bytes:
        path = self.root / name
        try:
            secret = path.read_bytes()
        except FileNotFoundError:
            raise RegionFolderError(
                f"the region's folder {self.root} has no {name}: restore it from the region's "
                "own backup; without it this region cannot take part any more"
            ) from None
        if len(secret) != 32:
            raise RegionFolderError(f"expected {name} to hold 32 bytes, got {len(secret)}")
        return secret


@dataclass(frozen=True, slots=True)
class RegionKeys:
    """A region's public keys, as the registry records them; 32 bytes each."""

    identity_key: bytes
    ledger_key: bytes


def create_keys(folder: RegionFolder) -> RegionKeys:
    """Make the folder and its keys, readable by their owner only, and return the public ones.

    Raises:
        RegionFolderError: If there is a region in the folder already.
    """
    if folder.policy.exists() or (folder.root / "identity.key").exists():
        raise RegionFolderError(
            f"{folder.root} holds a region already: choose another folder, or remove this one "
            "after a backup of its ledger"
        )
    (folder.root / "deltas").mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.artifacts.mkdir(exist_ok=True)
    folder.root.chmod(0o700)
    identity, ledger = Identity.generate(), Identity.generate()
    _write_secret(folder.root / "identity.key", identity.private_bytes())
    _write_secret(folder.root / "ledger.key", ledger.private_bytes())
    _write_secret(folder.root / "labels.key", secrets.token_bytes(32))
    return RegionKeys(identity.public_bytes(), ledger.public_bytes())


def open_account(folder: RegionFolder, policy: Policy, *, clock: Callable[[], int]) -> None:
    """Write the policy and start the ledger with the one account that it grants."""
    policy.save(folder.policy)
    with Ledger.create(folder.ledger, region=policy.region, clock=clock) as ledger:
        ledger.open_account(policy.lineage, policy.limits)


def write_durably(path: Path, data: bytes) -> None:
    """Write a file as a whole: after a crash it is there with this content, or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(path.suffix + ".partial")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _write_secret(path: Path, secret: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(secret)
