"""A region answers the three messages in their order, and nothing out of it."""

from collections.abc import Iterator
from pathlib import Path
from threading import Event, Timer

import pytest

from client.errors import ModelChainError
from client.handler import RegionHandler
from distillation.aggregate import ModelState, advance
from distillation.plan_terms import optimizer_of
from privacy.ledger_entries import Context, Release, Reserve, Send
from protocol.coordinator import CoordinatorRound, PublishedSum
from protocol.envelope import Envelope, MessageKind
from protocol.errors import AbortCode, AbortError, OutOfOrderError
from protocol.messages import Collect, Pending
from protocol.outcome import published_mean
from tests.client import region_builder
from tests.client.region_builder import World

START, KEYS, COLLECT = MessageKind


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = region_builder.make(tmp_path_factory.mktemp("world"))
    world.approve_all()
    return world


@pytest.fixture
def world(prepared: World, tmp_path: Path) -> World:
    return region_builder.fresh(prepared, tmp_path / "run")


@pytest.fixture
def regions(world: World) -> Iterator[dict[str, RegionHandler]]:
    with region_builder.handlers(world) as opened:
        yield opened


def _start(one: CoordinatorRound, regions: dict[str, RegionHandler], *chunks: bytes) -> None:
    for handler in regions.values():
        one.on_advert(handler.handle(START, Envelope(one.signed_config, chunks)).body)
    roster = Envelope(one.roster())
    for handler in regions.values():
        assert handler.handle(KEYS, roster) == Envelope(Pending(one.context).to_bytes())


def _finish(one: CoordinatorRound, regions: dict[str, RegionHandler]) -> PublishedSum:
    collect = Envelope(Collect(one.context).to_bytes())
    for handler in regions.values():
        reply = handler.handle(COLLECT, collect)
        one.on_masked(reply.body, reply.chunks)
    return one.close()


def _kinds(handler: RegionHandler) -> list[type]:
    kinds = (Context, Reserve, Release, Send)
    return [type(e.payload) for e in handler._ledger.entries() if isinstance(e.payload, kinds)]


def test_a_round_is_on_record_before_each_act(
    world: World, regions: dict[str, RegionHandler]
) -> None:
    """Context, reserve, release, send: in this order, once each, in every region."""
    one = world.round(0)
    _start(one, regions)
    _finish(one, regions)

    assert all(_kinds(handler) == [Context, Reserve, Release, Send] for handler in regions.values())


def test_nothing_is_reserved_before_all_keys_verify(
    world: World, regions: dict[str, RegionHandler]
) -> None:
    """A roster that was tampered with costs no budget."""
    one, region = world.round(0), regions["a"]
    for handler in regions.values():
        one.on_advert(handler.handle(START, Envelope(one.signed_config)).body)
    roster = bytearray(one.roster())
    roster[-1] ^= 1
    with pytest.raises(AbortError) as caught:
        region.handle(KEYS, Envelope(bytes(roster)))

    assert caught.value.code is AbortCode.BAD_SIGNATURE
    assert _kinds(region) == [Context]


def test_the_same_question_gets_the_same_bytes(
    world: World, regions: dict[str, RegionHandler]
) -> None:
    """A lost reply is sent again as it was; the ledger has one send."""
    one = world.round(0)
    _start(one, regions)
    collect = Envelope(Collect(one.context).to_bytes())
    first, second = (regions["b"].handle(COLLECT, collect) for _ in range(2))

    assert first == second
    assert _kinds(regions["b"]).count(Send) == 1


def test_another_attempt_masks_the_same_delta_anew(
    world: World, regions: dict[str, RegionHandler]
) -> None:
    """Nothing is drawn again, and no byte of the vector repeats in place."""
    vectors = []
    for attempt in range(2):
        one = world.round(0, attempt=attempt)
        _start(one, regions)
        collect = Envelope(Collect(one.context).to_bytes())
        vectors.append(b"".join(regions["c"].handle(COLLECT, collect).chunks))
    same = sum(a == b for a, b in zip(*vectors, strict=True))

    assert same < len(vectors[0]) / 64
    assert _kinds(regions["c"]) == [Context, Reserve, Release, Send, Context, Send]


def test_the_next_round_starts_from_the_published_sum(
    world: World, regions: dict[str, RegionHandler]
) -> None:
    """Each region steps the model itself, and takes part on that model only."""
    one = world.round(0)
    _start(one, regions)
    published = _finish(one, regions)
    outcome, words = published.outcome.to_bytes(), b"".join(published.chunks())
    mean = published_mean(outcome, words, config=one.config, registry=world.parties.registry)
    model = advance(ModelState.start(world.prepared.start), mean, optimizer_of(world.plan))
    two = world.round(1, model_hash=model.hash)
    with pytest.raises(ModelChainError):
        regions["a"].handle(START, Envelope(two.signed_config))
    with pytest.raises(AbortError):
        regions["a"].handle(START, Envelope(two.signed_config, (outcome, words[:-1] + b"x")))
    wrong = world.round(1, model_hash=bytes(32))
    with pytest.raises(AbortError) as caught:
        regions["a"].handle(START, Envelope(wrong.signed_config, (outcome, words)))
    _start(two, regions, outcome, words)

    assert caught.value.code is AbortCode.MODEL_MISMATCH
    assert len(_finish(two, regions).words) == world.prepared.part.layout.size


def test_messages_out_of_their_order_are_refused(
    world: World, regions: dict[str, RegionHandler]
) -> None:
    """Keys or a collection before the start, or for another round, get nothing."""
    one, region = world.round(0), regions["d"]
    for kind in (KEYS, COLLECT):
        with pytest.raises(OutOfOrderError):
            region.handle(kind, Envelope(Collect(one.context).to_bytes()))
    region.handle(START, Envelope(one.signed_config))
    for context in (one.context, bytes(32)):
        with pytest.raises(OutOfOrderError):
            region.handle(COLLECT, Envelope(Collect(context).to_bytes()))

    assert _kinds(region) == [Context]


def test_a_delta_in_the_making_is_pending(
    world: World, regions: dict[str, RegionHandler], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The coordinator hears that it is not ready, and gets the one delta when it is."""
    monkeypatch.setattr("client.handler._WAIT_S", 0.01)
    one, region, go = world.round(0), regions["a"], Event()
    _hold(region, go)
    _start(one, regions)
    collect = Envelope(Collect(one.context).to_bytes())
    for _ in range(2):
        assert region.handle(COLLECT, collect) == Envelope(Pending(one.context).to_bytes())
    go.set()
    monkeypatch.setattr("client.handler._WAIT_S", 5.0)

    assert region.handle(COLLECT, collect).chunks
    assert _kinds(region) == [Context, Reserve, Release, Send]


def test_a_new_attempt_waits_for_the_delta_in_the_making(
    world: World, regions: dict[str, RegionHandler]
) -> None:
    """Two draws of one round never overlap: the second attempt takes what the first made."""
    one, two, region, go = world.round(0), world.round(0, attempt=1), regions["a"], Event()
    _hold(region, go)
    _start(one, regions)
    Timer(0.2, go.set).start()
    _start(two, regions)
    with pytest.raises(OutOfOrderError):
        region.handle(COLLECT, Envelope(Collect(one.context).to_bytes()))
    _finish(two, regions)

    assert _kinds(region) == [Context, Reserve, Release, Context, Send]


def test_a_draw_that_failed_is_drawn_anew_in_the_next_attempt(
    world: World, regions: dict[str, RegionHandler]
) -> None:
    """The failed one sends nothing, however often it is asked for; its reserve is burnt."""
    one, two, region = world.round(0), world.round(0, attempt=1), regions["a"]
    _fail(region)
    _start(one, regions)
    for _ in range(2):
        with pytest.raises(OSError, match="no space"):
            region.handle(COLLECT, Envelope(Collect(one.context).to_bytes()))
    object.__setattr__(region._training, "on_step", lambda step: None)
    _start(two, regions)
    _finish(two, regions)

    assert _kinds(region) == [Context, Reserve, Context, Reserve, Release, Send]


def _hold(region: RegionHandler, go: Event) -> None:
    """Let the region's training wait until ``go`` is set."""

    def wait(step: str) -> None:
        assert step != "train" or go.wait(5)

    object.__setattr__(region._training, "on_step", wait)


def _fail(region: RegionHandler) -> None:
    def fail(step: str) -> None:
        if step == "store":
            raise OSError("no space left")

    object.__setattr__(region._training, "on_step", fail)


def test_a_round_is_accepted_once_over_restarts(world: World) -> None:
    """The same configuration again, after the region was closed and opened, is a replay."""
    one = world.round(0)
    with region_builder.handlers(world) as regions:
        regions["e"].handle(START, Envelope(one.signed_config))
    with region_builder.handlers(world) as regions, pytest.raises(AbortError) as caught:
        regions["e"].handle(START, Envelope(one.signed_config))

    assert caught.value.code is AbortCode.REPLAYED_CONTEXT
