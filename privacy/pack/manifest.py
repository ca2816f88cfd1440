"""The manifest: every file of a pack with its hashes, and who signed that this is all.

``MANIFEST`` has one line a file, with SHA-256, size and name, below the format and the hash of all
entries as they stand in the archive: deflating has many spellings, and a pack has one.

    stillroom-pack/1
    archive 5d1f…
    9b0c… 1789 plan.json

``MANIFEST.note`` is a signed note (C2SP signed-note) over the manifest's hash, with a line of the
operator and one of each region. Nobody's signature says that the contents are true; it says who
cannot take them back.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from privacy.errors import PrivacyError
from privacy.notes import open_note, read_note, sign_note
from privacy.pack import layout
from privacy.pack.container import Digest
from privacy.pack.errors import PackRefusedError

FORMAT = "stillroom-pack/1"
OPERATOR = "stillroom/pack/operator"
_HEAD = "stillroom/pack/v1"
_ARCHIVE = re.compile(r"archive ([0-9a-f]{64})")
_ROW = re.compile(r"([0-9a-f]{64}) ([0-9]{1,10}) ([!-~]{1,240})")


@dataclass(frozen=True, slots=True)
class Signer:
    """Who signs a manifest.

    Attributes:
        name: As the note has it: ``OPERATOR``, or ``region_signer`` of a region.
        key: Its private key.
    """

    name: str
    key: Ed25519PrivateKey


def region_signer(uid: bytes) -> str:
    """Return what a note calls a region, 16 bytes, that signs a pack."""
    return f"stillroom/pack/region/{uid.hex()}"


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a pack holds.

    Attributes:
        archive: ``archive_hash`` of all entries but the manifest and its note.
        files: Size and hash of each, by name.
    """

    archive: str
    files: Mapping[str, Digest]

    def to_bytes(self) -> bytes:
        """Return the lines, in the order of the names."""
        lines = [FORMAT, f"archive {self.archive}"]
        lines += [f"{one.sha256} {one.size} {path}" for path, one in sorted(self.files.items())]
        return "".join(f"{line}\n" for line in lines).encode("ascii")

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read the lines.

        Raises:
            PackRefusedError: For any other bytes, also another spelling of the same.
        """
        head, *rows = data.decode("ascii", errors="replace").split("\n")[:-1] or [""]
        if head != FORMAT:
            raise PackRefusedError(f"expected a pack of the format {FORMAT}, got {head[:40]!r}")
        archive = _ARCHIVE.fullmatch(rows[0]) if rows else None
        found = [_ROW.fullmatch(row) for row in rows[1:]]
        files = {row[3]: Digest(int(row[2]), row[1]) for row in found if row}
        if archive is None:
            raise PackRefusedError("expected the archive's hash in the second line of MANIFEST")
        manifest = cls(archive[1], files)
        if manifest.to_bytes() != data:
            raise PackRefusedError(
                "expected hash, size and name of each file once in MANIFEST, in order"
            )
        return manifest


def sign_manifest(manifest: bytes, signers: Sequence[Signer], *, earlier: bytes = b"") -> bytes:
    """Return the note over a manifest with these signatures.

    Args:
        manifest: The manifest's bytes.
        signers: Who signs, each once.
        earlier: A note over the same manifest whose signatures are kept; empty for a new one.

    Raises:
        PackRefusedError: If ``earlier`` is over something else.
    """
    text = _text(manifest)
    lines = {name: line for name, line in _lines(earlier, text)} if earlier else {}
    for signer in signers:
        note = sign_note(text, name=signer.name, key=signer.key)
        lines[signer.name] = note[len(text.encode()) + 1 :]
    return text.encode() + b"\n" + b"".join(line for _, line in sorted(lines.items()))


def signers_of(manifest: bytes, note: bytes, keys: Mapping[str, bytes]) -> frozenset[str]:
    """Return who signed a manifest, of those whose keys are given.

    Guarantees: every line of the note is a good signature of one of them, in its one spelling and
    in order; so no byte of the note can be another.

    Args:
        manifest: The manifest's bytes.
        note: ``MANIFEST.note``.
        keys: Public keys, 32 bytes, by the name that signs.

    Raises:
        PackRefusedError: If the note is over another manifest, or has any other line.
    """
    text = _text(manifest)
    lines = _lines(note, text)
    names = [name for name, _ in lines]
    if names != sorted(set(names)):
        raise PackRefusedError("expected each signature of MANIFEST once, in order")
    for name, line in lines:
        if name not in keys:
            raise PackRefusedError(
                f"MANIFEST is signed by {name[:80]!r}, whose key was not given to this check"
            )
        _check_line(text, line, name=name, public_key=keys[name])
    return frozenset(names)


def _check_line(text: str, line: bytes, *, name: str, public_key: bytes) -> None:
    note = text.encode() + b"\n" + line
    try:
        open_note(note, name=name, public_key=public_key)
        (signature,) = read_note(note)[1]
    except (PrivacyError, ValueError) as error:
        raise PackRefusedError(
            f"the signature of {name} below MANIFEST is not good: the pack was changed after it "
            "was signed, or somebody else signed it"
        ) from error
    if signature.to_line().encode() != line:
        raise PackRefusedError(f"the signature of {name} has another spelling than it was given")


def _lines(note: bytes, text: str) -> list[tuple[str, bytes]]:
    """Take a note apart: who each line is of, and the line."""
    head = text.encode() + b"\n"
    if not note.startswith(head) or not note.endswith(b"\n"):
        raise PackRefusedError(
            f"{layout.SIGNATURES} is not over this MANIFEST: one of them was changed or exchanged"
        )
    found = []
    for line in note[len(head) :].splitlines(keepends=True):
        words = line.decode(errors="replace").split(" ")
        found.append((words[1] if len(words) == 3 else "", line))
    return found


def _text(manifest: bytes) -> str:
    return f"{_HEAD}\n{len(manifest)}\n{hashlib.sha256(manifest).hexdigest()}\n"
