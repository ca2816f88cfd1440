"""The least that a server of FSA1 does, timed: what an implementation without overhead would take.

Of the vectors: every byte of a survivor's is digested (SHA-256, which the region signed) and added;
the mask of every survivor, and of every survivor with every lost region, is made (AES-256-CTR) and
taken off; the sum is decoded once. Of the messages: the six signatures of a region that a server
checks (advert, shares, accepted, masked, consent, unmask). Not in it: keys, ciphertexts, shares,
secrets, reading and writing of any message.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable

import numpy as np
from fsa1_round import Federation, Variant
from sum_task import Task

from protocol.fixed_point import decode_sum
from protocol.identity import Identity, verify
from protocol.masks import apply_masks, bytes_of, word_type
from protocol.wire import split_chunks

_TURNS = 5
_SIGNATURES = 6


def server_floor_s(task: Task, variant: Variant) -> float:
    """Return CPU seconds: the best of a few turns of each part, times how often it is done."""
    total = np.zeros(task.dim, word_type(variant.bits))
    vector = np.ones(task.dim, word_type(variant.bits))
    chunks = split_chunks(bytes_of(vector))
    seed = os.urandom(32)
    config = Federation(task, variant).config
    identity, body = Identity.generate(), os.urandom(256)
    signed: dict[str, bytes] = {"context": config.plan_hash, "uid": config.cohort[0], "body": body}
    signature = identity.sign("consent", **signed)

    def digest() -> None:
        for chunk in chunks:
            hashlib.sha256(chunk).digest()

    def decode() -> None:
        decode_sum(
            vector,
            encoding=config.encoding,
            weights=config.weights,
            rotation_seed=config.rotation_seed,
        )

    def check() -> None:
        verify(identity.public_bytes(), signature, "consent", **signed)

    vectors, lost = len(task.survivors), len(task.lost)
    each_vector = _least(digest) + _least(lambda: np.add(total, vector, out=total))
    each_mask = _least(lambda: apply_masks(total, add=(), subtract=(seed,) * 4)) / 4
    messages = _SIGNATURES * task.size * _least(check)
    return vectors * (each_vector + (1 + lost) * each_mask) + messages + _least(decode)


def _least(work: Callable[[], object]) -> float:
    found = []
    for _ in range(_TURNS):
        began = time.process_time()
        work()
        found.append(time.process_time() - began)
    return min(found)
