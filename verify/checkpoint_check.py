"""Do the ledgers hold what checkpoints of them say, those that others kept too?

A checkpoint is looked for where a run leaves one: in the region's folder (``checkpoint.note``,
``cosigned.note``) and in the coordinator's (``server/witness``). One that its region's ledger key
signed binds the region: a ledger that does not begin with those entries was cut off, rewritten or
exchanged afterwards. One that the key did not sign says nothing, and is a finding of its own.

An auditor who was sent a checkpoint earlier puts it beside the ledger as ``cosigned.note``; who
wrote the folder could have removed it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from privacy.cosignatures import ledger_origin
from privacy.errors import MalformedDocumentError
from privacy.notes import Checkpoint, open_note
from privacy.tree import leaf_hash, root
from protocol.errors import ProtocolError
from protocol.identity import Registry, region_uid

_OWN = ("checkpoint.note", "cosigned.note")


def checkpoint_differences(
    folder: Path, region: str, bodies: Sequence[bytes], registry: Registry
) -> Iterator[str]:
    """Yield what a checkpoint says otherwise than the ledger.

    Args:
        folder: The run's folder.
        region: Whose ledger.
        bodies: Its entries.
        registry: Says which key signs the region's checkpoints.
    """
    uid = region_uid(region)
    try:
        key = registry.record(uid).ledger_key
    except ProtocolError:
        yield f"the registry has no region {region}: nobody is bound by its checkpoints"
        return
    leaves = [leaf_hash(body) for body in bodies]
    for path in checkpoints_of(folder, region):
        try:
            text = open_note(path.read_bytes(), name=ledger_origin(uid), public_key=key)
            said = Checkpoint.from_text(text)
        except MalformedDocumentError as error:
            yield f"{path.name} is no checkpoint of this region: {error}"
            continue
        if said.size > len(leaves):
            yield (
                f"{path.name} says {said.size} entries, the ledger has {len(leaves)}: its end was "
                "cut off"
            )
        elif root(leaves[: said.size]) != said.root:
            yield (
                f"the first {said.size} entries are not those of {path.name}: the ledger was "
                "rewritten, or it is another one"
            )


def checkpoints_of(folder: Path, region: str) -> Iterator[Path]:
    """Yield where the run's folder holds checkpoints of a region's ledger."""
    own = [folder / "regions" / region / name for name in _OWN]
    for path in (*own, folder / "server" / "witness" / f"{region_uid(region).hex()}.note"):
        if path.is_file():
            yield path
