"""``stillroom report DIR --out pack.zip``: the compliance pack of a finished run.

A simulation has everybody's keys in one folder, so its pack is signed by all. A coordinator has its
own only: each region then adds its line with its ledger's key, after it has verified the pack.
"""

from pathlib import Path

import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from privacy.pack import PackKeys, RegionKey, write_pack
from privacy.pack.errors import PackSourceError
from privacy.pack.gathering import Sums
from privacy.plan import Plan
from protocol.identity import Identity, Registry, region_uid
from stillroom.terminal import out
from verify.auditor_keys import AuditorKeys


def pack_run(run: Path, pack: Path, *, sums: Sums = Sums.HASHES, say: bool = True) -> None:
    """Write a run's pack, and say what is in it and who has still to sign.

    Raises:
        PackSourceError: If something that every pack has is missing.
        PrivacyError: If a ledger or the plan cannot be read.
    """
    packed = write_pack(run, pack, keys_of(run), sums=sums)
    if not say:
        return
    size = f"{packed.size_bytes / 1000:.0f} kB"
    out.print(f"{pack}: {packed.files} files, {size}", soft_wrap=True)
    if packed.unsigned:
        names = ", ".join(packed.unsigned)
        out.print(f"still to be signed by {names}: send each the pack", soft_wrap=True)


def pack_with_keys(run: Path, *, say: bool) -> None:
    """Write ``pack.zip`` and ``auditor-keys.toml`` into a run's folder, and how they are checked.

    Raises:
        PackSourceError: If something that every pack has is missing.
        PrivacyError: If a ledger or the plan cannot be read.
    """
    pack, keys = run / "pack.zip", run / "auditor-keys.toml"
    pack_run(run, pack, say=say)
    keys.write_text(auditor_keys_of(run).to_toml(), encoding="utf-8")
    if say:
        out.print(f"Verify it: stillroom verify {pack} --keys {keys}", soft_wrap=True)


def keys_of(run: Path) -> PackKeys:
    """Return the keys that a run's folder has: the coordinator's, and those of regions in it.

    Raises:
        PackSourceError: If the coordinator's key is not there or is none.
        PrivacyError: If the plan cannot be read.
    """
    plan = Plan.from_bytes(_bytes(run / "plan.json"))
    operator = _key(run / "server" / "identity.key")
    if operator is None:
        raise PackSourceError(
            f"expected the coordinator's key in {run / 'server'}, got none: a pack is signed by "
            "whoever ran the rounds"
        )
    regions = tuple(
        RegionKey(name, region_uid(name), _key(run / "regions" / name / "ledger.key"))
        for name in plan.cohort
    )
    return PackKeys(operator, regions)


def auditor_keys_of(run: Path) -> AuditorKeys:
    """Return what an auditor of this run must be given, by another way than the pack.

    Raises:
        PackSourceError: If the registry is not there.
        ProtocolError: If it is none.
    """
    return AuditorKeys.of_registry(Registry.from_bytes(_bytes(run / "server" / "registry.bin")))


def write_auditor_keys(run: Path, path: Path) -> None:
    """Write ``auditor_keys_of`` a run to a file, and say what it is worth."""
    path.write_text(auditor_keys_of(run).to_toml(), encoding="utf-8")
    typer.echo(
        f"{path}: compare the registry's hash with what the regions agreed on; keys that come "
        "with the pack prove nothing"
    )


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise PackSourceError(
            f"expected {path}, got none: name the folder of a finished run"
        ) from error


def _key(path: Path) -> Ed25519PrivateKey | None:
    if not path.is_file():
        return None
    try:
        identity = Identity.from_private_bytes(path.read_bytes())
    except ValueError as error:
        raise PackSourceError(f"{path} is no key of 32 bytes: restore it") from error
    return Ed25519PrivateKey.from_private_bytes(identity.private_bytes())
