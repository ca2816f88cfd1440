"""Packs made again by somebody who holds some of the keys."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Mapping
from pathlib import Path

from privacy.pack import layout
from privacy.pack.container import Container, Digest, Stored, archive_hash, write_container
from privacy.pack.manifest import OPERATOR, Manifest, Signer, region_signer, sign_manifest
from privacy.pack.records import STORED
from tests.verify.made_run import MadeRun

Edit = Callable[[dict[str, bytes]], None]


def contents(pack: Path) -> dict[str, bytes]:
    """Return every file of a pack but its manifest and note."""
    with Container.open(pack) as container:
        own = (layout.MANIFEST, layout.SIGNATURES)
        return {path: container.read(path) for path in container.items if path not in own}


def resigned(files: Mapping[str, bytes], run: MadeRun, *, regions: tuple[str, ...]) -> bytes:
    """Return a pack of these files, signed by the operator and some regions."""
    stored = {path: Stored.of(data) for path, data in files.items()}
    listed = {p: Digest(len(d), hashlib.sha256(d).hexdigest()) for p, d in files.items()}
    manifest = Manifest(archive_hash(stored), listed).to_bytes()
    signers = [Signer(OPERATOR, run.pack_keys.operator)]
    signers += [Signer(region_signer(run.region(n).uid), run.region(n).key) for n in regions]
    note = sign_manifest(manifest, signers)
    return zipped({**stored, **_own(manifest, note)})


def unsigned_change(pack: Path, edit: Edit) -> bytes:
    """Return a pack whose files were changed below the old manifest and signatures."""
    with Container.open(pack) as container:
        manifest = container.read(layout.MANIFEST)
        note = container.read(layout.SIGNATURES)
    files = contents(pack)
    edit(files)
    stored = {path: Stored.of(data) for path, data in files.items()}
    return zipped({**stored, **_own(manifest, note)})


def zipped(files: Mapping[str, Stored]) -> bytes:
    """Return the container of these entries."""
    file = io.BytesIO()
    write_container(file, files)
    return file.getvalue()


def _own(manifest: bytes, note: bytes) -> dict[str, Stored]:
    return {
        layout.MANIFEST: Stored.of(manifest, method=STORED),
        layout.SIGNATURES: Stored.of(note, method=STORED),
    }
