"""The round loop goes on past faulty, late and absent regions, and stops when it must."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from client.handler import RegionHandler
from client.model_chain import load_chain
from privacy.ledger import Ledger
from protocol.envelope import Envelope, MessageKind
from protocol.errors import AbortCode
from protocol.identity import region_uid
from protocol.messages import Behind, Masked, Pending, Refusal
from protocol.share_messages import Parcel
from protocol.transcript import Receipt, transcript_hash
from server.errors import RunFailedError
from server.flower_adapter import TransportError
from server.published import PublishedRounds
from server.rounds import FinishedRound
from tests.client import region_builder
from tests.client.region_builder import World, clock
from tests.server.direct import MASKED_S, Change, Direct, Reply, honest, run

pytestmark = pytest.mark.slow


def _without_b(world: World, finished: list[FinishedRound], *, from_round: int = 0) -> None:
    """Assert that b, lost once in a round, is in no sum from there on, or in that one only."""
    for one in finished:
        lost = one.round_ == from_round or (
            one.round_ > from_round and not world.plan.sum.any_survivors
        )
        assert set(one.bytes_in) == set(world.plan.cohort) - ({"b"} if lost else set())


def _remembered(monkeypatch: pytest.MonkeyPatch) -> list[Direct]:
    """Return a list that every transport made from now on is put into."""
    transports: list[Direct] = []
    original = Direct.__init__

    def remembering(self: Direct, regions: list[RegionHandler], change: Change) -> None:
        original(self, regions, change)
        transports.append(self)

    monkeypatch.setattr(Direct, "__init__", remembering)
    return transports


def _once(strike: MessageKind, what: Callable[[Envelope], Reply]) -> Change:
    struck: list[int] = []

    def change(node: int, kind: MessageKind, reply: Envelope) -> Reply:
        if node == 1 and kind is strike and not struck:
            struck.append(node)
            return what(reply)
        return reply

    return change


def test_honest_regions_finish_every_round(world: World) -> None:
    """Three rounds, each with every region's bytes, none void."""
    finished, events = run(world, honest)

    assert [one.round_ for one in finished] == [0, 1, 2]
    assert all(len(one.bytes_in) == 5 for one in finished)
    assert "void" not in events


_BEFORE_CONSENT = [
    MessageKind.TRAIN_START,
    MessageKind.QUERY_ENCAPS,
    MessageKind.QUERY_SHARES,
    MessageKind.QUERY_ACCEPT,
    MessageKind.TRAIN_MASKED,
]


def _mostly_slow(kinds: list[MessageKind], quick: MessageKind) -> list[object]:
    """Return parameters of which all but one wait for CI."""
    return [kind if kind is quick else pytest.param(kind, marks=pytest.mark.slow) for kind in kinds]


@pytest.mark.parametrize("kind", _mostly_slow(_BEFORE_CONSENT, MessageKind.TRAIN_MASKED))
@pytest.mark.parametrize(
    "what",
    [
        lambda reply: Envelope(b"garbage"),
        lambda reply: Envelope(reply.body[:-1] + b"x", reply.chunks),
    ],
    ids=["garbage", "bad signature"],
)
def test_a_faulty_region_costs_the_sum_its_delta(
    world: World, kind: MessageKind, what: Callable[[Envelope], Reply]
) -> None:
    """No attempt is void; the others' sum is published."""
    finished, events = run(world, _once(kind, what))

    _without_b(world, finished)
    assert events.count("void") == 0


@pytest.mark.parametrize("kind", [MessageKind.QUERY_CONSENT, MessageKind.QUERY_UNMASK])
def test_a_region_lost_after_its_vector(world: World, kind: MessageKind) -> None:
    """Before its consent it costs an attempt, as all of up to nine must consent; after it, none."""
    lost = _once(kind, lambda reply: TransportError(1, "error 5"))
    finished, events = run(world, lost)

    assert [len(one.bytes_in) for one in finished] == [5, 5, 5]
    assert events.count("void") == (kind is MessageKind.QUERY_CONSENT)


@pytest.mark.slow
@pytest.mark.parametrize("any_survivors", [False, True])
def test_a_region_that_missed_a_sum_gets_it(tmp_path: Path, any_survivors: bool) -> None:
    """Away for all of the first round, it is brought up to date before the second.

    It takes part again where the plan allows any survivors; where not, its delta would be the
    difference of two sums.
    """
    rule = f"any_survivors = {str(any_survivors).lower()}"
    world = region_builder.make(tmp_path, federation=rule)
    world.approve_all()
    finished, events = run(world, honest, away=2)  # neither the start nor the sum reached it

    _without_b(world, finished)
    with Ledger.open(world.run.region("b").ledger, clock=clock) as ledger:
        contexts = ledger.state.seen_contexts(world.plan.hash)
    chain = load_chain(world.run.region("b"), world.plan.hash, finished[0].model)
    assert (chain.next_round, chain.model.hash) == (3, finished[-1].model.hash)
    assert len(contexts) == 2
    assert [len(one.bytes_in) for one in finished] == ([4, 5, 5] if any_survivors else [4, 4, 4])
    assert "void" not in events


def test_a_lost_vector_is_asked_for_again(world: World) -> None:
    """The region sends the same bytes once more, within the same attempt."""
    lost = _once(MessageKind.TRAIN_MASKED, lambda reply: TransportError(1, "error 5"))
    finished, events = run(world, lost)

    assert len(finished) == 3
    assert "void" not in events
    assert "lost" in events


def test_a_vector_with_a_changed_byte_never_reaches_the_sum(world: World) -> None:
    """Its chunk is not the signed one: the sum is over the others."""

    def flip(reply: Envelope) -> Envelope:
        first = reply.chunks[0]
        changed = bytes([first[0] ^ 1]) + bytes(first[1:])
        return Envelope(reply.body, (changed, *reply.chunks[1:]))

    finished, events = run(world, _once(MessageKind.TRAIN_MASKED, flip))

    _without_b(world, finished)
    assert events.count("void") == 0
    assert "refused" in events


def test_regions_that_never_answer_end_the_run(world: World) -> None:
    """With too few left, the coordinator stops after three attempts and names who is missing."""

    def silent(node: int, kind: MessageKind, reply: Envelope) -> Reply:
        return TransportError(node, "deadline") if node in (2, 3) else reply

    with pytest.raises(RunFailedError, match="c, d"):
        run(world, silent)


def test_regions_countersign_every_sum(world: World) -> None:
    """Five receipts a round, each for the transcript as it was published."""
    finished, _ = run(world, honest)
    for one in finished:
        published = PublishedRounds(world.run.root / "rounds")
        digest = transcript_hash(published.transcript(one.round_))
        parcel = (world.run.root / "rounds" / f"{one.round_:05d}.receipts").read_bytes()
        receipts = [Receipt.from_bytes(item) for item in Parcel.from_bytes(parcel).items]
        assert [receipt.transcript_hash for receipt in receipts] == [digest] * 5


@pytest.mark.parametrize(
    "kind",
    _mostly_slow(
        [*_BEFORE_CONSENT, MessageKind.QUERY_CONSENT, MessageKind.QUERY_UNMASK],
        MessageKind.QUERY_UNMASK,
    ),
)
def test_a_coordinator_that_died_in_a_round_goes_on_with_the_next_attempt(
    world: World, kind: MessageKind
) -> None:
    """Its folder says which; no region is asked twice for one attempt, and the run finishes."""

    def die(reply: Envelope) -> Reply:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(world, _once(kind, die))
    finished, events = run(world, honest)
    lines = (world.run.root / "transcript.jsonl").read_text().splitlines()
    opened = [found["context"] for line in lines if (found := json.loads(line)).get("signed")]

    assert [one.round_ for one in finished] == [0, 1, 2]
    assert len(set(opened)) == len(opened) == 4
    assert "void" not in events
    assert events.count("left") == 0


def test_a_silent_region_does_not_keep_the_others_from_being_asked(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One request never waits for all of a long stage: who was still training is asked again."""
    monkeypatch.setattr("tests.server.direct.MASKED_S", 3600)
    transports = _remembered(monkeypatch)
    pending: Counter[int] = Counter()

    def slow(node: int, kind: MessageKind, reply: Envelope) -> Reply:
        if kind is not MessageKind.TRAIN_MASKED:
            return reply
        pending[node] += 1
        if node == 1:
            return TransportError(node, "deadline")
        body = Pending(Masked.from_bytes(reply.body).context).to_bytes()
        return Envelope(body) if pending[node] % 3 else reply

    finished, _ = run(world, slow)
    asked = [limit for kind, limit in transports[0].deadlines if kind is MessageKind.TRAIN_MASKED]

    assert [len(one.bytes_in) for one in finished] == [4, 4, 4]
    assert max(asked) <= 15


def test_a_region_that_is_always_behind_is_brought_up_to_date_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may say so for ever; the coordinator sends each sum once an attempt and goes on."""
    transports = _remembered(monkeypatch)
    plan_hash = bytes.fromhex(world.plan.hash)

    def behind(node: int, kind: MessageKind, reply: Envelope) -> Reply:
        if node != 1 or kind is not MessageKind.TRAIN_START:
            return reply
        return Envelope(Behind(plan_hash=plan_hash, uid=bytes(16), round_=0).to_bytes())

    finished, _ = run(world, behind)
    sums = sum(asked == (1, MessageKind.QUERY_SUM) for asked in transports[0].asked)

    assert [len(one.bytes_in) for one in finished] == [4, 4, 4]
    assert sums <= 3 + 1 + 2  # each round's own, and what it claims to have missed before


def test_after_shares_were_asked_for_only_the_same_survivors_are_summed(world: World) -> None:
    """Some may have given them: a smaller list would leave those regions without the sum."""
    lost: Counter[MessageKind] = Counter()

    def lose(node: int, kind: MessageKind, reply: Envelope) -> Reply:
        strikes = (node in (1, 2) and kind is MessageKind.QUERY_UNMASK and lost[kind] < 2) or (
            node == 1
            and kind is MessageKind.QUERY_ACCEPT
            and lost[MessageKind.QUERY_UNMASK] == 2
            and lost[kind] < 1
        )
        lost[kind] += strikes
        return TransportError(node, "error 5") if strikes else reply

    finished, events = run(world, lose)

    assert [len(one.bytes_in) for one in finished] == [5, 5, 5]
    assert events.count("void") == 2


@pytest.mark.slow
def test_a_finished_run_has_no_round_left(world: World) -> None:
    """Opened again, it does nothing; regions are not even asked."""
    run(world, honest)

    assert run(world, lambda *sent: pytest.fail("a region was asked"))[0] == []


@pytest.mark.slow
def test_a_lost_region_is_asked_seldom_and_never_past_the_deadline(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its errors come at once: the coordinator waits longer each time, within one deadline."""

    def undelivered(node: int, kind: MessageKind, reply: Envelope) -> Reply:
        lost = node == 1 and kind is MessageKind.TRAIN_MASKED
        return TransportError(node, "undelivered") if lost else reply

    transports = _remembered(monkeypatch)
    finished, _ = run(world, undelivered)
    (transport,) = transports
    asked = [limit for kind, limit in transport.deadlines if kind is MessageKind.TRAIN_MASKED]

    assert [len(one.bytes_in) for one in finished] == [4, 4, 4]
    assert len(asked) <= 3 * 9  # three rounds of five seconds: 0.05 s, 0.1 s, 0.2 s, …
    assert max(asked) <= MASKED_S + 1e-6  # the clock is a float
    assert min(asked) < MASKED_S / 2


@pytest.mark.slow
def test_a_region_that_is_never_ready_is_left_out_by_the_clock(world: World) -> None:
    """It is asked again and again until the deadline of the stage; then the others go on."""

    def pending(node: int, kind: MessageKind, reply: Envelope) -> Reply:
        if node != 1 or kind is not MessageKind.TRAIN_MASKED:
            return reply
        return Envelope(Pending(Masked.from_bytes(reply.body).context).to_bytes())

    finished, _ = run(world, pending)

    assert all(set(one.bytes_in) == {"a", "c", "d", "e"} for one in finished)


@pytest.mark.parametrize("kind", _mostly_slow(_BEFORE_CONSENT, MessageKind.QUERY_SHARES))
def test_a_region_that_refuses_is_on_record_by_its_code(world: World, kind: MessageKind) -> None:
    """The coordinator learns a fixed word, and goes on without it."""
    refusal = Refusal(uid=region_uid("b"), code=AbortCode.REFUSED_LOCALLY).to_bytes()
    finished, events = run(world, _once(kind, lambda reply: Envelope(refusal)))

    _without_b(world, finished)
    assert events.count("left") == 1
    assert events.count("void") == 0


@pytest.mark.slow
def test_a_region_cannot_speak_for_another(world: World) -> None:
    """A node that repeats another's advert is refused; the round waits for the real one."""
    adverts: list[Envelope] = []

    def echo(node: int, kind: MessageKind, reply: Envelope) -> Reply:
        if kind is not MessageKind.TRAIN_START or node > 1 or len(adverts) == 2:
            return reply
        adverts.append(reply)
        return adverts[0]

    finished, events = run(world, echo)

    _without_b(world, finished)
    assert events.count("refused") == 1


@pytest.mark.slow
def test_the_coordinator_waits_for_regions_that_come_late(world: World) -> None:
    """Nodes that join within the deadline are not a void round."""
    _, events = run(world, honest, late=3)

    assert "void" not in events
