"""Texts as token ids, and batches whose shape depends on one record at a time.

A soft label must be bit-identical whatever else is in the batch: else one record moves the labels
of its neighbours and the clip norm bounds nothing. Kernels may sum in another order for another
shape, so a record always meets the same shape: a fixed number of rows, and a length that is the
smallest bucket its own tokens fit in. Rows that are missing are filled with padding.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from distillation.errors import RecordsError

_BUCKETS = (8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
LONGEST = _BUCKETS[-1]
"""Tokens of the longest record that any shape holds."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """The token ids of n texts, each with its special tokens.

    Attributes:
        ids: One tuple of ids a text.
        padding: The id that fills a row.
    """

    ids: tuple[tuple[int, ...], ...]
    padding: int

    def __len__(self) -> int:
        return len(self.ids)

    def rows(self, rows: Sequence[int]) -> "Tokens":
        """Return the tokens of these records."""
        return Tokens(tuple(self.ids[row] for row in rows), self.padding)


@dataclass(frozen=True, slots=True)
class Batch:
    """Up to B records in one fixed shape.

    Attributes:
        rows: Which records they are, (b,) with b ≤ B; the remaining rows are padding.
        input_ids: (B, L), int64.
        attention_mask: (B, L), int64, 1 for tokens.
    """

    rows: Tensor
    input_ids: Tensor
    attention_mask: Tensor


def tokenize(
    texts: Sequence[str], tokenizer: PreTrainedTokenizerBase, *, max_tokens: int
) -> Tokens:
    """Turn texts into ids; nothing is cut off silently.

    Raises:
        RecordsError: If a text has no token, or more than ``max_tokens``; names rows, never text.
    """
    encoded = tokenizer(list(texts), add_special_tokens=True, truncation=False)["input_ids"]
    long = [row + 1 for row, ids in enumerate(encoded) if len(ids) > max_tokens]
    if long:
        raise RecordsError(
            f"expected texts of at most {max_tokens} tokens, but {len(long)} are longer (rows "
            f"{', '.join(map(str, long[:5]))}{', …' if len(long) > 5 else ''}): raise "
            "teacher.max_tokens in the study, or shorten these texts"
        )
    empty = [row + 1 for row, ids in enumerate(encoded) if not len(ids)]
    if empty:
        raise RecordsError(
            f"the teacher's tokenizer finds nothing to read in {len(empty)} texts (rows "
            f"{', '.join(map(str, empty[:5]))}{', …' if len(empty) > 5 else ''}): fill these "
            "cells or remove the rows"
        )
    return Tokens(tuple(tuple(ids) for ids in encoded), int(tokenizer.pad_token_id or 0))


def fixed_batches(tokens: Tokens, *, size: int) -> Iterator[Batch]:
    """Yield all records in batches of ``size`` rows, shortest bucket first."""
    by_bucket: dict[int, list[int]] = {}
    for row, ids in enumerate(tokens.ids):
        by_bucket.setdefault(padded_length(len(ids)), []).append(row)
    for length in sorted(by_bucket):
        rows = by_bucket[length]
        for start in range(0, len(rows), size):
            yield _batch(tokens, rows[start : start + size], size, length)


def padded_batch(tokens: Tokens, rows: Sequence[int]) -> Batch:
    """Return these records in one batch as long as the longest; for public training only."""
    length = max(len(tokens.ids[row]) for row in rows)
    return _batch(tokens, rows, len(rows), length)


def padded_length(length: int) -> int:
    """Return the length to which a record of so many tokens is padded.

    Raises:
        RecordsError: If it is longer than any shape.
    """
    for bucket in _BUCKETS:
        if length <= bucket:
            return bucket
    raise RecordsError(f"expected at most {_BUCKETS[-1]} tokens in a text, got {length}")


def _batch(tokens: Tokens, rows: Sequence[int], size: int, length: int) -> Batch:
    input_ids = torch.full((size, length), tokens.padding, dtype=torch.int64)
    mask = torch.zeros(size, length, dtype=torch.int64)
    mask[len(rows) :, 0] = 1  # a row without any token would divide by zero
    for place, row in enumerate(rows):
        ids = tokens.ids[row]
        input_ids[place, : len(ids)] = torch.tensor(ids)
        mask[place, : len(ids)] = 1
    return Batch(torch.tensor(rows, dtype=torch.int64), input_ids, mask)
