"""The cache gives back the label that was put, or nothing, or an error — never another label."""

import signal
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest
import torch

from distillation.errors import LabelCacheError
from distillation.label_stream import stream_labels
from distillation.labels import LabelCache, LabelSource, top_k_form
from distillation.top_k import TopK

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
        (LabelSource("teacher", "tokenizer", form="top-50"), "r1", "one"),
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


def _top_k(rows: int, *, seed: int = 0) -> list[TopK]:
    """Return labels of records with 1, 2, 3, … tokens."""
    generator = torch.Generator().manual_seed(seed)
    return [
        TopK.of(torch.randn(row + 1, 300, generator=generator).log_softmax(-1), k=8)
        for row in range(rows)
    ]


_TOKENS = LabelSource("teacher", "tokenizer", form=top_k_form(k=8, temperature=1))


def test_top_k_labels_of_records_of_any_length_come_back(tmp_path: Path) -> None:
    """Ids as they were and values within the grid, for each record's own number of tokens."""
    labels = _top_k(3)
    with _cache(tmp_path / "labels.db") as cache:
        cache.put_top_k(_TOKENS, ["r1", "r2", "r3"], ["one", "two", "three"], labels)
    with _cache(tmp_path / "labels.db") as cache:
        found = cache.get_top_k(_TOKENS, "r3", "three")
        missing = cache.get_top_k(_SOURCE, "r3", "three")

    assert missing is None
    assert found is not None
    assert torch.equal(found.ids, labels[2].ids)
    assert (found.log_probs.exp().sqrt() - labels[2].log_probs.exp().sqrt()).abs().max() < 0.01


def test_another_number_of_outcomes_or_temperature_is_another_form() -> None:
    """Labels that were kept for one k and temperature are not used for another."""
    forms = {top_k_form(k=k, temperature=t) for k in (8, 50) for t in (1, 2.0)}

    assert len(forms) == 4


def test_every_flipped_byte_of_a_box_is_refused(tmp_path: Path) -> None:
    """Wherever one bit of a box differs, it does not open."""
    path = tmp_path / "labels.db"
    with _cache(path) as cache:
        cache.put_top_k(_TOKENS, ["r1"], ["one"], _top_k(1))
    database = sqlite3.connect(path)
    (box,) = database.execute("SELECT box FROM label").fetchone()
    with _cache(path) as cache:
        for place in range(len(box)):
            spoilt = box[:place] + bytes([box[place] ^ 1]) + box[place + 1 :]
            database.execute("UPDATE label SET box = ?", (spoilt,))
            database.commit()
            with pytest.raises(LabelCacheError, match="does not open"):
                cache.get_top_k(_TOKENS, "r1", "one")
    database.close()


def test_a_full_disk_is_an_error_and_what_was_kept_stays(tmp_path: Path) -> None:
    """SQLite refuses the page that does not fit; the batch is not there, those before are."""
    path = tmp_path / "labels.db"
    _filled(path)
    with _cache(path) as cache:
        pages = cache._db.execute("PRAGMA page_count").fetchone()[0]
        cache._db.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(LabelCacheError, match="full"):
            cache.put(_SOURCE, ["r4", "r5"], ["four", "five"], torch.zeros(2, 50, 500))

        assert cache.get(_SOURCE, "r4", "four") is None
        assert cache.get(_SOURCE, "r1", "one") is not None


def test_a_cache_that_can_not_be_written_is_an_error(tmp_path: Path) -> None:
    """A file that another process has locked, or that lost its table, is not passed over."""
    path = tmp_path / "labels.db"
    _filled(path)
    with _cache(path) as cache:
        database = sqlite3.connect(path)
        database.execute("DROP TABLE label")
        database.commit()
        database.close()
        with pytest.raises(LabelCacheError, match="written"):
            cache.put(_SOURCE, ["r4"], ["four"], torch.zeros(1, 1, 5))
        with pytest.raises(LabelCacheError, match="written"):
            cache.erase("r1")
        with pytest.raises(LabelCacheError, match="read"):
            cache.get(_SOURCE, "r1", "one")


def _stream(cache: LabelCache, asked: list[int], *, stop_at: int | None = None) -> list[TopK]:
    """Ask for the labels of seven records, three at a time."""
    labels = _top_k(7)

    def answer(rows: Sequence[int]) -> list[TopK]:
        if stop_at in rows:
            raise KeyboardInterrupt
        asked.extend(rows)
        return [labels[row] for row in rows]

    return stream_labels(
        [f"r{row}" for row in range(7)],
        [f"text {row}" for row in range(7)],
        get=partial(cache.get_top_k, _TOKENS),
        put=partial(cache.put_top_k, _TOKENS),
        answer=answer,
        batch=3,
    )


def test_a_run_that_stopped_goes_on_where_it_was(tmp_path: Path) -> None:
    """Batches before the stop are not asked for again; in the end every record has its label."""
    first: list[int] = []
    with _cache(tmp_path / "labels.db") as cache, pytest.raises(KeyboardInterrupt):
        _stream(cache, first, stop_at=4)
    second: list[int] = []
    with _cache(tmp_path / "labels.db") as cache:
        found = _stream(cache, second)
    third: list[int] = []
    with _cache(tmp_path / "labels.db") as cache:
        again = _stream(cache, third)

    assert (first, second, third) == ([0, 1, 2], [3, 4, 5, 6], [])
    assert [len(label) for label in found] == [1, 2, 3, 4, 5, 6, 7]
    assert all(torch.equal(a.ids, b.ids) for a, b in zip(found, again, strict=True))


def test_a_teacher_that_answers_too_few_is_refused(tmp_path: Path) -> None:
    """A missing answer would shift every later label to another record: nothing is kept."""
    with _cache(tmp_path / "labels.db") as cache:
        with pytest.raises(LabelCacheError, match="expected 2 labels"):
            stream_labels(
                ["r1", "r2"],
                ["one", "two"],
                get=partial(cache.get_top_k, _TOKENS),
                put=partial(cache.put_top_k, _TOKENS),
                answer=lambda rows: _top_k(1),
                batch=2,
            )
        assert cache.get_top_k(_TOKENS, "r1", "one") is None


_WRITER = """
import sys
from pathlib import Path
import torch
from distillation.labels import LabelCache, LabelSource

path, source = Path(sys.argv[1]), LabelSource("teacher", "tokenizer")
with LabelCache(path, secret=bytes(range(32)), clock=lambda: 1000, retention_s=100) as cache:
    for batch in range(100_000):
        ids = [f"{batch}-{row}" for row in range(20)]
        cache.put(source, ids, ids, torch.full((20, 8, 100), float(batch)))
        print(batch, flush=True)
"""


@pytest.mark.slow
def test_a_writer_that_is_killed_leaves_whole_batches(tmp_path: Path) -> None:
    """SIGKILL in the middle of writing: every batch that was confirmed is there, whole."""
    path = tmp_path / "labels.db"
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(path)], cwd=root, stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        confirmed = [int(writer.stdout.readline()) for _ in range(25)][-1]
        writer.send_signal(signal.SIGKILL)
        rest = writer.stdout.read().split()
    confirmed = int(rest[-1]) if rest else confirmed
    with _cache(path) as cache:
        for batch in range(confirmed + 3):
            names = [f"{batch}-{row}" for row in range(20)]
            found = [cache.get(_SOURCE, name, name) for name in names]
            kept = [label for label in found if label is not None]

            assert len(kept) in ((20,) if batch <= confirmed else (0, 20))
            assert all(torch.equal(label, torch.full((8, 100), float(batch))) for label in kept)
        assert cache._db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
