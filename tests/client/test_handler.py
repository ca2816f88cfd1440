"""A region answers the messages of a round in their order, and nothing out of it."""

from dataclasses import replace
from threading import Event, Timer

import pytest

from client.handler import RegionHandler
from distillation.aggregate import ModelState, advance
from distillation.plan_terms import optimizer_of
from privacy.errors import DuplicateEntryError
from privacy.ledger_entries import Context, Release, Reserve, Reveal, Send
from protocol.coordinator import CoordinatorRound
from protocol.envelope import Envelope, MessageKind
from protocol.errors import AbortCode, AbortError, OutOfOrderError, ProtocolError
from protocol.identity import SERVER_UID
from protocol.messages import Behind, Collect, Pending
from protocol.share_messages import Parcel
from protocol.transcript import PublishedSum, Receipt, start_hash, transcript_hash
from tests.client import region_builder
from tests.client.region_builder import STAGES, World, ask, play, publish

START, KEYS, COLLECT = MessageKind.TRAIN_START, MessageKind.QUERY_ENCAPS, MessageKind.TRAIN_MASKED
CONSENT, UNMASK, SUM = (
    MessageKind.QUERY_CONSENT,
    MessageKind.QUERY_UNMASK,
    MessageKind.QUERY_SUM,
)


def _finish(one: CoordinatorRound, regions: dict[str, RegionHandler]) -> PublishedSum:
    play(one, regions)
    return one.close()


def _kinds(handler: RegionHandler) -> list[type]:
    kinds = (Context, Reserve, Release, Send, Reveal)
    entries = handler._training.ledger.entries()
    return [type(e.payload) for e in entries if isinstance(e.payload, kinds)]


def test_a_round_is_on_record_before_each_act(
    world: World, regions: dict[str, RegionHandler]
) -> None:
    """Context, reserve, release, send, reveal: in this order, once each, in every region."""
    _finish(world.round(0), regions)

    expected = [Context, Reserve, Release, Send, Reveal]
    assert all(_kinds(handler) == expected for handler in regions.values())


def test_nothing_is_reserved_before_all_keys_verify(
    world: World, regions: dict[str, RegionHandler]
) -> None:
    """A roster that was tampered with costs no budget."""
    one, region = world.round(0), regions["a"]
    play(one, regions, until=KEYS)
    roster = bytearray(one.roster())
    roster[-1] ^= 1
    with pytest.raises(AbortError) as caught:
        region.handle(KEYS, Envelope(bytes(roster)))

    assert caught.value.code is AbortCode.BAD_SIGNATURE
    assert _kinds(region) == [Context]


@pytest.mark.parametrize("kind", STAGES)
def test_the_same_question_gets_the_same_bytes(
    world: World, regions: dict[str, RegionHandler], kind: MessageKind
) -> None:
    """A lost reply is sent again as it was, in every stage; nothing is put on record twice."""
    one = world.round(0)
    play(one, regions, until=kind)
    first, second = (ask(one, regions["b"], kind) for _ in range(2))

    kinds = _kinds(regions["b"])

    assert first == second
    assert len(kinds) == len(set(kinds))


def test_another_attempt_masks_the_same_words_anew(
    world: World, regions: dict[str, RegionHandler]
) -> None:
    """Nothing is drawn again, no byte of the vector repeats in place, and the sum is the same."""
    vectors, sums = [], []
    for attempt in range(2):
        one = world.round(0, attempt=attempt)
        play(one, regions, until=COLLECT)
        vectors.append(b"".join(ask(one, regions["c"], COLLECT).chunks))
        play(one, regions, first=COLLECT)
        sums.append(one.close().words.tobytes())
    same = sum(a == b for a, b in zip(*vectors, strict=True))

    assert same < len(vectors[0]) / 64
    assert sums[0] == sums[1]
    kinds = [Context, Reserve, Release, Send, Reveal, Context, Send, Reveal]
    assert _kinds(regions["c"]) == kinds


def test_shares_are_given_for_one_set_of_survivors_a_round(
    world: World, regions: dict[str, RegionHandler]
) -> None:
    """After a reveal, further attempts with other survivors get no consent; the ledger says why."""
    _finish(world.round(0), regions)
    fewer = {name: handler for name, handler in regions.items() if name != "e"}
    one = world.round(0, attempt=1)
    play(one, fewer, until=CONSENT)
    with pytest.raises(AbortError) as caught:
        ask(one, regions["a"], CONSENT)
    assert caught.value.code is AbortCode.ALREADY_REVEALED

    ledger, plan = regions["a"]._training.ledger, world.plan.hash
    payload = ledger.state.reveals(plan)[0].payload_sha256
    with pytest.raises(DuplicateEntryError, match="other survivors"):
        ledger.reveal(plan, 0, one.context, [h.uid for h in fewer.values()], payload)


def test_the_next_round_starts_from_the_published_sum(
    world: World, regions: dict[str, RegionHandler]
) -> None:
    """Each region checks the sum, steps the model itself, and takes part on that model only."""
    one = world.round(0)
    published = _finish(one, regions)
    words = b"".join(published.chunks())
    mean = published.outcome.mean(words, config=one.config)
    model = advance(ModelState.start(world.prepared.start), mean, optimizer_of(world.plan))
    digest = transcript_hash(published.transcript.to_bytes())
    two = world.round(1, model_hash=start_hash(model.hash, digest))
    behind = Behind.from_bytes(ask(two, regions["a"], START).body)
    with pytest.raises(AbortError):
        regions["a"].handle(SUM, Envelope(publish(published).body, (words[:-1] + b"x",)))
    for handler in regions.values():
        receipt = Receipt.from_bytes(handler.handle(SUM, publish(published)).body)
        receipt.verify(world.parties.registry.record(handler.uid).identity_key)
        assert receipt.transcript_hash == transcript_hash(published.transcript.to_bytes())
    for wrong in (model.hash, start_hash(model.hash, bytes(32)), start_hash(bytes(32), digest)):
        with pytest.raises(AbortError) as caught:
            ask(world.round(1, model_hash=wrong), regions["a"], START)
        assert caught.value.code is AbortCode.MODEL_MISMATCH
    third = _finish(two, regions)

    assert (behind.uid, behind.round_) == (regions["a"].uid, 0)
    assert len(third.words) == world.prepared.part.layout.size


def test_a_sum_is_believed_only_with_the_consents_of_the_survivors(
    world: World, regions: dict[str, RegionHandler]
) -> None:
    """Without enough consents, or of another round, it moves no model; twice it moves it once."""
    published = _finish(world.round(0), regions)
    region, good = regions["a"], publish(published)
    few = replace(published.transcript, consents=published.transcript.consents[:2])
    with pytest.raises(AbortError) as caught:
        region.handle(SUM, Envelope(few.to_bytes(), good.chunks))
    first, second = region.handle(SUM, good), region.handle(SUM, good)
    later = world.round(5)
    with pytest.raises(ProtocolError):
        ask(later, region, KEYS)

    assert caught.value.code is AbortCode.TOO_FEW_CONSENTS
    assert first == second
    assert region._chain.next_round == 1


def test_a_round_with_a_known_sum_is_not_run_again(
    world: World, regions: dict[str, RegionHandler]
) -> None:
    """An attempt after it, on the model that it led to, would be another sum of the same deltas."""
    published = _finish(world.round(0), regions)
    digest = transcript_hash(published.transcript.to_bytes())
    for handler in regions.values():
        handler.handle(SUM, publish(published))
    model = regions["a"]._chain.model
    again = world.round(0, attempt=1, model_hash=start_hash(model.hash, digest))
    with pytest.raises(AbortError) as caught:
        ask(again, regions["a"], START)

    assert caught.value.code is AbortCode.STALE_ROUND
    assert _kinds(regions["a"]) == [Context, Reserve, Release, Send, Reveal]


def test_a_proposal_that_is_refused_ends_no_round(
    world: World, regions: dict[str, RegionHandler]
) -> None:
    """A replay or a forged proposal in the middle of a round changes nothing for the region."""
    old, one, region = world.round(0), world.round(0, attempt=1), regions["a"]
    ask(old, region, START)
    play(one, regions, until=COLLECT)
    for stale in (old.signed_config, one.signed_config[:-1] + b"x"):
        with pytest.raises(ProtocolError):
            region.handle(START, Envelope(stale))
    play(one, regions, first=COLLECT)

    assert len(one.close().outcome.survivors) == 5


def test_who_is_behind_says_so_to_the_coordinator_only_and_each_time(
    world: World, regions: dict[str, RegionHandler]
) -> None:
    """A proposal that the coordinator did not sign is refused; the answer is never an old one."""
    region, far = regions["a"], world.round(3)
    with pytest.raises(AbortError) as caught:
        region.handle(START, Envelope(far.signed_config[:-1] + b"x"))
    first = Behind.from_bytes(ask(far, region, START).body)
    published = _finish(world.round(0), regions)
    region.handle(SUM, publish(published))
    second = Behind.from_bytes(ask(far, region, START).body)

    assert caught.value.code is AbortCode.BAD_SIGNATURE
    assert (first.round_, second.round_) == (0, 1)


def test_messages_out_of_their_order_are_refused(
    world: World, regions: dict[str, RegionHandler]
) -> None:
    """Any step before the start, or of another round, gets nothing."""
    one, region = world.round(0), regions["d"]
    for kind in STAGES[1:]:
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
    play(one, regions, until=COLLECT)
    for _ in range(2):
        assert ask(one, region, COLLECT) == Envelope(Pending(one.context).to_bytes())
    go.set()
    monkeypatch.setattr("client.handler._WAIT_S", 5.0)

    assert ask(one, region, COLLECT).chunks
    assert _kinds(region) == [Context, Reserve, Release, Send]


def test_a_new_attempt_waits_for_the_delta_in_the_making(
    world: World, regions: dict[str, RegionHandler]
) -> None:
    """Two draws of one round never overlap: the second attempt takes what the first made."""
    one, two, region, go = world.round(0), world.round(0, attempt=1), regions["a"], Event()
    _hold(region, go)
    play(one, regions, until=COLLECT)
    Timer(0.2, go.set).start()
    play(two, regions, until=COLLECT)
    with pytest.raises(OutOfOrderError):
        ask(one, region, COLLECT)
    play(two, regions, first=COLLECT)

    assert _kinds(region) == [Context, Reserve, Context, Release, Send, Reveal]


def test_a_draw_that_failed_is_drawn_anew_in_the_next_attempt(
    world: World, regions: dict[str, RegionHandler]
) -> None:
    """The failed one sends nothing, however often it is asked for; its reserve is burnt."""
    one, two, region = world.round(0), world.round(0, attempt=1), regions["a"]
    _fail(region)
    play(one, regions, until=COLLECT)
    for _ in range(2):
        with pytest.raises(OSError, match="no space"):
            ask(one, region, COLLECT)
    object.__setattr__(region._training, "on_step", lambda step: None)
    _finish(two, regions)

    assert _kinds(region) == [Context, Reserve, Context, Reserve, Release, Send, Reveal]


def test_consents_to_another_list_are_no_consents(
    world: World, regions: dict[str, RegionHandler]
) -> None:
    """The region reveals nothing, forgets the round's secrets, and has nothing on record."""
    one, region = world.round(0), regions["a"]
    play(one, regions, until=UNMASK)
    with pytest.raises(ProtocolError):
        region.handle(UNMASK, Envelope(Parcel(bytes(32), SERVER_UID, ()).to_bytes()))
    with pytest.raises(OutOfOrderError):
        ask(one, region, UNMASK)

    assert Reveal not in _kinds(region)


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
