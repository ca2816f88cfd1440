"""``stillroom region pin``: which registry of public keys this region trusts.

The first one is trusted because people compared its hash over another channel; each later one
because enough regions of the one before signed it (`protocol.governance`).
"""

from collections.abc import Sequence
from pathlib import Path

from client.errors import ApprovalRefusedError, RegionFolderError
from client.folder import RegionFolder, write_durably
from client.policy import Policy
from protocol.errors import ProtocolError
from protocol.governance import accept_changes
from protocol.identity import Registry, region_uid
from stillroom.region_opening import now, read_input
from stillroom.region_policy import NOT_PINNED, write_pin


def proposed_registry(
    folder: RegionFolder, policy: Policy, file: Path | None, changes: Sequence[Path]
) -> Registry:
    """Return the registry that this region may pin now.

    Args:
        folder: The region's folder.
        policy: Its policy.
        file: A registry; may be left out where a change says it.
        changes: Signed changes of the pinned registry, in order.

    Raises:
        RegionFolderError: If a file is missing.
        ApprovalRefusedError: If it may not be pinned.
    """
    named = _read(read_input(file, "registry")) if file is not None else None
    if changes:
        registry = _changed(folder, policy, [read_input(path, "change") for path in changes])
        if named is not None and named.hash != registry.hash:
            raise ApprovalRefusedError(
                "federation.registry_sha256: the changes lead to another registry than "
                f"{file}: leave the file out, or ask who made it"
            )
    elif named is None:
        raise RegionFolderError("expected a registry, or --change with a signed change of it")
    else:
        registry = named
        _require_first(policy, registry)
    _require_fit(folder, policy, registry)
    return registry


def pin(folder: RegionFolder, policy: Policy, registry: Registry) -> None:
    """Write the hash to the policy and the registry to the folder; again finishes what a crash cut.

    Between the two the region refuses every round: hash and file do not fit.
    """
    write_pin(folder.policy, policy, registry.hash.hex())
    write_durably(folder.registry, registry.to_bytes())


def groups_of_four(digest: bytes) -> str:
    """Return a hash as two people read it to each other."""
    text = digest.hex()
    return " ".join(text[start : start + 4] for start in range(0, len(text), 4))


def require_hash(registry: Registry, typed: str) -> None:
    """Check the hash that somebody else read out; spaces do not matter.

    Raises:
        ApprovalRefusedError: If it is another.
    """
    if "".join(typed.split()).lower() != registry.hash.hex():
        raise ApprovalRefusedError(
            "--hash: this registry has another hash, so somebody holds other keys: pin nothing, "
            "and ask the other regions which one they have"
        )


def _read(data: bytes) -> Registry:
    try:
        return Registry.from_bytes(data)
    except ProtocolError as error:
        raise RegionFolderError(f"this file is no registry: {error}") from error


def _changed(folder: RegionFolder, policy: Policy, changes: Sequence[bytes]) -> Registry:
    if not folder.registry.is_file():
        raise ApprovalRefusedError(
            "federation.registry_sha256: no registry is pinned yet that could change: pin one "
            "first, and compare its hash with the other regions"
        )
    before = _read(folder.registry.read_bytes())
    try:
        after = accept_changes(changes, pinned=before, now=now())
    except ProtocolError as error:
        raise ApprovalRefusedError(f"the change is not accepted: {error}") from error
    if policy.registry_sha256 not in (before.hash.hex(), after.hash.hex()):
        raise ApprovalRefusedError(
            "federation.registry_sha256: the registry in the region's folder is not the pinned "
            "one, so no change of it counts: restore it from the region's backup"
        )
    return after


def _require_first(policy: Policy, registry: Registry) -> None:
    if policy.registry_sha256 not in (NOT_PINNED, registry.hash.hex()):
        raise ApprovalRefusedError(
            f"federation.registry_sha256: {policy.registry_sha256[:16]}… is pinned, and another "
            "registry replaces it only by a change that the regions signed: ask for it, and give "
            "it as --change FILE"
        )


def _require_fit(folder: RegionFolder, policy: Policy, registry: Registry) -> None:
    """Refuse a registry in which this region could not take part."""
    require_listed(folder, policy, registry)
    require_in_date(registry, at=now())
    if len(registry.regions) < policy.min_cohort:
        raise ApprovalRefusedError(
            f"federation.min_cohort: the registry has {len(registry.regions)} regions, the policy "
            f"asks for at least {policy.min_cohort}"
        )


def require_listed(folder: RegionFolder, policy: Policy, registry: Registry) -> None:
    """Check that the registry names this region with the keys in its folder.

    Raises:
        ApprovalRefusedError: If it does not.
        RegionFolderError: If a key is missing here.
    """
    record = {one.uid: one for one in registry.regions}.get(region_uid(policy.region))
    if record is None:
        raise ApprovalRefusedError(
            f"region.name: the registry has no region {policy.region}, it has "
            f"{', '.join(sorted(one.name for one in registry.regions))}: have this one entered"
        )
    own = (folder.identity().public_bytes(), folder.ledger_key().public_bytes())
    if (record.identity_key, record.ledger_key) != own:
        raise ApprovalRefusedError(
            f"the registry has other keys for {policy.region} than the ones in this folder: send "
            "the keys that stillroom region init printed, and ask who entered the others"
        )


def require_in_date(registry: Registry, *, at: int) -> None:
    """Check that nobody in the registry is past its date.

    Raises:
        ApprovalRefusedError: If somebody is.
    """
    past = [one.name for one in registry.regions if one.not_after <= at]
    if registry.server_not_after <= at:
        past.append("the server")
    if past:
        raise ApprovalRefusedError(
            f"the registry is past its date for {', '.join(sorted(past))}: the regions must agree "
            "on a new one and sign the change"
        )
