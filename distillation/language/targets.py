"""What a language student is asked to match at each position: the next token, top-k soft labels.

Position t predicts the token at t + 1. All records are padded to one public length, so that no
record's shape depends on its neighbours.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from distillation.errors import TrainingError
from distillation.language.text import counts_of
from distillation.objectives.values import UNLABELLED
from distillation.tokens import Tokens
from distillation.top_k import TokenTargets, TopK


def token_targets(tokens: Tokens, labels: Sequence[TopK] | None, *, length: int) -> TokenTargets:
    """Return the targets of n records, (n, length).

    Args:
        tokens: Of the n records.
        labels: The teacher's, each (T, k) for a record of T tokens; None for objectives of the
            text alone, which never read them.
        length: The public length, at least that of the longest record.

    Raises:
        TrainingError: If there are not as many labels as tokens, or a record is longer.
    """
    sizes = [len(ids) for ids in tokens.ids]
    if max(sizes) > length:
        raise TrainingError(f"expected records of at most {length} tokens, got {max(sizes)}")
    reference, mask = _next_tokens(tokens, length)
    if labels is None:
        return TokenTargets(_no_labels(mask), reference, mask)
    if [len(label.ids) for label in labels] != sizes:
        raise TrainingError(
            "expected one label for every token of every record, got labels of other records"
        )
    return TokenTargets(stack_labels(labels, length=length), reference, mask)


def stack_labels(labels: Sequence[TopK], *, length: int) -> TopK:
    """Return the labels of n records as (n, length, k).

    Padding is a distribution too: its first k outcomes are certain to be the first.

    Raises:
        TrainingError: If they differ in k or temperature.
    """
    kinds = {(label.ids.shape[-1], label.temperature) for label in labels}
    if len(kinds) != 1:
        raise TrainingError(f"expected labels of one k and temperature, got {sorted(kinds)}")
    ((k, temperature),) = kinds
    ids = torch.arange(k).expand(len(labels), length, k).clone()
    log_probs = torch.full((len(labels), length, k), -torch.inf)
    log_probs[..., 0] = 0.0
    log_tail = torch.full((len(labels), length), -torch.inf)
    for row, label in enumerate(labels):
        own = slice(0, len(label.ids))
        ids[row, own], log_probs[row, own] = label.ids, label.log_probs
        log_tail[row, own] = label.log_tail
    return TopK(ids, log_probs, log_tail, temperature)


def _next_tokens(tokens: Tokens, length: int) -> tuple[Tensor, Tensor]:
    reference = torch.full((len(tokens), length), UNLABELLED)
    mask = torch.zeros(len(tokens), length, dtype=torch.bool)
    pairs = zip(tokens.ids, counts_of(tokens), strict=True)
    for row, (ids, counts) in enumerate(pairs):
        counted = torch.tensor(counts[1:], dtype=torch.bool)
        mask[row, : len(counted)] = counted
        following = torch.tensor(ids[1:], dtype=torch.int64)
        reference[row, : len(counted)] = torch.where(counted, following, UNLABELLED)
    return reference, mask


def _no_labels(mask: Tensor) -> TopK:
    shape = (*mask.shape, 1)
    zeros = torch.zeros(shape)
    return TopK(zeros.long(), zeros, torch.full(mask.shape, -torch.inf))
