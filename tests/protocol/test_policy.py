"""Every row of the adversary table that a proposed round can be: who asks for it is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest

from protocol.config import Deadlines, Kem, Recovery, SignedConfig
from protocol.errors import AbortCode, AbortError, MalformedMessageError, OutOfOrderError
from protocol.fixed_point import Block, Encoding
from protocol.history import MemoryHistory
from protocol.identity import region_uid
from protocol.policy import RegionPolicy
from protocol.region import State
from tests.protocol.builders import LATER, NAMES, Federation, identity, registry_of

FEDERATION = Federation(4)
ME = FEDERATION.names[0]
CONFIG = FEDERATION.config
OUTSIDER = region_uid("outsider")
HASH = b"\x0f" * 32
MINE, PEERS = region_uid(ME), FEDERATION.uids


def shares(*parts: int) -> tuple[Fraction, ...]:
    """Return weights in these proportions."""
    return tuple(Fraction(part, sum(parts)) for part in parts)


ISOLATING, UNLIKE_THE_PLAN, ONE_LIGHT = shares(97, 1, 1, 1), shares(3, 1, 1, 1), shares(5, 5, 5, 1)


def planned(weights: tuple[Fraction, ...]) -> dict[str, Any]:
    """Return the rule of a plan with these weights."""
    return {"weights": dict(zip(PEERS, weights, strict=True))}


def cohort_of(*uids: bytes) -> dict[str, Any]:
    """Return the changes that make a round of these regions, with equal weights."""
    count = len(uids)
    return {
        "cohort": tuple(sorted(uids)),
        "weights": (Fraction(1, count),) * count,
        "threshold": count,
        "min_cohort": count,
        "min_survivors": count,
    }


def counts(threshold: int, min_survivors: int, min_cohort: int) -> dict[str, Any]:
    return {"threshold": threshold, "min_survivors": min_survivors, "min_cohort": min_cohort}


def agreed(threshold: int, min_survivors: int) -> dict[str, Any]:
    """Return the rule of a plan with these numbers."""
    return {"threshold": threshold, "min_survivors": min_survivors}


WRAPPING = replace(CONFIG.encoding, qmax=2**29)
HUGE = replace(CONFIG.encoding, blocks=(Block(CONFIG.dim, 2.0**65),))

# (what the server tries, changes to the round, changes to the region's rules, the code)
TABLE: list[tuple[str, dict[str, Any], dict[str, Any], AbortCode]] = [
    ("registry of the server's own", {"registry_hash": HASH}, {}, AbortCode.REGISTRY_MISMATCH),
    ("another plan", {"plan_hash": HASH}, {}, AbortCode.PLAN_MISMATCH),
    ("a model made to leak", {"model_hash": HASH}, {}, AbortCode.MODEL_MISMATCH),
    ("coordinates permuted", {"layout_hash": HASH}, {}, AbortCode.LAYOUT_MISMATCH),
    ("a round without me", cohort_of(*PEERS[1:]), {}, AbortCode.BAD_COHORT),
    (
        "a plan without me",
        cohort_of(*PEERS[1:]),
        {"weights": dict.fromkeys(PEERS[1:], Fraction(1, 3))},
        AbortCode.BAD_COHORT,
    ),
    ("a sybil", cohort_of(*PEERS[:3], b"\x42" * 16), {}, AbortCode.UNKNOWN_REGION),
    ("a region beyond the plan", cohort_of(*PEERS, OUTSIDER), {}, AbortCode.BAD_COHORT),
    ("a region left out", cohort_of(*PEERS[:3]), {}, AbortCode.BAD_COHORT),
    ("a cohort of two", cohort_of(*PEERS[:2]), {}, AbortCode.COHORT_TOO_SMALL),
    (
        "a plan for two",
        cohort_of(*PEERS[:2]),
        {"weights": dict.fromkeys(PEERS[:2], Fraction(1, 2)), **agreed(2, 2)},
        AbortCode.COHORT_TOO_SMALL,
    ),
    ("a cohort of one", cohort_of(MINE), {}, AbortCode.COHORT_TOO_SMALL),
    ("my own floor", {}, {"min_cohort": 5}, AbortCode.COHORT_TOO_SMALL),
    ("a threshold of one", counts(1, 3, 3), agreed(1, 3), AbortCode.BAD_THRESHOLD),
    ("a threshold of half", counts(2, 3, 3), agreed(2, 3), AbortCode.BAD_THRESHOLD),
    ("a threshold above the cohort", counts(5, 5, 5), agreed(5, 5), AbortCode.BAD_THRESHOLD),
    ("survivors below the threshold", counts(4, 3, 4), agreed(4, 3), AbortCode.BAD_THRESHOLD),
    ("survivors above the cohort", counts(3, 5, 3), agreed(3, 5), AbortCode.BAD_THRESHOLD),
    ("a start below the threshold", counts(4, 4, 3), agreed(4, 4), AbortCode.BAD_THRESHOLD),
    ("a start above the cohort", counts(3, 3, 5), {}, AbortCode.BAD_THRESHOLD),
    ("a higher threshold than the plan's", counts(4, 4, 4), {}, AbortCode.BAD_THRESHOLD),
    ("a lower threshold than the plan's", {}, agreed(4, 4), AbortCode.BAD_THRESHOLD),
    ("more survivors than the plan's", counts(3, 4, 3), {}, AbortCode.BAD_THRESHOLD),
    ("fewer survivors than the plan's", {}, agreed(3, 4), AbortCode.BAD_THRESHOLD),
    (
        "a threshold that two lists can reach",
        {"assumed_colluders": 2, **counts(3, 4, 4)},
        agreed(3, 4),
        AbortCode.BAD_THRESHOLD,
    ),
    (
        "colluders and two honest regions",
        {"assumed_colluders": 1},
        {},
        AbortCode.BAD_THRESHOLD,
    ),
    ("more colluders than regions", {"assumed_colluders": 99}, {}, AbortCode.BAD_THRESHOLD),
    ("fewer colluders than I fear", {}, {"assumed_colluders": 1}, AbortCode.BAD_COHORT),
    ("all the weight on one", {"weights": ISOLATING}, {}, AbortCode.BAD_WEIGHTS),
    ("weights unlike the plan", {"weights": UNLIKE_THE_PLAN}, {}, AbortCode.BAD_WEIGHTS),
    (
        "a plan that isolates one",
        {"weights": ISOLATING},
        planned(ISOLATING),
        AbortCode.BAD_WEIGHTS,
    ),
    (
        "a light region where a colluder is assumed",
        {"weights": ONE_LIGHT, "assumed_colluders": 1, **counts(3, 4, 3)},
        {**planned(ONE_LIGHT), **agreed(3, 4)},
        AbortCode.BAD_WEIGHTS,
    ),
    ("a share above my limit", {}, {"max_weight": Fraction(1, 5)}, AbortCode.BAD_WEIGHTS),
    (
        "16 bits",
        {"encoding": replace(CONFIG.encoding, bits=16, qmax=1)},
        {},
        AbortCode.BAD_ENCODING,
    ),
    ("a sum that wraps", {"encoding": WRAPPING}, {"encoding": WRAPPING}, AbortCode.BAD_ENCODING),
    ("a bound of 2**65", {"encoding": HUGE}, {"encoding": HUGE}, AbortCode.BAD_ENCODING),
    (
        "a range that reveals one coordinate",
        {"encoding": replace(CONFIG.encoding, blocks=(Block(1, 1.0), Block(4, 1e-9)))},
        {},
        AbortCode.BAD_ENCODING,
    ),
    (
        "another number of coordinates",
        {"encoding": Encoding.for_regions(4, bits=32, blocks=(Block(6, 1.0),))},
        {},
        AbortCode.BAD_ENCODING,
    ),
    ("a rotation that was not planned", {"rotation_seed": HASH}, {}, AbortCode.BAD_ENCODING),
    ("no rotation", {}, {"rotation_seed": HASH}, AbortCode.BAD_ENCODING),
    (
        "a rotation of the server's choice",
        {"rotation_seed": HASH},
        {"rotation_seed": HASH[::-1][:-1] + b"\x01"},
        AbortCode.BAD_ENCODING,
    ),
    ("a plain key agreement", {"kem": Kem.X25519}, {}, AbortCode.KEM_DOWNGRADE),
    (
        "the hybrid, which I did not allow",
        {},
        {"kems": frozenset({Kem.X25519})},
        AbortCode.KEM_DOWNGRADE,
    ),
    ("no recovery", {"recovery": Recovery.NONE}, {}, AbortCode.RECOVERY_REFUSED),
    (
        "no recovery, which I allowed: not in this version",
        {"recovery": Recovery.NONE},
        {"recoveries": frozenset(Recovery)},
        AbortCode.UNSUPPORTED,
    ),
    ("noise, not in this version", {"noise_sigma": 3.0}, {}, AbortCode.BAD_NOISE),
    (
        "a wait without end",
        {"deadlines": Deadlines(advertise_s=1, masked_s=2**32 - 1)},
        {},
        AbortCode.BAD_DEADLINES,
    ),
    (
        "an expired peer",
        {"registry_hash": (expired := registry_of((*NAMES[:4], "outsider"), not_after=1)).hash},
        {"registry": expired},
        AbortCode.EXPIRED,
    ),
]


@pytest.mark.parametrize(
    ("config", "rules", "code"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
def test_a_round_against_the_rules_is_refused(
    config: dict[str, Any], rules: dict[str, Any], code: AbortCode
) -> None:
    """The region names the check that failed, leaves the round and has remembered nothing."""
    history = MemoryHistory()
    region = FEDERATION.region(ME, history=history, **rules)
    with pytest.raises(AbortError) as caught:
        region.start(FEDERATION.signed(**config))
    assert caught.value.code is code
    assert region.state is State.ABORTED
    assert history.latest(CONFIG.plan_hash) is None


def test_the_honest_round_is_accepted() -> None:
    """The table's rows fail for what they change, not for what they start from."""
    history = MemoryHistory()
    region = FEDERATION.region(ME, history=history)
    region.start(FEDERATION.signed())
    assert region.state is State.ADVERTISED
    assert region.config == CONFIG
    assert region.context == CONFIG.context()
    assert history.latest(CONFIG.plan_hash) == (3, 0)


@pytest.mark.parametrize(
    "forge",
    [
        lambda: SignedConfig.sign(CONFIG, identity("outsider")),
        lambda: SignedConfig(CONFIG, bytes(64)),
        lambda: replace(
            SignedConfig.sign(CONFIG, identity("server")), config=replace(CONFIG, attempt=1)
        ),
    ],
    ids=["another key", "no signature", "changed after signing"],
)
def test_a_round_that_the_server_did_not_sign_is_refused(
    forge: Callable[[], SignedConfig],
) -> None:
    """Only the key that the registry names can propose a round."""
    with pytest.raises(AbortError, match="bad_signature"):
        FEDERATION.region(ME).start(forge().to_bytes())


def test_an_expired_server_is_refused() -> None:
    """The server's keys have a date of their own."""
    registry = registry_of((*NAMES[:4], "outsider"), not_after=LATER + 1)
    region = FEDERATION.region(ME, now=LATER, registry=registry)
    with pytest.raises(AbortError, match="expired"):
        region.start(FEDERATION.signed(registry_hash=registry.hash))


@pytest.mark.parametrize(
    ("first", "second", "code"),
    [
        ({}, {}, AbortCode.REPLAYED_CONTEXT),
        ({}, {"round_": 2}, AbortCode.STALE_ROUND),
        ({"attempt": 1}, {"attempt": 0}, AbortCode.STALE_ROUND),
        ({}, {"deadlines": Deadlines(advertise_s=1, masked_s=1)}, AbortCode.STALE_ROUND),
        ({"attempt": 9}, {"attempt": 8}, AbortCode.STALE_ROUND),
        ({}, {"round_": 4}, AbortCode.STALE_ROUND),
    ],
    ids=["replay", "older round", "older attempt", "same place", "far attempt", "later round"],
)
def test_a_round_is_taken_once_and_in_order(
    first: dict[str, Any], second: dict[str, Any], code: AbortCode
) -> None:
    """After a restart, with a new `RegionRound`, the history still refuses."""
    history = MemoryHistory()
    FEDERATION.region(ME, history=history).start(FEDERATION.signed(**first))
    with pytest.raises(AbortError) as caught:
        FEDERATION.region(ME, history=history).start(FEDERATION.signed(**second))
    assert caught.value.code is code


def test_later_attempts_and_rounds_are_taken() -> None:
    """(round, attempt) grows: a second attempt of a round, then the next round."""
    history = MemoryHistory()
    for round_, attempt in (3, 0), (3, 1), (4, 0):
        region = FEDERATION.region(ME, history=history, round_=round_)
        region.start(FEDERATION.signed(round_=round_, attempt=attempt))
        assert history.has_seen(region.context)


def test_a_stranger_has_no_round() -> None:
    """An identity that the registry does not know cannot even begin."""
    with pytest.raises(AbortError, match="unknown_region"):
        FEDERATION.region("stranger")


def test_a_policy_for_two_is_no_policy() -> None:
    """In a cohort of two each region reads the other off the sum."""
    with pytest.raises(ValueError, match="min_cohort"):
        replace(FEDERATION.policy, min_cohort=2)


@pytest.mark.parametrize(
    ("config", "rules"),
    [
        ({"kem": Kem.X25519}, {"kems": frozenset(Kem)}),
        ({"rotation_seed": HASH}, {"rotation_seed": HASH}),
        ({"weights": ONE_LIGHT}, planned(ONE_LIGHT)),
        (counts(4, 4, 4), agreed(4, 4)),
        (counts(3, 4, 4), agreed(3, 4)),
        ({"assumed_colluders": 1, **counts(3, 4, 4)}, {"assumed_colluders": 1, **agreed(3, 4)}),
        ({"assumed_colluders": 1, **counts(3, 4, 4)}, agreed(3, 4)),
    ],
    ids=[
        "no hybrid",
        "rotation",
        "a light region",
        "all must answer",
        "all must survive",
        "a colluder that I fear",
        "more colluders than I fear",
    ],
)
def test_a_round_within_the_rules_is_accepted(
    config: dict[str, Any], rules: dict[str, Any]
) -> None:
    """What the table's rows refuse is accepted where the rules say so."""
    region = FEDERATION.region(ME, **rules)
    region.start(FEDERATION.signed(**config))
    assert region.state is State.ADVERTISED


def test_a_policy_is_strict_unless_it_says_otherwise() -> None:
    """The hybrid only, recovery only, five regions, no colluder too many, no differencing."""
    strict = RegionPolicy(
        registry=FEDERATION.registry,
        plan_hash=CONFIG.plan_hash,
        round_=CONFIG.round_,
        model_hash=CONFIG.model_hash,
        layout_hash=CONFIG.layout_hash,
        encoding=CONFIG.encoding,
        weights={},
        threshold=4,
        min_survivors=4,
    )
    assert strict.kems == {Kem.X25519_ML_KEM_768}
    assert strict.recoveries == {Recovery.SHARES}
    assert (strict.min_cohort, strict.max_weight) == (5, Fraction(1, 2))
    assert strict.differencing


def test_garbage_aborts_the_round() -> None:
    """Bytes that are no configuration end it like any other refusal."""
    region = FEDERATION.region(ME)
    with pytest.raises(MalformedMessageError):
        region.start(b"FSA1 but not really")
    assert region.state is State.ABORTED
    with pytest.raises(OutOfOrderError):
        region.start(FEDERATION.signed())
    with pytest.raises(OutOfOrderError):
        _ = region.config
