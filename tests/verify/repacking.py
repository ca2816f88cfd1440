"""Packs made again by somebody who holds some of the keys."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Mapping
from pathlib import Path

from privacy.pack import layout
from privacy.pack.blocks import blocks_of, in_blocks, open_block
from privacy.pack.container import Container, Digest, Stored, archive_hash, write_container
from privacy.pack.manifest import OPERATOR, Manifest, Signer, region_signer, sign_manifest
from privacy.pack.records import STORED
from tests.verify.made_run import MadeRun

Edit = Callable[[dict[str, bytes]], None]


def contents(pack: Path) -> dict[str, bytes]:
    """Return every file of a pack but its manifest and note, rounds out of their blocks."""
    with Container.open(pack) as container:
        blocks = list(blocks_of(container))
        others = (layout.MANIFEST, layout.SIGNATURES, *blocks)
        found = {path: container.read(path) for path in container.items if path not in others}
        for block in blocks:
            inner = open_block(container, block)
            found |= {path: inner.read(path) for path in inner.items}
        return found


def resigned(files: Mapping[str, bytes], run: MadeRun, *, regions: tuple[str, ...]) -> bytes:
    """Return a pack of these files, signed by the operator and some regions."""
    return resigned_as_they_are(in_blocks(files), run, regions=regions)


def resigned_as_they_are(
    files: Mapping[str, bytes], run: MadeRun, *, regions: tuple[str, ...]
) -> bytes:
    """Return a pack of these files, rounds in blocks or not, signed likewise."""
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
    stored = {path: Stored.of(data) for path, data in in_blocks(files).items()}
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
