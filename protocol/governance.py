"""How a registry changes: by its regions, one epoch at a time, never by the server.

A change is the next registry, the hash of the one before, and signatures by regions of the epoch
before, with the identity keys of that epoch. A region that follows the chain from the registry it
pinned ends at the same registry as every other, whoever delivers the changes.

There is no trusted clock in a change, so a signature counts while its record is valid at the
time of reading. A region that was away until the records of an epoch had run out cannot follow
the chain across it; its people compare the new hash with the others' and pin that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self, TypeAlias

from protocol.errors import AbortCode, require
from protocol.identity import Identity, RegionRecord, Registry, verify
from protocol.wire import (
    HASH_BYTES,
    MAX_REGIONS,
    SIGNATURE_BYTES,
    UID_BYTES,
    Kind,
    Reader,
    Writer,
    require_ascending,
    require_size,
)

MAX_REGISTRY_BYTES = 1 << 18  # above the largest registry: 128 records of at most 1168 bytes
_APPROVAL, _OLD_KEY, _NEW_KEY = "registry-approval", "registry-old-key", "registry-new-key"

Owner: TypeAlias = tuple[bytes, str]


@dataclass(frozen=True, slots=True)
class Approval:
    """One region's signature under a change.

    Attributes:
        uid: A region of the epoch before, 16 bytes.
        signature: Ed25519 by its identity key of that epoch, 64 bytes.
    """

    uid: bytes
    signature: bytes

    def __post_init__(self) -> None:
        require_size("a signature", self.signature, SIGNATURE_BYTES)


@dataclass(frozen=True, slots=True)
class Rotation:
    """A region's statement that both its identity keys, the old and the new, are its own.

    Attributes:
        uid: The region, 16 bytes.
        old_signature: Ed25519 by the key that is replaced, 64 bytes.
        new_signature: Ed25519 by the key that replaces it, 64 bytes.
    """

    uid: bytes
    old_signature: bytes
    new_signature: bytes

    def __post_init__(self) -> None:
        require_size("a signature by the old key", self.old_signature, SIGNATURE_BYTES)
        require_size("a signature by the new key", self.new_signature, SIGNATURE_BYTES)


@dataclass(frozen=True, slots=True)
class RegistryChange:
    """The next registry, with the signatures it has so far. Well formed is not yet accepted.

    Attributes:
        previous_hash: Hash of the registry that this one replaces, 32 bytes.
        registry: The registry from now on.
        approvals: At most one for each region, strictly ascending by uid.
        rotations: One for each region whose identity key is replaced, strictly ascending by uid.
    """

    previous_hash: bytes
    registry: Registry
    approvals: tuple[Approval, ...] = ()
    rotations: tuple[Rotation, ...] = ()

    def __post_init__(self) -> None:
        require_size("a registry's hash", self.previous_hash, HASH_BYTES)
        require_ascending(tuple(approval.uid for approval in self.approvals))
        require_ascending(tuple(rotation.uid for rotation in self.rotations))

    def approval_by(self, uid: bytes, identity: Identity) -> Approval:
        """Return a region's signature under this change."""
        return Approval(uid, self._sign(_APPROVAL, uid, identity))

    def rotation_by(self, uid: bytes, *, old: Identity, new: Identity) -> Rotation:
        """Return a region's signatures with the key that is replaced and the one that follows."""
        return Rotation(uid, self._sign(_OLD_KEY, uid, old), self._sign(_NEW_KEY, uid, new))

    def _sign(self, label: str, uid: bytes, identity: Identity) -> bytes:
        body = self.registry.to_bytes()
        return identity.sign(label, context=self.previous_hash, uid=uid, body=body)

    def verify(self, label: str, uid: bytes, key: bytes, signature: bytes) -> None:
        """Check one signature; it covers the purpose, both registries and the signer.

        Raises:
            AbortError: ``bad_signature``, with the uid, if it is not by ``key``.
        """
        body = self.registry.to_bytes()
        verify(key, signature, label, context=self.previous_hash, uid=uid, body=body)

    def to_bytes(self) -> bytes:
        """Return the canonical bytes."""
        writer = Writer(Kind.REGISTRY_CHANGE).raw(self.previous_hash)
        writer.blob(self.registry.to_bytes()).integer(len(self.approvals), size=2)
        for approval in self.approvals:
            writer.raw(approval.uid).raw(approval.signature)
        writer.integer(len(self.rotations), size=2)
        for rotation in self.rotations:
            writer.raw(rotation.uid).raw(rotation.old_signature).raw(rotation.new_signature)
        return writer.bytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read canonical bytes; no signature is checked yet.

        Raises:
            MalformedMessageError: For any other bytes; nothing else is ever raised.
        """
        reader = Reader(data, Kind.REGISTRY_CHANGE)
        previous_hash = reader.raw(HASH_BYTES)
        registry = Registry.from_bytes(reader.blob(most=MAX_REGISTRY_BYTES))
        count = reader.integer(size=2, most=MAX_REGIONS)
        approvals = tuple(
            Approval(reader.raw(UID_BYTES), reader.raw(SIGNATURE_BYTES)) for _ in range(count)
        )
        count = reader.integer(size=2, most=MAX_REGIONS)
        rotations = tuple(
            Rotation(
                reader.raw(UID_BYTES), reader.raw(SIGNATURE_BYTES), reader.raw(SIGNATURE_BYTES)
            )
            for _ in range(count)
        )
        reader.end()
        return cls(previous_hash, registry, approvals, rotations)


def sign_change(
    pinned: Registry,
    registry: Registry,
    *,
    approvers: Mapping[bytes, Identity],
    rotations: Mapping[bytes, tuple[Identity, Identity]] | None = None,
) -> RegistryChange:
    """Return the change from ``pinned`` to ``registry`` with these signatures.

    In a federation each region signs for itself (``approval_by``, ``rotation_by``) and whoever
    collects puts the parts together; this is the same where one process holds several keys.

    Args:
        pinned: The registry of the epoch before.
        registry: The next one.
        approvers: Identities of the epoch before, by uid.
        rotations: Old and new identity of every region whose key is replaced, by uid.
    """
    bare = RegistryChange(pinned.hash, registry)
    return RegistryChange(
        pinned.hash,
        registry,
        tuple(bare.approval_by(uid, signer) for uid, signer in sorted(approvers.items(), key=_uid)),
        tuple(
            bare.rotation_by(uid, old=old, new=new)
            for uid, (old, new) in sorted((rotations or {}).items(), key=_uid)
        ),
    )


def _uid(item: tuple[bytes, object]) -> bytes:
    return item[0]


def approvals_needed(registry: Registry) -> int:
    """Return how many of its regions must sign the change that replaces ``registry``."""
    return max(registry.quorum, _two_thirds(len(registry.regions)))


def _two_thirds(count: int) -> int:
    return -(-2 * count // 3)


def accept_changes(changes: Iterable[bytes], *, pinned: Registry, now: int) -> Registry:
    """Return the registry at the end of a chain of changes, in order; ``pinned`` if it is empty.

    Raises:
        MalformedMessageError: As `accept_change`.
        AbortError: As `accept_change`, for the first change that is not acceptable; nothing of
            the chain is accepted then.
    """
    for change in changes:
        pinned = accept_change(change, pinned=pinned, now=now)
    return pinned


def accept_change(change_bytes: bytes, *, pinned: Registry, now: int) -> Registry:
    """Return the registry that a change leads to, if the regions of ``pinned`` agreed on it.

    Guarantees: at least max(quorum, two thirds) of the distinct regions of ``pinned``, each with
    a record that is valid at ``now``, signed exactly this registry as the successor of exactly
    ``pinned``. The server's keys sign nothing here, in this epoch or, by a key that changes
    hands, in the next.

    Args:
        change_bytes: What anybody delivered.
        pinned: The registry that this region trusts.
        now: Unix time, seconds.

    Raises:
        MalformedMessageError: If the bytes are no change, or the registry is not well formed
            (two parties with one key, for instance).
        AbortError: ``registry_mismatch`` for another predecessor, a skipped epoch or a rotation
            of a key that stays; ``bad_threshold`` for a quorum below two thirds or too few
            approvals; ``duplicate_keys`` for a key that changes hands; ``unknown_region``,
            ``bad_signature`` or ``expired`` for a signature that is not what it must be.
    """
    change = RegistryChange.from_bytes(change_bytes)
    _check_successor(change, pinned)
    _check_quorum(change.registry)
    _check_owners(change.registry, pinned)
    _check_approvals(change, pinned, now)
    _check_rotations(change, pinned, now)
    return change.registry


def _check_successor(change: RegistryChange, pinned: Registry) -> None:
    require(
        change.previous_hash == pinned.hash,
        AbortCode.REGISTRY_MISMATCH,
        f"expected a change of the pinned registry {pinned.hash.hex()} (epoch {pinned.epoch}), got "
        f"one of {change.previous_hash.hex()}; was it applied before, or is one missing before it?",
    )
    require(
        change.registry.epoch == pinned.epoch + 1,
        AbortCode.REGISTRY_MISMATCH,
        f"expected epoch {pinned.epoch + 1} after {pinned.epoch}, got {change.registry.epoch}; "
        "propose the change again with the next epoch",
    )


def _check_quorum(registry: Registry) -> None:
    least = _two_thirds(len(registry.regions))
    require(
        registry.quorum >= least,
        AbortCode.BAD_THRESHOLD,
        f"expected a quorum of at least {least} of {len(registry.regions)} regions, got "
        f"{registry.quorum}; propose the change again with a larger one",
    )


def _check_owners(registry: Registry, pinned: Registry) -> None:
    """Refuse a key under another party or purpose: its old holder would sign as the new one."""
    before = _owners(pinned)
    for key, owner in _owners(registry).items():
        require(
            before.get(key, owner) == owner,
            AbortCode.DUPLICATE_KEYS,
            f"expected a fresh key as the {owner[1]} of {owner[0].hex() or 'the server'}, got one "
            "that stands for another party or purpose in the registry before; make a new key",
            uid=owner[0] or None,
        )


def _owners(registry: Registry) -> Mapping[bytes, Owner]:
    owners = {
        registry.server_key: (b"", "server key"),
        registry.cosigner_key: (b"", "cosigner key"),
    }
    for record in registry.regions:
        owners[record.identity_key] = (record.uid, "identity key")
        owners[record.ledger_key] = (record.uid, "ledger key")
    return owners


def _check_approvals(change: RegistryChange, pinned: Registry, now: int) -> None:
    """Check every signature, and count those whose record is still valid."""
    valid = 0
    for approval in change.approvals:  # the uids are distinct: `RegistryChange` requires it
        record = pinned.record(approval.uid)
        change.verify(_APPROVAL, approval.uid, record.identity_key, approval.signature)
        valid += now < record.not_after
    needed, given = approvals_needed(pinned), len(change.approvals)
    require(
        valid >= needed,
        AbortCode.EXPIRED if given >= needed else AbortCode.BAD_THRESHOLD,
        f"expected approvals by at least {needed} of the {len(pinned.regions)} regions of epoch "
        f"{pinned.epoch}, got {given}, of which {given - valid} by regions whose record is past "
        "its date; collect the missing ones",
    )


def _check_rotations(change: RegistryChange, pinned: Registry, now: int) -> None:
    given = {rotation.uid: rotation for rotation in change.rotations}
    rotated = _rotated(change.registry, pinned)
    for uid in given:
        require(
            uid in rotated,
            AbortCode.REGISTRY_MISMATCH,
            f"expected rotations of replaced identity keys only, got one of {uid.hex()}, whose "
            "key is not replaced; leave it out",
            uid=uid,
        )
    for uid, (old, new) in rotated.items():
        require(
            uid in given,
            AbortCode.BAD_SIGNATURE,
            f"expected {old.name!r} to sign for its new identity key with the old and the new "
            "one, got neither signature; a region that lost its key is removed by one change and "
            "added by the next",
            uid=uid,
        )
        require(
            now < old.not_after,
            AbortCode.EXPIRED,
            f"the old key of {old.name!r} is past its date and signs no rotation; remove the "
            "region by one change and add it by the next",
            uid=uid,
        )
        change.verify(_OLD_KEY, uid, old.identity_key, given[uid].old_signature)
        change.verify(_NEW_KEY, uid, new.identity_key, given[uid].new_signature)


def _rotated(
    registry: Registry, pinned: Registry
) -> Mapping[bytes, tuple[RegionRecord, RegionRecord]]:
    """Return the records before and after of every region whose identity key is replaced."""
    before = {record.uid: record for record in pinned.regions}
    return {
        new.uid: (before[new.uid], new)
        for new in registry.regions
        if new.uid in before and before[new.uid].identity_key != new.identity_key
    }
