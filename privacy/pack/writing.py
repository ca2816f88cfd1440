"""From a run's folder to a pack, and one more signature below one.

The same folder, keys and zlib give the same bytes: nothing in a pack says when it was made or on
which machine. A region signs what it can stand for, so a pack is whole when each has signed it;
where the regions' keys are elsewhere, the operator writes it and each adds its line.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from privacy.cosignatures import ledger_origin
from privacy.notes import Checkpoint, sign_note
from privacy.pack import layout
from privacy.pack.blocks import in_blocks
from privacy.pack.bodies import read_bodies, to_lines
from privacy.pack.container import (
    Container,
    Digest,
    Stored,
    archive_hash,
    write_container,
)
from privacy.pack.errors import PackSourceError
from privacy.pack.gathering import Sums, gather
from privacy.pack.manifest import (
    OPERATOR,
    Manifest,
    Signer,
    region_signer,
    sign_manifest,
)
from privacy.pack.records import STORED
from privacy.tree import leaf_hash, root


@dataclass(frozen=True, slots=True)
class RegionKey:
    """A region as a pack needs it.

    Attributes:
        name: The region.
        uid: Its 16 bytes on the wire.
        key: Its ledger's key; None where the region adds its signature itself.
    """

    name: str
    uid: bytes
    key: Ed25519PrivateKey | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class PackKeys:
    """Whose pack it is and who signs it.

    Attributes:
        operator: The coordinator's signing key.
        regions: Every region of the run.
    """

    operator: Ed25519PrivateKey = field(repr=False)
    regions: tuple[RegionKey, ...]


@dataclass(frozen=True, slots=True)
class Packed:
    """What was written.

    Attributes:
        files: How many files, manifest and signatures included.
        size_bytes: Of the pack.
        unsigned: Regions whose signature is still to be added.
    """

    files: int
    size_bytes: int
    unsigned: tuple[str, ...]


def write_pack(run: Path, out: Path, keys: PackKeys, *, sums: Sums = Sums.HASHES) -> Packed:
    """Write the pack of a run.

    Args:
        run: The run's folder.
        out: The file; it is there whole or not at all.
        keys: Who signs.
        sums: Whether the words of the sums are in it.

    Raises:
        PackSourceError: If something that every pack has is not in the folder.
        PrivacyError: If a ledger cannot be read.
        OSError: If a file cannot be read or written.
    """
    gathered = dict(gather(run, sums=sums))
    for region in keys.regions:
        gathered |= _ledger(run / "regions" / region.name, region)
    contents = in_blocks(gathered)
    signers = [Signer(OPERATOR, keys.operator)]
    signers += [Signer(region_signer(one.uid), one.key) for one in keys.regions if one.key]
    files = {path: Stored.of(data) for path, data in contents.items()}
    listed = {
        path: Digest(len(data), hashlib.sha256(data).hexdigest()) for path, data in contents.items()
    }
    manifest = Manifest(archive_hash(files), listed).to_bytes()
    _save(out, manifest, sign_manifest(manifest, signers), files)
    unsigned = tuple(one.name for one in keys.regions if one.key is None)
    return Packed(len(files) + 2, out.stat().st_size, unsigned)


def countersign(pack: Path, out: Path, signers: Sequence[Signer]) -> None:
    """Write a pack again with more signatures below its manifest.

    Whoever signs has checked the pack (``stillroom verify``): the line says that this is all.

    Raises:
        PackRefusedError: If it is no pack.
        OSError: If a file cannot be read or written.
    """
    with Container.open(pack) as container:
        manifest = container.read(layout.MANIFEST, most=layout.MAX_MANIFEST_BYTES)
        earlier = container.read(layout.SIGNATURES, most=layout.MAX_MANIFEST_BYTES)
        own = (layout.MANIFEST, layout.SIGNATURES)
        files = {path: container.stored(path) for path in container.items if path not in own}
    _save(out, manifest, sign_manifest(manifest, signers, earlier=earlier), files)


def _ledger(folder: Path, region: RegionKey) -> dict[str, bytes]:
    """Return a region's entries with a checkpoint of them, and what else its folder has."""
    bodies = read_bodies(folder)
    if not bodies:
        raise PackSourceError(
            f"expected the ledger of {region.name} in {folder}, got none; ask the region for it"
        )
    found = {
        layout.ledger_path(region.name): to_lines(bodies),
        layout.checkpoint_path(region.name): _checkpoint(folder, region, bodies),
    }
    cosigned, approval = folder / "cosigned.note", folder / "plan.signature"
    if cosigned.is_file():
        found[layout.cosigned_path(region.name)] = cosigned.read_bytes()
    if approval.is_file():
        found[layout.approval_path(region.name)] = approval.read_bytes()
    return found


def _checkpoint(folder: Path, region: RegionKey, bodies: Sequence[bytes]) -> bytes:
    """Return a checkpoint of the whole ledger, or where its key is elsewhere the last signed."""
    if region.key is not None:
        origin, leaves = ledger_origin(region.uid), [leaf_hash(body) for body in bodies]
        text = Checkpoint(origin, len(leaves), root(leaves)).to_text()
        return sign_note(text, name=origin, key=region.key)
    try:
        return (folder / "checkpoint.note").read_bytes()
    except FileNotFoundError as error:
        raise PackSourceError(
            f"expected a checkpoint that {region.name} signed, or its ledger's key, got neither; "
            "ask the region for checkpoint.note"
        ) from error


def _save(out: Path, manifest: bytes, note: bytes, files: Mapping[str, Stored]) -> None:
    own = {layout.MANIFEST: manifest, layout.SIGNATURES: note}
    whole = {**files, **{path: Stored.of(data, method=STORED) for path, data in own.items()}}
    partial = out.with_name(out.name + ".partial")
    with partial.open("wb") as file:
        write_container(file, whole)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(out)
