from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from protocol.errors import AbortCode, AbortError, MalformedMessageError
from protocol.outcome import Outcome, published_mean
from tests.protocol.builders import Federation, identity

FEDERATION = Federation(3, dim=6)
CONFIG, REGISTRY = FEDERATION.config, FEDERATION.registry
WORDS = np.arange(6, dtype="<u4")
DATA = WORDS.tobytes()


def outcome(signer: str = "server", **changes: Any) -> Outcome:
    plain = Outcome.of(WORDS, context=CONFIG.context(), survivors=CONFIG.cohort)
    return replace(plain, **changes).signed_by(identity(signer))


def test_the_mean_is_read_off_the_published_words() -> None:
    """A word is worth one step: bound · max(w) / qmax."""
    mean = published_mean(outcome().to_bytes(), DATA, config=CONFIG, registry=REGISTRY)
    step = 1.0 / 3 / FEDERATION.encoding.qmax
    assert np.allclose(mean, np.arange(6) * step, rtol=1e-15, atol=0)


@pytest.mark.parametrize(
    ("message", "data", "code"),
    [
        (outcome(), DATA[:-1] + b"\x01", AbortCode.BAD_DIGEST),
        (outcome(), DATA[:-4], AbortCode.BAD_LENGTH),
        (outcome("avonlea"), DATA, AbortCode.BAD_SIGNATURE),
        (replace(outcome(), size_bytes=25), DATA, AbortCode.BAD_SIGNATURE),
        (outcome(context=b"\x0c" * 32), DATA, AbortCode.WRONG_CONTEXT),
        (outcome(survivors=CONFIG.cohort[1:]), DATA, AbortCode.BAD_COHORT),
    ],
    ids=["other words", "cut short", "other signer", "changed", "other round", "a region left out"],
)
def test_any_other_sum_is_refused(message: Outcome, data: bytes, code: AbortCode) -> None:
    """A region takes the sum that the server signed for this round and cohort, or none."""
    with pytest.raises(AbortError) as caught:
        published_mean(message.to_bytes(), data, config=CONFIG, registry=REGISTRY)
    assert caught.value.code is code


@pytest.mark.parametrize("size", [1, 20, 21, 23])
def test_a_sum_of_another_size_is_refused_though_it_was_signed(size: int) -> None:
    """The round says how many words there are; half a word is none."""
    short = outcome(size_bytes=size, sum_sha256=hashlib.sha256(DATA[:size]).digest())
    with pytest.raises(AbortError, match="bad_length"):
        published_mean(short.to_bytes(), DATA[:size], config=CONFIG, registry=REGISTRY)


def test_garbage_is_malformed() -> None:
    """Bytes that are no outcome are refused as such."""
    with pytest.raises(MalformedMessageError):
        published_mean(b"", DATA, config=CONFIG, registry=REGISTRY)
