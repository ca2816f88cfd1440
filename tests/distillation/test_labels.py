"""The cache gives back the label that was put, or nothing, or an error — never another label."""

import sqlite3
from pathlib import Path

import pytest
import torch

from distillation.errors import LabelCacheError
from distillation.labels import LabelCache, LabelSource

_SOURCE = LabelSource("teacher", "tokenizer")
_KEY = bytes(range(32))


class _Clock:
    now = 1000

    def __call__(self) -> int:
        return self.now


def _cache(path: Path, *, secret: bytes = _KEY, clock: _Clock | None = None) -> LabelCache:
    return LabelCache(path, secret=secret, clock=clock or _Clock(), retention_s=100)


def _filled(path: Path) -> torch.Tensor:
    labels = torch.randn(3, 2, 5, generator=torch.Generator().manual_seed(0))
    with _cache(path) as cache:
        cache.put(_SOURCE, ["r1", "r2", "r3"], ["one", "two", "three"], labels)
    return labels


def test_a_label_comes_back_bit_by_bit(tmp_path: Path) -> None:
    """What was put is what is got, after the file was closed and opened."""
    labels = _filled(tmp_path / "labels.db")
    with _cache(tmp_path / "labels.db") as cache:
        found = cache.get(_SOURCE, "r2", "two")

    assert found is not None
    assert torch.equal(found, labels[1])


@pytest.mark.parametrize(
    ("source", "record", "text"),
    [
        (LabelSource("other teacher", "tokenizer"), "r1", "one"),
        (LabelSource("teacher", "other tokenizer"), "r1", "one"),
        (LabelSource("teacher", "tokenizer", "a template"), "r1", "one"),
        (_SOURCE, "r9", "one"),
        (_SOURCE, "r1", "another text"),
    ],
)
def test_another_source_record_or_text_has_no_label(
    tmp_path: Path, source: LabelSource, record: str, text: str
) -> None:
    """A label belongs to one teacher, tokenizer, template, record and text."""
    _filled(tmp_path / "labels.db")
    with _cache(tmp_path / "labels.db") as cache:
        assert cache.get(source, record, text) is None


def test_a_wrong_key_finds_nothing(tmp_path: Path) -> None:
    """Under another region's key there is no such record at all."""
    _filled(tmp_path / "labels.db")
    with _cache(tmp_path / "labels.db", secret=bytes(32)) as cache:
        assert cache.get(_SOURCE, "r1", "one") is None


def test_changed_and_swapped_boxes_are_refused(tmp_path: Path) -> None:
    """A flipped byte, a box of another record and an extended date do not open."""
    path = tmp_path / "labels.db"
    for spoil in (
        "UPDATE label SET box = (SELECT box FROM label WHERE rowid = 2)",
        "UPDATE label SET expires = expires + 1000",
        "UPDATE label SET box = CAST(substr(box, 1, 20) || x'00' || substr(box, 22) AS BLOB)",
        "UPDATE label SET box = x'00'",
    ):
        path.unlink(missing_ok=True)
        _filled(path)
        database = sqlite3.connect(path)
        database.execute(spoil)
        database.commit()
        database.close()
        with pytest.raises(LabelCacheError):
            _read_all(path)


def _read_all(path: Path) -> None:
    with _cache(path) as cache:
        for record, text in (("r1", "one"), ("r2", "two"), ("r3", "three")):
            cache.get(_SOURCE, record, text)


def test_labels_expire_and_can_be_erased(tmp_path: Path) -> None:
    """After its date a label is not used; erasing a record removes it from the file."""
    clock = _Clock()
    _filled(tmp_path / "labels.db")
    with _cache(tmp_path / "labels.db", clock=clock) as cache:
        assert cache.erase("r1") == 1
        assert cache.get(_SOURCE, "r1", "one") is None
        clock.now = 1100
        assert cache.get(_SOURCE, "r2", "two") is None
        assert cache.erase_expired() == 2


def test_no_text_or_label_is_readable_on_disk(tmp_path: Path) -> None:
    """Neither record ids nor texts nor label values are in the file in clear."""
    labels = _filled(tmp_path / "labels.db")
    raw = (tmp_path / "labels.db").read_bytes()

    assert b"three" not in raw
    assert labels[0].numpy().tobytes() not in raw
    assert (tmp_path / "labels.db").stat().st_mode & 0o077 == 0


def test_a_file_that_is_no_cache_is_refused(tmp_path: Path) -> None:
    """A damaged file is one clear error."""
    (tmp_path / "labels.db").write_bytes(b"not a database at all" * 100)
    with pytest.raises(LabelCacheError):
        _cache(tmp_path / "labels.db")
