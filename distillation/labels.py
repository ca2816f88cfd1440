"""The region's cache of soft labels: encrypted, keyed by what made them, erasable, dated.

A soft label is personal data: it never leaves the region, and neither does anything about it.
Each record is one AES-256-GCM box under a nonce of its own; the row's key, a keyed hash of teacher,
tokenizer, template, form and text, is in the associated data, so that a box cannot be moved to
another record. A wrong key or a flipped byte is an error, never a wrong label.

Labels go in batch by batch, each batch whole or not at all, so that a run that was killed goes on
where it stopped.
"""

import hmac
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import torch
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from torch import Tensor

from distillation.errors import LabelCacheError
from distillation.top_k import TopK
from distillation.top_k_code import decode, encode

_SCHEMA = """
CREATE TABLE IF NOT EXISTS label (
    key BLOB PRIMARY KEY, record BLOB NOT NULL, expires INTEGER NOT NULL, box BLOB NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS label_record ON label (record);
"""
_NONCE = 12


@dataclass(frozen=True, slots=True)
class LabelSource:
    """What a label depends on besides the record's text; another source is another label.

    Attributes:
        teacher_sha256: Of the teacher's weights.
        tokenizer_sha256: Of its tokenizer.
        template: How a record becomes its input; empty: as it is.
        form: What is kept, as `top_k_form` names it; empty: the whole distribution.
    """

    teacher_sha256: str
    tokenizer_sha256: str
    template: str = ""
    form: str = ""


class LabelCache:
    """Soft labels of one region on disk; use it as a context manager.

    Args of the constructor:
        path: The SQLite file; made if missing, readable by its owner only.
        secret: 32 bytes that only the region holds.
        clock: Unix seconds.
        retention_s: How long a label may be kept.
    """

    def __init__(
        self, path: Path, *, secret: bytes, clock: Callable[[], int], retention_s: int
    ) -> None:
        if len(secret) != 32:
            raise LabelCacheError(f"expected a cache key of 32 bytes, got {len(secret)}")
        self._index_key = _derive(secret, b"stillroom/label-index/v1")
        self._aead = AESGCM(_derive(secret, b"stillroom/label-box/v1"))
        self._clock, self._retention_s = clock, retention_s
        try:
            path.touch(mode=0o600)
            self._db = sqlite3.connect(path)
            self._db.executescript(f"PRAGMA secure_delete = ON; {_SCHEMA}")
        except (OSError, sqlite3.DatabaseError) as error:
            raise LabelCacheError(
                f"the label cache {path.name} cannot be opened ({error}): make room on its disk, "
                "or delete the file and the labels will be computed again"
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._db.close()

    def get(self, source: LabelSource, record_id: str, text: str) -> Tensor | None:
        """Return the label of a record, (T, K), or None if there is none that is still valid.

        Raises:
            LabelCacheError: If the box does not open: wrong key, or changed bytes.
        """
        plain = self._open(source, record_id, text)
        if plain is None:
            return None
        positions = int.from_bytes(plain[:4], "big")
        values = np.frombuffer(plain, dtype="<f4", offset=4).reshape(positions, -1)
        return torch.from_numpy(values.copy())

    def put(
        self, source: LabelSource, record_ids: Sequence[str], texts: Sequence[str], labels: Tensor
    ) -> None:
        """Keep the labels (n, T, K) of n records, all or none.

        Raises:
            LabelCacheError: If they cannot be written: the disk is full, for one.
        """
        plains = [len(x).to_bytes(4, "big") + x.numpy().astype("<f4").tobytes() for x in labels]
        self._keep(source, record_ids, texts, plains)

    def get_top_k(self, source: LabelSource, record_id: str, text: str) -> TopK | None:
        """Return the top-k labels (T, k) of a record, or None if none are still valid.

        Raises:
            LabelCacheError: If the box does not open: wrong key, or changed bytes.
        """
        plain = self._open(source, record_id, text)
        return None if plain is None else decode(plain)

    def put_top_k(
        self,
        source: LabelSource,
        record_ids: Sequence[str],
        texts: Sequence[str],
        labels: Sequence[TopK],
    ) -> None:
        """Keep the top-k labels, each (T, k) with a T of its own, of n records, all or none.

        Raises:
            LabelCacheError: If they cannot be written: the disk is full, for one.
        """
        self._keep(source, record_ids, texts, [encode(label) for label in labels])

    def erase(self, record_id: str) -> int:
        """Delete every label of a record, of any teacher; return how many there were."""
        with self._changing():
            done = self._db.execute(
                "DELETE FROM label WHERE record = ?", (self._record(record_id),)
            )
        return done.rowcount

    def erase_expired(self) -> int:
        """Delete what is past its retention date; return how many there were."""
        with self._changing():
            done = self._db.execute("DELETE FROM label WHERE expires <= ?", (self._clock(),))
        return done.rowcount

    def _open(self, source: LabelSource, record_id: str, text: str) -> bytes | None:
        key = self._key(source, record_id, text)
        try:
            rows = self._db.execute("SELECT expires, box FROM label WHERE key = ?", (key,))
            row = rows.fetchone()
        except sqlite3.DatabaseError as error:
            raise LabelCacheError(
                f"the label cache cannot be read ({error}): delete the file, the labels will be "
                "computed again"
            ) from error
        if row is None or row[0] <= self._clock():
            return None
        box: bytes = row[1]
        try:
            return self._aead.decrypt(box[:_NONCE], box[_NONCE:], key + row[0].to_bytes(8, "big"))
        except (InvalidTag, ValueError):
            raise LabelCacheError(
                "a cached label does not open with this region's key: the file was changed or "
                "belongs to another region; delete it and the labels will be computed again"
            ) from None

    def _keep(
        self,
        source: LabelSource,
        record_ids: Sequence[str],
        texts: Sequence[str],
        plains: Sequence[bytes],
    ) -> None:
        expires = self._clock() + self._retention_s
        rows = []
        for record_id, text, plain in zip(record_ids, texts, plains, strict=True):
            key = self._key(source, record_id, text)
            nonce = os.urandom(_NONCE)
            box = nonce + self._aead.encrypt(nonce, plain, key + expires.to_bytes(8, "big"))
            rows.append((key, self._record(record_id), expires, box))
        with self._changing():
            self._db.executemany("INSERT OR REPLACE INTO label VALUES (?, ?, ?, ?)", rows)

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Change the file, all or nothing."""
        try:
            with self._db:
                yield
        except sqlite3.DatabaseError as error:
            raise LabelCacheError(
                f"the label cache cannot be written ({error}): is its disk full? What was kept "
                "before is still there; make room and start again"
            ) from error

    def _key(self, source: LabelSource, record_id: str, text: str) -> bytes:
        parts = [source.teacher_sha256, source.tokenizer_sha256, source.template, record_id, text]
        if source.form:  # a sixth part; five are what whole distributions have always had
            parts.append(source.form)
        framed = b"".join(len(p.encode()).to_bytes(8, "big") + p.encode() for p in parts)
        return hmac.digest(self._index_key, framed, sha256)

    def _record(self, record_id: str) -> bytes:
        return hmac.digest(self._index_key, b"record" + record_id.encode(), sha256)


def _derive(secret: bytes, label: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=label).derive(secret)


def top_k_form(*, k: int, temperature: float) -> str:
    """Return what a `LabelSource` calls top-k labels at a temperature."""
    return f"top-{k} at temperature {float(temperature)!r}"
