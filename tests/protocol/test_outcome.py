from __future__ import annotations

import hashlib
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from protocol.errors import AbortCode, AbortError, MalformedMessageError
from protocol.identity import region_uid
from protocol.outcome import Outcome
from tests.protocol.builders import Federation, identity

FEDERATION = Federation(3, dim=6, shares=(1, 2, 3))
CONFIG, REGISTRY = FEDERATION.config, FEDERATION.registry
WORDS = np.arange(6, dtype="<u4")
DATA = WORDS.tobytes()


def outcome(signer: str = "server", **changes: Any) -> Outcome:
    plain = Outcome.of(WORDS, context=CONFIG.context(), survivors=CONFIG.cohort)
    return replace(plain, **changes).signed_by(identity(signer))


@pytest.mark.parametrize(
    ("survivors", "present"),
    [(CONFIG.cohort, 1), (CONFIG.cohort[:2], Fraction(1, 2)), (CONFIG.cohort[2:], Fraction(1, 2))],
    ids=["all", "the third is lost", "only the third"],
)
def test_the_mean_is_over_those_who_are_in_the_sum(
    survivors: tuple[bytes, ...], present: Fraction
) -> None:
    """A word is worth one step, bound · max(w) / qmax, over the survivors' weight."""
    mean = outcome(survivors=survivors).mean(DATA, config=CONFIG)
    step = Fraction(1, 2) / FEDERATION.encoding.qmax / present
    assert np.allclose(mean, np.arange(6) * float(step), rtol=1e-15, atol=0)


def test_the_mean_reads_a_large_word_as_a_negative_one() -> None:
    """2**32 - 1 is one step below zero."""
    words = np.full(6, 2**32 - 1, "<u4")
    made = Outcome.of(words, context=CONFIG.context(), survivors=CONFIG.cohort)
    mean = made.mean(words.tobytes(), config=CONFIG)
    assert np.allclose(mean, -0.5 / FEDERATION.encoding.qmax, rtol=1e-15, atol=0)


@pytest.mark.parametrize(
    ("message", "data", "code"),
    [
        (outcome(), DATA[:-1] + b"\x01", AbortCode.BAD_DIGEST),
        (outcome(), DATA[:-4], AbortCode.BAD_LENGTH),
        (outcome(), DATA + bytes(4), AbortCode.BAD_LENGTH),
        (outcome(), b"", AbortCode.BAD_LENGTH),
        (outcome(sum_sha256=bytes(32)), DATA, AbortCode.BAD_DIGEST),
        (outcome(survivors=()), DATA, AbortCode.BAD_SURVIVORS),
        (
            outcome(survivors=tuple(sorted((*CONFIG.cohort, region_uid("outsider"))))),
            DATA,
            AbortCode.BAD_SURVIVORS,
        ),
    ],
    ids=["other words", "cut short", "too long", "empty", "other hash", "nobody", "a stranger"],
)
def test_any_other_words_give_no_mean(message: Outcome, data: bytes, code: AbortCode) -> None:
    """A region takes the words that the outcome is about, over regions of the cohort, or none."""
    with pytest.raises(AbortError) as caught:
        message.mean(data, config=CONFIG)
    assert caught.value.code is code


@pytest.mark.parametrize("size", [1, 20, 21, 23])
def test_a_sum_of_another_size_is_refused_though_it_was_signed(size: int) -> None:
    """The round says how many words there are; half a word is none."""
    short = outcome(size_bytes=size, sum_sha256=hashlib.sha256(DATA[:size]).digest())
    with pytest.raises(AbortError, match="bad_length"):
        short.mean(DATA[:size], config=CONFIG)


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (outcome("avonlea"), AbortCode.BAD_SIGNATURE),
        (replace(outcome(), signature=bytes(64)), AbortCode.BAD_SIGNATURE),
        (replace(outcome(), size_bytes=25), AbortCode.BAD_SIGNATURE),
        (replace(outcome(), sum_sha256=bytes(32)), AbortCode.BAD_SIGNATURE),
        (replace(outcome(), survivors=CONFIG.cohort[1:]), AbortCode.BAD_SIGNATURE),
        (outcome(context=b"\x0c" * 32), AbortCode.WRONG_CONTEXT),
    ],
    ids=["other signer", "unsigned", "size", "hash", "survivors", "other round"],
)
def test_only_the_servers_signature_for_this_round_verifies(
    message: Outcome, code: AbortCode
) -> None:
    """Every field is under it."""
    with pytest.raises(AbortError) as caught:
        message.check_signature(REGISTRY, CONFIG.context())
    assert caught.value.code is code


def test_the_servers_outcome_verifies() -> None:
    """The rows above fail for what they change."""
    message = Outcome.from_bytes(outcome().to_bytes())
    message.check_signature(REGISTRY, CONFIG.context())
    assert message.sum_sha256 == hashlib.sha256(DATA).digest()


def test_garbage_is_malformed() -> None:
    """Bytes that are no outcome are refused as such."""
    with pytest.raises(MalformedMessageError):
        Outcome.from_bytes(b"")
