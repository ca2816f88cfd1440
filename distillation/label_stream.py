"""Labels for many records: what is in the cache is not asked again, what is new is kept at once.

The teacher answers a batch at a time and each batch is written before the next is asked for, so
that a run that stops loses one batch at most. Which records share a batch changes no answer: that
is the teacher's guarantee (see `batch_independence`), without which this would not be allowed.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

from distillation.errors import LabelCacheError

Label = TypeVar("Label")


def stream_labels(
    record_ids: Sequence[str],
    texts: Sequence[str],
    *,
    get: Callable[[str, str], Label | None],
    put: Callable[[Sequence[str], Sequence[str], Sequence[Label]], None],
    answer: Callable[[Sequence[int]], Sequence[Label]],
    batch: int,
) -> list[Label]:
    """Return one label a record, in the order of the records.

    Args:
        record_ids: Of n records.
        texts: Theirs.
        get: Gives the kept label of a record (id, text), or None.
        put: Keeps the labels of some records (ids, texts, labels), all or none.
        answer: Gives the teacher's labels of some records, by their numbers.
        batch: How many are asked for at a time, >= 1.

    Raises:
        LabelCacheError: If a kept label does not open or a new one cannot be kept.
    """
    if batch < 1:
        raise LabelCacheError(f"expected batches of at least one record, got {batch}")
    found = {row: get(i, t) for row, (i, t) in enumerate(zip(record_ids, texts, strict=True))}
    labels = {row: label for row, label in found.items() if label is not None}
    missing = [row for row in found if row not in labels]
    for start in range(0, len(missing), batch):
        rows = missing[start : start + batch]
        new = answer(rows)
        if len(new) != len(rows):
            raise LabelCacheError(
                f"expected {len(rows)} labels of the teacher, got {len(new)}: nothing was kept"
            )
        put([record_ids[row] for row in rows], [texts[row] for row in rows], new)
        labels.update(zip(rows, new, strict=True))
    return [labels[row] for row in range(len(record_ids))]
