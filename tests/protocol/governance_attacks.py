"""Changes of a registry that its regions did not make, and what each is refused with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from protocol.errors import AbortCode
from protocol.governance import Approval, RegistryChange, Rotation, sign_change
from protocol.identity import SERVER_UID, Registry, region_uid
from tests.protocol.builders import LATER, NAMES, identity, registry_of

FIVE = NAMES[:5]
NEEDED = 4  # two thirds of five, rounded up
UIDS = {name: region_uid(name) for name in (*NAMES, "newcomer")}


def registry(*names: str, epoch: int = 1, quorum: int | None = None) -> Registry:
    """Return a registry whose quorum is two thirds."""
    least = -(-2 * len(names) // 3)
    return replace(registry_of(tuple(names)), epoch=epoch, quorum=quorum or least)


PINNED = registry(*FIVE)
NEXT = registry(*FIVE, "newcomer", epoch=2)


def signed(
    change: Registry,
    *signers: str,
    pinned: Registry = PINNED,
    rotated: tuple[str, ...] = (),
) -> RegistryChange:
    """Return a change with these regions' signatures; ``rotated`` take their second key."""
    return sign_change(
        pinned,
        change,
        approvers={UIDS[name]: identity(name) for name in signers},
        rotations={UIDS[name]: (identity(name), identity(name + "/2")) for name in rotated},
    )


def with_record(registry: Registry, name: str, **fields: object) -> Registry:
    """Return a registry in which one record has other fields."""
    regions = [
        replace(record, **fields) if record.name == name else record  # type: ignore[arg-type]
        for record in registry.regions
    ]
    return replace(registry, regions=tuple(regions))


def rotated(name: str, registry: Registry = PINNED) -> Registry:
    """Return the next registry, in which ``name`` has its second key."""
    key = identity(name + "/2").public_bytes()
    return replace(with_record(registry, name, identity_key=key), epoch=registry.epoch + 1)


def _one_signature_many_times() -> RegistryChange:
    change = signed(NEXT, "avonlea")
    copies = tuple(
        Approval(UIDS[name], change.approvals[0].signature) for name in sorted(FIVE, key=region_uid)
    )
    return replace(change, approvals=copies)


def _signed_by_the_server() -> RegistryChange:
    return sign_change(PINNED, NEXT, approvers={SERVER_UID: identity("server")})


def _signed_by_the_server_as_a_region() -> RegistryChange:
    approvers = {UIDS[name]: identity(name) for name in FIVE[: NEEDED - 1]}
    return sign_change(PINNED, NEXT, approvers=approvers | {UIDS["elster"]: identity("server")})


def _changed_after_signing() -> RegistryChange:
    change = signed(NEXT, *FIVE)
    return replace(change, registry=with_record(NEXT, "newcomer", not_after=LATER + 1))


def _signed_for_another_predecessor() -> RegistryChange:
    other = signed(NEXT, *FIVE, pinned=replace(PINNED, server_not_after=LATER + 1))
    return replace(other, previous_hash=PINNED.hash)


def _rotation(**signers: str) -> RegistryChange:
    """Return a rotation of avonlea's key in which some signatures are by other keys."""
    change = signed(rotated("avonlea"), *FIVE)
    old, new = (identity(signers.get(key, right)) for key, right in KEYS.items())
    return replace(change, rotations=(change.rotation_by(UIDS["avonlea"], old=old, new=new),))


KEYS = {"old": "avonlea", "new": "avonlea/2"}


def _rotation_by_the_wrong_region() -> RegistryChange:
    """Brindle signs, with its own old key, that avonlea's new key is its own."""
    change = signed(rotated("avonlea"), *FIVE)
    uid, old, new = UIDS["brindle"], identity("brindle"), identity("avonlea/2")
    return replace(change, rotations=(change.rotation_by(uid, old=old, new=new),))


def _swapped_rotation() -> RegistryChange:
    change = signed(rotated("avonlea"), *FIVE, rotated=("avonlea",))
    (right,) = change.rotations
    return replace(
        change, rotations=(Rotation(right.uid, right.new_signature, right.old_signature),)
    )


def _rotation_as_approval() -> RegistryChange:
    """A signature that only hands a key over is counted as an approval."""
    change = signed(rotated("avonlea"), *FIVE[1:NEEDED], rotated=("avonlea",))
    given = Approval(UIDS["avonlea"], change.rotations[0].old_signature)
    approvals = sorted((*change.approvals, given), key=lambda approval: approval.uid)
    return replace(change, approvals=tuple(approvals))


def _key_of(party: str, *, kind: str = "identity_key") -> RegistryChange:
    """The newcomer has a key that stood for another party in the registry before."""
    following = registry(*FIVE[:4], "newcomer", epoch=2)
    if party in ("server", "cosigner"):
        fresh = {f"{party}_key": identity(f"{party}/2").public_bytes()}
        following = replace(following, **fresh)  # type: ignore[arg-type]
    key = identity(party).public_bytes()
    return signed(with_record(following, "newcomer", **{kind: key}), *FIVE)


ATTACKS: dict[str, tuple[Callable[[], RegistryChange], AbortCode, str | None]] = {
    "signed by the server": (_signed_by_the_server, AbortCode.UNKNOWN_REGION, "server"),
    "signed by the server for a region": (
        _signed_by_the_server_as_a_region,
        AbortCode.BAD_SIGNATURE,
        "elster",
    ),
    "nobody signs": (lambda: signed(NEXT), AbortCode.BAD_THRESHOLD, None),
    "one signature too few": (
        lambda: signed(NEXT, *FIVE[: NEEDED - 1]),
        AbortCode.BAD_THRESHOLD,
        None,
    ),
    "one signature for many regions": (_one_signature_many_times, AbortCode.BAD_SIGNATURE, ""),
    "a newcomer signs for itself": (
        lambda: signed(NEXT, *FIVE[: NEEDED - 1], "newcomer"),
        AbortCode.UNKNOWN_REGION,
        "newcomer",
    ),
    "the same epoch again": (
        lambda: signed(replace(NEXT, epoch=1), *FIVE),
        AbortCode.REGISTRY_MISMATCH,
        None,
    ),
    "an epoch back": (
        lambda: signed(replace(NEXT, epoch=0), *FIVE),
        AbortCode.REGISTRY_MISMATCH,
        None,
    ),
    "an epoch skipped": (
        lambda: signed(replace(NEXT, epoch=3), *FIVE),
        AbortCode.REGISTRY_MISMATCH,
        None,
    ),
    "a change of another registry": (
        lambda: signed(NEXT, *FIVE, pinned=registry(*FIVE, quorum=5)),
        AbortCode.REGISTRY_MISMATCH,
        None,
    ),
    "signatures for another predecessor": (
        _signed_for_another_predecessor,
        AbortCode.BAD_SIGNATURE,
        "",
    ),
    "changed after signing": (_changed_after_signing, AbortCode.BAD_SIGNATURE, ""),
    "a quorum below two thirds": (
        lambda: signed(replace(NEXT, quorum=3), *FIVE),
        AbortCode.BAD_THRESHOLD,
        None,
    ),
    "a rotation nobody signs": (
        lambda: signed(rotated("avonlea"), *FIVE),
        AbortCode.BAD_SIGNATURE,
        "avonlea",
    ),
    "a rotation without the old key": (
        lambda: _rotation(old="avonlea/2"),
        AbortCode.BAD_SIGNATURE,
        "avonlea",
    ),
    "a rotation without the new key": (
        lambda: _rotation(new="avonlea"),
        AbortCode.BAD_SIGNATURE,
        "avonlea",
    ),
    "a rotation with its signatures swapped": (
        _swapped_rotation,
        AbortCode.BAD_SIGNATURE,
        "avonlea",
    ),
    "a rotation by the server": (
        lambda: _rotation(old="server"),
        AbortCode.BAD_SIGNATURE,
        "avonlea",
    ),
    "a rotation by another region": (
        _rotation_by_the_wrong_region,
        AbortCode.REGISTRY_MISMATCH,
        "brindle",
    ),
    "a rotation of a key that stays": (
        lambda: signed(NEXT, *FIVE, rotated=("brindle",)),
        AbortCode.REGISTRY_MISMATCH,
        "brindle",
    ),
    "a rotation of a newcomer": (
        lambda: signed(NEXT, *FIVE, rotated=("newcomer",)),
        AbortCode.REGISTRY_MISMATCH,
        "newcomer",
    ),
    "a rotation that counts as an approval": (
        _rotation_as_approval,
        AbortCode.BAD_SIGNATURE,
        "avonlea",
    ),
    "a region with the server's key": (
        lambda: _key_of("server"),
        AbortCode.DUPLICATE_KEYS,
        "newcomer",
    ),
    "a region with the cosigner's key": (
        lambda: _key_of("cosigner"),
        AbortCode.DUPLICATE_KEYS,
        "newcomer",
    ),
    "a region with the key of one that leaves": (
        lambda: _key_of("elster"),
        AbortCode.DUPLICATE_KEYS,
        "newcomer",
    ),
    "a ledger key that signed messages": (
        lambda: _key_of("elster", kind="ledger_key"),
        AbortCode.DUPLICATE_KEYS,
        "newcomer",
    ),
    "a server with the key of a region that leaves": (
        lambda: signed(
            replace(registry(*FIVE[:4], epoch=2), server_key=identity("elster").public_bytes()),
            *FIVE,
        ),
        AbortCode.DUPLICATE_KEYS,
        None,
    ),
}
