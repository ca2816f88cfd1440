"""A record's top-k labels as bytes: about a quarter of what ids and floats would take.

The ids of a token rise, so their gaps are sent. Of a probability p the multiple of 1/`STEPS` next
to √p is sent, because the divergence between two close distributions is about 2 · Σ (√p − √p̂)²: a
grid that is even in √p spends its error evenly. What is read back is scaled to sum to one.

Error bound, before the scaling: each √p is off by at most half a step; where rounding would make
the teacher's choice share the first place, it goes one step up and is off by at most one and a
half. A value below the grid is read back as a quarter step, never as impossible. Labels that leave
nothing out (k ≥ K) are sent as they are, bit by bit.

Layout: kind (1 byte), positions (4), k (4), temperature (8). Kind 0: ids and log-probabilities of 4
bytes. Kind 1: the orders of the two codes (2), then for every token the level of its tail (1) and
its lowest level (1), then the codes of all gaps and of all levels above the lowest.
"""

import struct
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from distillation import golomb
from distillation.errors import LabelCacheError
from distillation.top_k import TopK

STEPS: Final = 255
_HEAD = struct.Struct(">BIId")
_EXACT, _COMPACT = 0, 1
_BELOW = 0.25  # of a step
_TOKEN = np.dtype([("tail", "u1"), ("lowest", "u1")])

_Numbers = NDArray[np.int64]


def encode(labels: TopK) -> bytes:
    """Return one record's labels (T, k) as bytes."""
    positions, k = labels.ids.shape
    exact = bool(torch.isneginf(labels.log_tail).all())
    head = _HEAD.pack(_EXACT if exact else _COMPACT, positions, k, labels.temperature)
    if exact:
        ids = labels.ids.numpy().astype("<u4").tobytes()
        return head + ids + labels.log_probs.numpy().astype("<f4").tobytes()
    gaps = np.diff(labels.ids.numpy(), axis=1, prepend=-1).reshape(-1) - 1
    levels = _levels(labels)
    tokens = np.empty(positions, _TOKEN)
    tokens["tail"] = _nearest(labels.log_tail)
    tokens["lowest"] = levels.min(axis=1)
    above = (levels - levels.min(axis=1, keepdims=True)).reshape(-1)
    orders = golomb.best_order(gaps), golomb.best_order(above)
    bits = np.concatenate([golomb.write(gaps, orders[0]), golomb.write(above, orders[1])])
    return head + bytes(orders) + tokens.tobytes() + np.packbits(bits).tobytes()


def decode(data: bytes) -> TopK:
    """Return the labels that `encode` wrote.

    Raises:
        LabelCacheError: If the bytes are not labels of this version.
    """
    try:
        kind, positions, k, temperature = _HEAD.unpack_from(data)
        if kind not in (_EXACT, _COMPACT):
            raise LabelCacheError(f"expected labels of kind 0 or 1, got {kind}: another release?")
        if kind == _EXACT:
            return _exact(data, (positions, k), temperature)
        return _compact(data, (positions, k), temperature)
    except (struct.error, ValueError, IndexError) as error:
        raise LabelCacheError(
            "expected top-k labels, got bytes that are none: were they written by another release?"
        ) from error


def _exact(data: bytes, shape: tuple[int, int], temperature: float) -> TopK:
    count = shape[0] * shape[1]
    ids = np.frombuffer(data, "<u4", count, _HEAD.size).astype(np.int64).reshape(shape)
    values = np.frombuffer(data, "<f4", count, _HEAD.size + 4 * count).reshape(shape)
    nothing = torch.full((shape[0],), -torch.inf)
    return TopK(torch.from_numpy(ids), torch.from_numpy(values.copy()), nothing, temperature)


def _compact(data: bytes, shape: tuple[int, int], temperature: float) -> TopK:
    count, start = shape[0] * shape[1], _HEAD.size + 2
    of_gaps, of_levels = data[start - 2 : start]
    tokens = np.frombuffer(data, _TOKEN, shape[0], start)
    packed = np.frombuffer(data, np.uint8, offset=start + tokens.nbytes)
    bits = np.unpackbits(packed)
    gaps, taken = golomb.read(bits, count, of_gaps)
    above, _ = golomb.read(bits[taken:], count, of_levels)
    ids = np.cumsum(gaps.reshape(shape) + 1, axis=1) - 1
    levels = above.reshape(shape) + tokens["lowest"].astype(np.int64)[:, None]
    roots = np.maximum(levels.astype(np.float64), _BELOW)
    tail = np.maximum(tokens["tail"].astype(np.float64), _BELOW)
    total = np.log(np.square(roots).sum(axis=1) + np.square(tail))
    return TopK(
        torch.from_numpy(ids),
        torch.from_numpy((2 * np.log(roots) - total[:, None]).astype(np.float32)),
        torch.from_numpy((2 * np.log(tail) - total).astype(np.float32)),
        temperature,
    )


def _levels(labels: TopK) -> _Numbers:
    """Return the level of every kept outcome, (T, k); that of the choice is the highest alone."""
    levels = _nearest(labels.log_probs)
    rows, choice = np.arange(len(levels)), labels.log_probs.argmax(dim=1).numpy()
    tied = (levels == levels.max(axis=1, keepdims=True)).sum(axis=1) > 1
    levels[rows, choice] += tied
    return levels


def _nearest(log_probs: Tensor) -> _Numbers:
    roots = np.exp(log_probs.double().numpy() / 2)
    levels: _Numbers = np.rint(roots * STEPS).clip(0, STEPS).astype(np.int64)
    return levels
