"""Whatever is wrong with a round or a delta: a typed error, and the ledger shows no send."""

from concurrent.futures import Future
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from client.handler import RegionHandler
from client.training import Released
from privacy.ledger_entries import Context, Entry, Send
from protocol.config import Kem, Recovery, RoundConfig, SignedConfig
from protocol.envelope import Envelope, MessageKind
from protocol.errors import AbortCode, AbortError, MalformedMessageError, OutOfOrderError
from protocol.identity import region_uid
from tests.client import region_builder
from tests.client.region_builder import World, ask, play

pytestmark = pytest.mark.slow


def _entries(region: RegionHandler) -> tuple[Entry, ...]:
    return region._training.ledger.entries()


def _with(coordinate: float) -> Any:
    def change(delta: np.ndarray) -> np.ndarray:
        changed = delta.copy()
        changed[-1] = coordinate
        return changed

    return change


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (_with(np.nan), AbortCode.NONFINITE_INPUT),
        (_with(np.inf), AbortCode.NONFINITE_INPUT),
        (_with(-np.inf), AbortCode.NONFINITE_INPUT),
        (lambda delta: delta[:-1], AbortCode.BAD_LENGTH),
        (lambda delta: np.append(delta, delta[:1]), AbortCode.BAD_LENGTH),
    ],
    ids=["NaN", "infinity", "minus infinity", "short", "long"],
)
def test_a_delta_that_cannot_be_summed_stays_in_the_region(
    world: World, regions: dict[str, RegionHandler], change: Any, code: AbortCode
) -> None:
    """The others go on without it."""
    one, region = world.round(0), regions["b"]
    play(one, regions, until=MessageKind.TRAIN_MASKED)
    assert region._current is not None
    assert region._current.delta is not None
    released = region._current.delta.result()
    bad: Future[Released] = Future()
    bad.set_result(Released(change(released.delta), released.payload_sha256))
    region._current.delta = bad
    with pytest.raises(AbortError) as caught:
        ask(one, region, MessageKind.TRAIN_MASKED)
    others = {name: handler for name, handler in regions.items() if name != "b"}
    play(one, others, first=MessageKind.TRAIN_MASKED)

    assert caught.value.code is code
    assert not any(isinstance(entry.payload, Send) for entry in _entries(region))
    assert len(one.close().outcome.survivors) == 4


def _without_b(config: RoundConfig) -> RoundConfig:
    keep = [position for position, uid in enumerate(config.cohort) if uid != region_uid("b")]
    return replace(
        config,
        cohort=tuple(config.cohort[position] for position in keep),
        weights=(Fraction(1, 4),) * 4,
        threshold=4,
        min_survivors=4,
        min_cohort=4,
    )


def _alone(config: RoundConfig) -> RoundConfig:
    return replace(
        config,
        cohort=(region_uid("b"),),
        weights=(Fraction(1),),
        threshold=1,
        min_survivors=1,
        min_cohort=1,
    )


REFUSED = {
    "a cohort of one": (_alone, AbortCode.COHORT_TOO_SMALL),
    "a cohort without it": (_without_b, AbortCode.BAD_COHORT),
    "another threshold": (lambda c: replace(c, threshold=5, min_survivors=5, min_cohort=5), None),
    "no hybrid": (lambda c: replace(c, kem=Kem.X25519), AbortCode.KEM_DOWNGRADE),
    "no recovery": (lambda c: replace(c, recovery=Recovery.NONE), AbortCode.RECOVERY_REFUSED),
    "another registry": (lambda c: replace(c, registry_hash=bytes(32)), None),
    "a rotation": (lambda c: replace(c, rotation_seed=bytes(32)), AbortCode.BAD_ENCODING),
    "noise elsewhere": (lambda c: replace(c, noise_sigma=1.0), AbortCode.BAD_NOISE),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_round_that_the_policy_refuses_leaves_no_trace(
    world: World, regions: dict[str, RegionHandler], what: str
) -> None:
    """Not even as accepted: the ledger is as it was, and the honest round starts afterwards."""
    change, code = REFUSED[what]
    one, region = world.round(0), regions["b"]
    before = _entries(region)
    lie = SignedConfig.sign(change(one.config), world.parties.server).to_bytes()
    with pytest.raises(AbortError) as caught:
        region.handle(MessageKind.TRAIN_START, Envelope(lie))

    assert code in (None, caught.value.code)
    assert _entries(region) == before
    assert ask(one, region, MessageKind.TRAIN_START).body
    assert isinstance(_entries(region)[-1].payload, Context)


def test_keys_past_their_date_start_no_round(world: World) -> None:
    """A year after the registry was made the region refuses, and says that it must be renewed."""
    one = world.round(0)
    with region_builder.handlers(world) as regions:
        region = regions["b"]
        region._clock = lambda: region_builder.clock() + 366 * 24 * 3600
        with pytest.raises(AbortError, match="past their date") as caught:
            ask(one, region, MessageKind.TRAIN_START)

    assert caught.value.code is AbortCode.EXPIRED


@pytest.mark.parametrize("kind", MessageKind)
def test_bytes_that_are_no_message_are_refused(
    world: World, regions: dict[str, RegionHandler], kind: MessageKind
) -> None:
    """In every step; nothing but a typed error comes of it."""
    region = regions["b"]
    for body in (b"", b"FSA1", bytes(40), b"FSA1\x01\x03" + bytes(600)):
        with pytest.raises((MalformedMessageError, OutOfOrderError)):
            region.handle(kind, Envelope(body))

    assert not any(isinstance(entry.payload, Context | Send) for entry in _entries(region))
