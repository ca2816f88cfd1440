"""Rounds side by side: their messages as archives within the archive.

A round's transcript and receipts are small and much like those of the round before: the same
configuration, the checkpoints that were new then. An archive deflates each entry by itself and
sees none of that, and every entry costs two records and a line of the manifest. So the messages of
many rounds stand, stored, in one inner container of the same strict form, and the outer one
deflates it whole. Unpacked where the pack was, an inner archive gives the files as a run has them.

Stored, because a block that is inflated may then be no larger than its own record says.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from itertools import groupby

from privacy.pack.container import Container, Stored, write_container
from privacy.pack.errors import PackRefusedError
from privacy.pack.records import STORED

BLOCK_BYTES = 1 << 23  # what a verifier holds in memory at once; deflate looks back 32 kB
_MESSAGES = re.compile(r"(rounds/[0-9]{5})\.(?:transcript|receipts)")
_BLOCK = re.compile(r"rounds-[0-9]{5}\.zip")


def in_blocks(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the files of a pack with the messages of rounds in blocks, the others as they are.

    The same files give the same blocks.
    """
    found = {path: data for path, data in files.items() if not _MESSAGES.fullmatch(path)}
    block: dict[str, bytes] = {}
    for one in _rounds(files):
        if block and _size(block) + _size(one) > BLOCK_BYTES:
            found |= _closed(block)
            block = {}
        block |= one
    return found | _closed(block)


def blocks_of(container: Container) -> Iterator[str]:
    """Yield the names of a pack's blocks, ascending."""
    return (path for path in container.items if _BLOCK.fullmatch(path))


def open_block(container: Container, path: str) -> Container:
    """Open one block of a pack.

    Raises:
        PackRefusedError: If it is not the one container of the messages of rounds, stored, and
            called after the first of them.
    """
    inner = Container.of(container.read(path))
    for item in inner.items.values():
        if item.method != STORED or not _MESSAGES.fullmatch(item.path):
            raise PackRefusedError(
                f"expected only messages of rounds in {path}, stored, got {item.path}"
            )
    first = next(iter(inner.items), "")
    if path != _name(first):
        raise PackRefusedError(
            f"expected {path} to begin with the round that it is called after, got "
            f"{first or 'nothing'}"
        )
    return inner


def _rounds(files: Mapping[str, bytes]) -> Iterator[dict[str, bytes]]:
    """Yield the messages of one round after the other."""
    paths = sorted(path for path in files if _MESSAGES.fullmatch(path))
    for _, group in groupby(paths, key=lambda path: path.partition(".")[0]):
        yield {path: files[path] for path in group}


def _closed(block: Mapping[str, bytes]) -> dict[str, bytes]:
    if not block:
        return {}
    file = io.BytesIO()
    write_container(file, {path: Stored.of(data, method=STORED) for path, data in block.items()})
    return {_name(min(block)): file.getvalue()}


def _name(path: str) -> str:
    return f"{path.partition('.')[0].replace('/', '-')}.zip"


def _size(files: Mapping[str, bytes]) -> int:
    return sum(map(len, files.values()))
