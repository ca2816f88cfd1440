from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.config import MAX_CONFIG_BYTES, Deadlines, Kem, Recovery, RoundConfig, SignedConfig
from protocol.errors import AbortError, MalformedMessageError
from protocol.fixed_point import Block, Encoding
from tests.protocol.builders import Federation, identity

CONFIG = Federation(3).config
HASHES = st.binary(min_size=32, max_size=32)
COUNTS = st.integers(0, 2**16 - 1)
BLOCKS = st.lists(st.builds(Block, st.integers(1, 2**20), st.floats(1e-300, 1e300)), min_size=1)


@st.composite
def configs(draw: st.DrawFn) -> RoundConfig:
    """Any well-formed configuration, acceptable or not."""
    shares = draw(st.lists(st.integers(1, 10**6), min_size=1, max_size=6))
    return RoundConfig(
        plan_hash=draw(HASHES),
        round_=draw(st.integers(0, 2**32 - 1)),
        attempt=draw(COUNTS),
        model_hash=draw(HASHES),
        layout_hash=draw(HASHES),
        registry_hash=draw(HASHES),
        encoding=Encoding(
            bits=draw(st.sampled_from([16, 32])),
            qmax=draw(st.integers(1, 2**15 - 1)),
            blocks=tuple(draw(BLOCKS)),
        ),
        rotation_seed=draw(st.just(b"") | HASHES),
        noise_sigma=draw(st.floats(0, 1e9).map(abs)),
        cohort=tuple(i.to_bytes(16, "big") for i in range(len(shares))),
        weights=tuple(Fraction(share, sum(shares)) for share in shares),
        threshold=draw(COUNTS),
        min_cohort=draw(COUNTS),
        min_survivors=draw(COUNTS),
        assumed_colluders=draw(COUNTS),
        kem=draw(st.sampled_from(Kem)),
        recovery=draw(st.sampled_from(Recovery)),
        deadlines=Deadlines(advertise_s=draw(st.integers(0, 2**32 - 1)), masked_s=1),
    )


@settings(max_examples=60)
@given(config=configs())
def test_any_configuration_survives_the_wire(config: RoundConfig) -> None:
    """What was written is read, and its context with it."""
    again = RoundConfig.from_bytes(config.to_bytes())
    assert again == config
    assert again.context() == config.context()


@settings(max_examples=40)
@given(left=configs(), right=configs())
def test_two_configurations_share_no_context(left: RoundConfig, right: RoundConfig) -> None:
    """Whatever differs makes another context."""
    assert (left.context() == right.context()) == (left == right)


def test_the_largest_configuration_fits_its_limit() -> None:
    """16384 blocks and 128 regions can be signed and sent."""
    config = replace(
        CONFIG,
        encoding=Encoding(bits=16, qmax=1, blocks=(Block(1, 1.0),) * 16384),
        cohort=tuple(i.to_bytes(16, "big") for i in range(128)),
        weights=(Fraction(1, 128),) * 128,
        rotation_seed=b"r" * 32,
    )
    assert len(config.to_bytes()) <= MAX_CONFIG_BYTES
    signed = SignedConfig.sign(config, identity("server"))
    assert SignedConfig.from_bytes(signed.to_bytes()) == signed


def test_more_than_128_regions_are_no_configuration() -> None:
    """Neither as a value nor on the wire, where the count alone is refused."""
    with pytest.raises(MalformedMessageError):
        replace(
            CONFIG,
            cohort=tuple(i.to_bytes(16, "big") for i in range(129)),
            weights=(Fraction(1, 129),) * 129,
        )
    data = CONFIG.to_bytes()
    at = data.index(b"".join(CONFIG.cohort)) - 2
    assert data[at : at + 2] == (3).to_bytes(2, "big")
    with pytest.raises(MalformedMessageError, match="at most 128, got 129"):
        RoundConfig.from_bytes(data[:at] + (129).to_bytes(2, "big") + data[at + 2 :])


@pytest.mark.parametrize(
    "change",
    [
        {"plan_hash": b"p" * 31},
        {"model_hash": b""},
        {"layout_hash": b"l" * 33},
        {"registry_hash": b"r"},
        {"rotation_seed": b"s" * 16},
        {"round_": 2**32},
        {"round_": -1},
        {"attempt": 2**16},
        {"threshold": -1},
        {"noise_sigma": float("nan")},
        {"noise_sigma": float("inf")},
        {"cohort": CONFIG.cohort[::-1]},
        {"cohort": ()},
        {"cohort": CONFIG.cohort[:2]},
        {"weights": ()},
        {"weights": (Fraction(1, 3), Fraction(1, 3), Fraction(1, 2))},
        {"weights": (Fraction(0), Fraction(1, 2), Fraction(1, 2))},
        {"weights": (Fraction(-1), Fraction(1), Fraction(1))},
        {"weights": (Fraction(1, 2**64), Fraction(1, 2), Fraction(1, 2) - Fraction(1, 2**64))},
    ],
)
def test_a_configuration_out_of_its_limits_is_refused(change: dict[str, Any]) -> None:
    """Lengths, ranges, order and the sum of the weights are checked before anything is sent."""
    with pytest.raises(MalformedMessageError):
        replace(CONFIG, **change)


def test_a_weight_has_one_spelling() -> None:
    """2/6 is not read as 1/3: it would be a second encoding of one round."""
    data = CONFIG.to_bytes()
    third = (1).to_bytes(8, "big") + (3).to_bytes(8, "big")
    sixths = (2).to_bytes(8, "big") + (6).to_bytes(8, "big")
    zero = (1).to_bytes(8, "big") + bytes(8)
    assert third in data
    for other in sixths, zero:
        with pytest.raises(MalformedMessageError, match="lowest terms"):
            RoundConfig.from_bytes(data.replace(third, other))


def test_only_the_servers_signature_verifies() -> None:
    """Neither another key nor a changed round passes."""
    signed = SignedConfig.sign(CONFIG, identity("server"))
    signed.verify(identity("server").public_bytes())
    with pytest.raises(AbortError, match="bad_signature"):
        signed.verify(identity("avonlea").public_bytes())
    with pytest.raises(AbortError, match="bad_signature"):
        replace(signed, config=replace(CONFIG, round_=4)).verify(identity("server").public_bytes())


def test_a_signature_has_64_bytes() -> None:
    """A shorter one is no signed configuration at all."""
    with pytest.raises(MalformedMessageError):
        SignedConfig(CONFIG, bytes(63))


def test_a_deadline_out_of_its_limits_is_refused() -> None:
    """Seconds are whole, not negative and below 2**32."""
    for seconds in -1, 2**32:
        with pytest.raises(MalformedMessageError):
            Deadlines(advertise_s=1, masked_s=seconds)
