from __future__ import annotations

import copy
import pickle
from collections.abc import Iterable

import numpy as np
import pytest

from protocol.config import Kem
from protocol.errors import AbortCode, MalformedMessageError, OutOfOrderError
from protocol.history import MemoryHistory, Reveal
from protocol.identity import SERVER_UID
from protocol.messages import Advertise, Checkpoint, Masked
from protocol.region import RegionRound, State
from protocol.share_messages import Accepted, Parcel, Shares
from protocol.unmask_messages import Consent, Survivors, Unmask
from tests.protocol.attacks import (
    CALLS,
    Contested,
    aborting,
    assert_ended,
    call,
    contested,
    parts_of,
    secrets_of,
)
from tests.protocol.builders import LATER, NOW, STAGES, Delta, Federation, identity, payload

FEDERATION = Federation(3, kem=Kem.X25519)
HYBRID = Federation(4)
ME, PEER, LAST = FEDERATION.names
STATES = (
    State.IDLE,
    State.ADVERTISED,
    State.KEYED,
    State.DEALT,
    State.ACCEPTED,
    State.MASKED,
    State.CONSENTED,
    State.DONE,
    State.ABORTED,
)


def at(state: State, federation: Federation = FEDERATION) -> Contested:
    """Return a round whose first region is in this state."""
    play = contested(federation)
    position = STATES.index(state)
    play.until(STAGES[min(position, len(STAGES) - 1)])
    if state is State.DONE:
        play.unmask()
    elif state is State.ABORTED:
        play.regions[federation.names[0]].abort()
    return play


def test_the_secrets_of_a_round_are_not_stored() -> None:
    """Apart from the region that holds them, neither pickle nor copy takes them."""
    region = FEDERATION.play().until("mask").regions[FEDERATION.names[0]]
    for leave in pickle.dumps, copy.copy, copy.deepcopy:
        with pytest.raises(TypeError, match="secrets of one round"):
            leave(region._secrets)


def test_each_call_leads_to_the_next_state() -> None:
    """Seven calls, seven states; what each one returns is the next message of the round."""
    play = contested(FEDERATION)
    region = play.regions[ME]
    messages = []
    for stage, before, after in zip(STAGES, STATES, STATES[1:], strict=False):
        assert region.state is before
        messages.append(play.answer(stage, region, play.asked(stage, region)))
        assert region.state is after
        play.take(stage, messages[-1])
        play.regions = {name: one for name, one in play.regions.items() if name != ME}
        play.exchange(stage)
        play.regions[ME] = region
    readers = (Advertise, Parcel, Shares, Accepted, None, Consent, Unmask)
    for reader, message in zip(readers, messages, strict=True):
        read = reader.from_bytes(message) if reader else Masked.from_bytes(message[0])
        assert read.uid == region.uid
    assert [int(word) for word in play.server.close().words] == play.sum_over(*FEDERATION.names)


OUT_OF_ORDER = [
    (state, name)
    for position, state in enumerate(STATES)
    for name in CALLS
    if state in (State.DONE, State.ABORTED) or name != CALLS[position]
]


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.name)
def test_any_other_call_ends_the_round(state: State) -> None:
    """In every state six of the seven calls, and in the last two all, lead to ABORTED."""
    for came, name in OUT_OF_ORDER:
        if came is state:
            region = at(state).regions[ME]
            with pytest.raises(OutOfOrderError, match=f"it came in {state.name}"):
                call(region, name, b"")
            assert_ended(region)


@pytest.mark.parametrize("position", range(len(CALLS)), ids=CALLS)
def test_bytes_that_are_no_message_end_the_round(position: int) -> None:
    """Whatever state the region is in."""
    region = at(STATES[position]).regions[ME]
    with pytest.raises(MalformedMessageError):
        call(region, CALLS[position], b"FSA1")
    assert_ended(region)


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.name)
def test_a_region_can_leave_at_any_time(state: State) -> None:
    """Its secrets go with it."""
    region = at(state).regions[ME]
    region.abort()
    assert_ended(region)


@pytest.mark.parametrize("state", STATES[1:7], ids=lambda state: state.name)
def test_a_round_in_progress_has_secrets_that_leave_it_by_no_way(state: State) -> None:
    """Neither ``repr`` nor pickle nor copy shows them; and the walk that looks for them works."""
    region = at(state, HYBRID).regions[HYBRID.names[0]]
    assert secrets_of(region)
    for leave in pickle.dumps, copy.copy, copy.deepcopy:
        with pytest.raises(TypeError, match="secret"):
            leave(region)
    assert repr(region) == f"RegionRound(uid={region.uid.hex()}, state={state.name})"


def test_no_secret_outlives_the_round() -> None:
    """Whatever was secret in any state is in reach of nothing after DONE."""
    play = contested(HYBRID)
    region = play.regions[HYBRID.names[0]]
    secret: set[bytes] = set()
    for stage in STAGES:
        play.exchange(stage)
        if stage == "accept":
            seeds = {pair.seed for pair in region._secrets.pairs.values()}
            secret |= seeds | {pair.key_up for pair in region._secrets.pairs.values()}
            secret |= {share.own.share for share in region._secrets.held.values()}
            secret |= {share.escrow.salt for share in region._secrets.held.values()}
            assert region._secrets.dealt is not None
            secret |= {region._secrets.dealt.self_seed, region._secrets.dealt.own_share.share}
            assert secret <= bytes_in_reach(region)
        if stage == "mask":
            assert not seeds & bytes_in_reach(region)
    assert region.state is State.DONE
    assert not secrets_of(region)
    assert not secret & bytes_in_reach(region)
    assert len(secret) == 3 + 3 + 3 + 3 + 2


def bytes_in_reach(region: RegionRound) -> set[bytes]:
    """Return all bytes that a region's attributes lead to."""
    return {part for part in parts_of(vars(region)) if isinstance(part, bytes)}


DELTAS = [
    (np.zeros(4), AbortCode.BAD_LENGTH),
    (np.zeros(6), AbortCode.BAD_LENGTH),
    (np.zeros((5, 1)), AbortCode.BAD_LENGTH),
    (np.full(5, np.nan), AbortCode.NONFINITE_INPUT),
    (np.full(5, -np.inf), AbortCode.NONFINITE_INPUT),
]


@pytest.mark.parametrize(("delta", "code"), DELTAS, ids=lambda value: str(value).split("\n")[0])
def test_a_delta_that_cannot_be_sent_ends_the_round(delta: Delta, code: AbortCode) -> None:
    """Nothing is sent, and the seeds are gone."""
    play = at(State.ACCEPTED)
    region = play.regions[ME]
    with aborting(code):
        region.mask(play.server.members(), delta, payload_sha256=payload(ME))
    assert_ended(region)


def test_the_masked_message_says_what_was_sent() -> None:
    """Sender, peers, size, hashes, checkpoint; and what was clipped is not among it."""
    play = at(State.ACCEPTED)
    region = play.regions[PEER]
    members, delta = play.server.members(), np.full(5, 2.0, np.float32)
    masked, chunks = region.mask(members, delta, payload_sha256=payload(PEER), checkpoint=b"note")
    message = Masked.from_bytes(masked)
    message.verify(identity(PEER).public_bytes())
    assert message.context == region.context == FEDERATION.config.context()
    assert message.uid == region.uid == FEDERATION.uids[1]
    assert message.base == (FEDERATION.uids[0], FEDERATION.uids[2])
    assert message.size_bytes == sum(map(len, chunks)) == 20
    assert message.checkpoint == b"note"
    assert region.saturated == 5
    assert (delta == 2.0).all()


def test_a_checkpoint_that_is_too_long_ends_the_round() -> None:
    """A vector whose message cannot be read is not sent at all."""
    play = at(State.ACCEPTED)
    region = play.regions[ME]
    with pytest.raises(MalformedMessageError):
        region.mask(
            play.server.members(), np.zeros(5), payload_sha256=payload(ME), checkpoint=bytes(1025)
        )
    assert_ended(region)


def test_the_configuration_is_there_once_it_is_checked() -> None:
    """Before that, and after a start that was refused, asking for it is out of order."""
    region = FEDERATION.region(ME)
    for _ in range(2):
        with pytest.raises(OutOfOrderError, match="call start first"):
            _ = region.config
        with pytest.raises(OutOfOrderError, match="call start first"):
            _ = region.context
        with pytest.raises((OutOfOrderError, MalformedMessageError)):
            region.start(b"")
    region = FEDERATION.region(ME)
    region.start(FEDERATION.signed())
    assert region.config == FEDERATION.config
    assert region.context == FEDERATION.config.context()


def test_a_round_that_the_policy_forbids_is_not_taken() -> None:
    """No key is made, and the history does not hold it."""
    history = MemoryHistory()
    region = FEDERATION.region(ME, history=history)
    with aborting(AbortCode.MODEL_MISMATCH):
        region.start(FEDERATION.signed(model_hash=b"m" * 32))
    assert_ended(region)
    assert history.latest(FEDERATION.config.plan_hash) is None


def test_only_a_region_of_the_registry_takes_part() -> None:
    """Another key is no region, whatever it is called."""
    with aborting(AbortCode.UNKNOWN_REGION):
        FEDERATION.region("nobody")


def test_the_clock_decides_whether_the_registry_still_holds() -> None:
    """A region takes no round when the records are past their date."""
    region = FEDERATION.region(ME, now=LATER)
    with aborting(AbortCode.EXPIRED):
        region.start(FEDERATION.signed())
    assert FEDERATION.region(ME, now=NOW).start(FEDERATION.signed())


class BrokenDisk(MemoryHistory):
    """A history that cannot write one kind of entry."""

    def __init__(self, broken: str) -> None:
        super().__init__()
        self._broken = broken

    def accept(self, *, plan_hash: bytes, round_: int, attempt: int, context: bytes) -> None:
        if self._broken == "accept":
            raise OSError("no space left")
        super().accept(plan_hash=plan_hash, round_=round_, attempt=attempt, context=context)

    def reveal(self, reveal: Reveal) -> None:
        raise OSError("no space left")


def test_no_key_leaves_before_the_round_is_written_down() -> None:
    """What the history cannot hold is not started."""
    region = FEDERATION.region(ME, history=BrokenDisk("accept"))
    with pytest.raises(OSError, match="no space"):
        region.start(FEDERATION.signed())
    assert_ended(region)


def test_no_share_leaves_before_the_reveal_is_written_down() -> None:
    """What the history cannot hold is not revealed."""
    play = contested(FEDERATION, histories={ME: BrokenDisk("reveal")}).until("unmask")
    region = play.regions[ME]
    with pytest.raises(OSError, match="no space"):
        region.on_consents(play.server.consents())
    assert_ended(region)


def test_a_reveal_is_written_down_with_what_it_was_for() -> None:
    """Round, attempt, list and delta; before the last call there is none."""
    history = MemoryHistory()
    plan, round_ = FEDERATION.config.plan_hash, FEDERATION.config.round_
    play = contested(FEDERATION, histories={ME: history}).until("unmask")
    assert history.revealed(plan, round_) is None
    play.unmask()
    assert history.revealed(plan, round_) == Reveal(
        plan_hash=plan,
        round_=round_,
        context=FEDERATION.config.context(),
        survivors=FEDERATION.uids,
        payload_sha256=payload(ME),
    )


class Watching(MemoryHistory):
    """A history that keeps the checkpoints that it is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[bytes] = []

    def saw(self, checkpoints: Iterable[Checkpoint]) -> None:
        self.shown += [one.note for one in checkpoints]


def test_a_region_keeps_the_others_checkpoints() -> None:
    """Those that came with the list of survivors, and not its own."""
    histories = {name: Watching() for name in FEDERATION.names}
    play = contested(FEDERATION, histories=histories).until("mask")
    members = play.server.members()
    for name in FEDERATION.names:
        note = f"ledger of {name}".encode()
        sent = play.regions[name].mask(
            members, play.inputs[name], payload_sha256=payload(name), checkpoint=note
        )
        play.server.on_masked(*sent)
    play.consent()
    for name in FEDERATION.names:
        others = [f"ledger of {peer}".encode() for peer in FEDERATION.names if peer != name]
        assert histories[name].shown == others


def test_a_consent_names_one_list() -> None:
    """It is signed for the roster, and it covers the checkpoints, too."""
    play = at(State.MASKED)
    survivors = play.server.survivors()
    consent = Consent.from_bytes(play.regions[ME].on_survivors(survivors))
    consent.verify(identity(ME).public_bytes())
    message = Survivors.from_bytes(survivors)
    assert message.uid == SERVER_UID
    assert consent.survivors_hash == message.hash()
    assert consent.roster_hash == message.roster_hash


def test_shares_are_of_one_kind_for_each_region() -> None:
    """Of a survivor's mask, or of a lost region's escrow; never both, and one's own mask once."""
    play = contested(HYBRID).until("mask")
    first, *others = HYBRID.names
    play.server.members()
    play.lose(first)
    play.mask()
    play.consent()
    message = Unmask.from_bytes(play.regions[others[0]].on_consents(play.server.consents()))
    message.verify(identity(others[0]).public_bytes())
    assert tuple(share.dealer for share in message.self_shares) == HYBRID.uids[1:]
    assert tuple(share.dealer for share in message.escrow_shares) == HYBRID.uids[:1]
