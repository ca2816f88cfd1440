"""What attacks have in common: a round in which the server, some regions or both lie.

Whatever is honest in it is the real class. A lie changes one message on its way, and knows all
that its author knows; whoever refuses a message leaves the round, and the others go on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias, TypeVar

import numpy as np
import pytest

from protocol import sealing, shamir
from protocol.dealing import Dealt
from protocol.encoding import tagged_hash
from protocol.errors import AbortCode, AbortError, OutOfOrderError, ProtocolError
from protocol.history import History, MemoryHistory, Reveal
from protocol.identity import region_uid
from protocol.keys import Encapsulated, PairSecret, RoundKeys
from protocol.messages import Checkpoint
from protocol.region import RegionRound, State
from protocol.sealing import DealtShares
from protocol.share_messages import Dealing, Members, Shares
from protocol.signed import Signed
from protocol.unmask_messages import RevealedShare
from tests.protocol.builders import (
    STAGES,
    Federation,
    Play,
    identity,
    payload,
)

Message = TypeVar("Message", bound=Signed)
Lie: TypeAlias = "Callable[[Contested, RegionRound, Any], Any]"
Lies: TypeAlias = Mapping[tuple[str, str], Lie]

CALLS = ("start", "on_roster", "on_encaps", "on_shares", "mask", "on_survivors", "on_consents")
TAKES = (
    "on_advert",
    "on_encaps",
    "on_shares",
    "on_accepted",
    "on_masked",
    "on_consent",
    "on_unmask",
)


@dataclass
class Contested(Play):
    """A round in which some messages are lies.

    Attributes:
        up: What is sent to the server instead, by stage and name; None is nothing at all.
        down: What the region gets from the server instead.
        ledgers: Whose vectors carry a checkpoint, and of what.
        refused: Whose message the server refused, and why; they are lost.
        left: Who left the round, and why.
        gone: The regions that were refused or left.
    """

    up: Lies = field(default_factory=dict)
    down: Lies = field(default_factory=dict)
    ledgers: Mapping[str, LedgerHistory] = field(default_factory=dict)
    refused: dict[str, ProtocolError] = field(default_factory=dict)
    left: dict[str, ProtocolError] = field(default_factory=dict)
    gone: dict[str, RegionRound] = field(default_factory=dict)

    def until(self, stage: str) -> Contested:
        """Play every stage before this one."""
        super().until(stage)
        return self

    def lose(self, *names: str) -> Contested:
        """Lose these regions for good."""
        super().lose(*names)
        return self

    def asked(self, stage: str, region: RegionRound) -> bytes:
        """Return what the honest server sends to a region in this stage."""
        server = self.server
        ask: Mapping[str, Callable[[], bytes]] = {
            "advertise": lambda: server.signed_config,
            "key": server.roster,
            "deal": lambda: server.encaps_for(region.uid),
            "accept": lambda: server.shares_for(region.uid),
            "mask": server.members,
            "consent": server.survivors,
            "unmask": server.consents,
        }
        return ask[stage]()

    def answer(self, stage: str, region: RegionRound, message: bytes) -> Any:
        """Return what the region answers: bytes, or a vector with its chunks."""
        if stage != "mask":
            return getattr(region, CALLS[STAGES.index(stage)])(message)
        name = self.name_of(region)
        ledger = self.ledgers.get(name)
        checkpoint = ledger.checkpoint() if ledger else b""
        self.masked[name] = region.mask(
            message, self.inputs[name], payload_sha256=payload(name), checkpoint=checkpoint
        )
        return self.masked[name]

    def take(self, stage: str, message: Any) -> None:
        """Give the server what a region answered."""
        call = getattr(self.server, TAKES[STAGES.index(stage)])
        if stage == "mask":
            call(*message)
        else:
            call(message)

    def exchange(self, stage: str) -> None:
        """Play one stage with whoever is there and asked."""
        for region in self._asked_in(stage):
            name = self.name_of(region)
            tell, lie = self.down.get((stage, name), honest), self.up.get((stage, name), honest)
            try:
                told = tell(self, region, self.asked(stage, region))
                sent = lie(self, region, self.answer(stage, region, told))
            except ProtocolError as error:
                self._lose(name, self.left, error)
                continue
            try:
                if sent is not None:
                    self.take(stage, sent)
            except ProtocolError as error:
                self._lose(name, self.refused, error)

    def advertise(self) -> None:
        self.exchange("advertise")

    def key(self) -> None:
        self.exchange("key")

    def deal(self) -> None:
        self.exchange("deal")

    def accept(self) -> None:
        self.exchange("accept")

    def mask(self) -> None:
        self.exchange("mask")

    def consent(self) -> None:
        self.exchange("consent")

    def unmask(self) -> None:
        self.exchange("unmask")

    def name_of(self, region: RegionRound) -> str:
        """Return the region's name."""
        return self.federation.registry.record(region.uid).name

    def sum_over(self, *names: str) -> list[int]:
        """Return the words of the sum over these regions, without any protocol."""
        return [int(word) for word in self.expected_sum(names)]

    def _asked_in(self, stage: str) -> list[RegionRound]:
        there = list(self.regions.values())
        if not there or STAGES.index(stage) < STAGES.index("mask"):
            return there
        told = self.asked(stage, there[0])
        among = Members.from_bytes(told).uids if stage == "mask" else self.server.expected
        return [region for region in there if region.uid in among]

    def _lose(self, name: str, where: dict[str, ProtocolError], error: ProtocolError) -> None:
        where[name] = error
        self.gone[name] = self.regions.pop(name)


def honest(play: Contested, region: RegionRound, message: Any) -> Any:
    """Change nothing."""
    return message


def contested(
    federation: Federation,
    *,
    up: Lies | None = None,
    down: Lies | None = None,
    histories: Mapping[str, History] | None = None,
    ledgers: Mapping[str, LedgerHistory] | None = None,
    policy: Mapping[str, Any] | None = None,
    **changes: Any,
) -> Contested:
    """Return a round in which nobody has sent anything yet."""
    play = federation.play(histories=histories or ledgers, policy=policy, **changes)
    return Contested(
        federation, play.server, play.regions, up=up or {}, down=down or {}, ledgers=ledgers or {}
    )


class LedgerHistory(MemoryHistory):
    """A history with a ledger: a chain of hashes, and a checkpoint is its length and last hash.

    A copy of it is what a restored folder holds.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.heads: list[bytes] = []
        self.seen: dict[bytes, Checkpoint] = {}

    def append(self, entry: bytes) -> None:
        """Make the ledger one entry longer."""
        before = self.heads[-1] if self.heads else b""
        self.heads.append(tagged_hash("test/entry", before, entry))

    def checkpoint(self) -> bytes:
        """Return the signed checkpoint of this ledger."""
        return self._note(len(self.heads))

    def accept(self, *, plan_hash: bytes, round_: int, attempt: int, context: bytes) -> None:
        super().accept(plan_hash=plan_hash, round_=round_, attempt=attempt, context=context)
        self.append(context)

    def reveal(self, reveal: Reveal) -> None:
        super().reveal(reveal)
        self.append(b"".join(reveal.survivors))

    def checkpoints(self) -> tuple[Checkpoint, ...]:
        return tuple(self.seen[uid] for uid in sorted(self.seen))

    def saw(self, checkpoints: Iterable[Checkpoint]) -> None:
        for one in checkpoints:
            known = self.seen.get(one.uid)
            if known is None or _length(one.note) > _length(known.note):
                self.seen[one.uid] = one

    def is_behind(self, note: bytes) -> bool:
        body, signature = note[:40], note[40:]
        if signature != self._sign(body):
            return False
        return _length(note) > len(self.heads) or note != self._note(_length(note))

    def _note(self, length: int) -> bytes:
        body = length.to_bytes(8, "big") + (self.heads[length - 1] if length else bytes(32))
        return body + self._sign(body)

    def _sign(self, body: bytes) -> bytes:
        ledger = identity(self.name + "/ledger")
        uid = region_uid(self.name)
        return ledger.sign("test/checkpoint", context=bytes(32), uid=uid, body=body)


def _length(note: bytes) -> int:
    return int.from_bytes(note[:8], "big")


def resigned(message: Message, name: str, **changes: Any) -> Message:
    """Return the message with other fields, signed by this name."""
    return replace(message, **changes).signed_by(identity(name))


@contextmanager
def aborting(code: AbortCode, uid: bytes | None = None) -> Iterator[None]:
    """Expect a check to fail, with this code and this party to blame."""
    with pytest.raises(ProtocolError) as caught:
        yield
    assert caught.value.code is code
    assert blamed(caught.value) == uid


def blamed(error: ProtocolError) -> bytes | None:
    """Return whom an error names, if it names anybody."""
    return error.uid if isinstance(error, AbortError) else None


def assert_ended(region: RegionRound) -> None:
    """Check that a region has left its round, without its secrets, and answers nothing more."""
    assert region.state is State.ABORTED
    assert not secrets_of(region)
    for name in CALLS:
        with pytest.raises(OutOfOrderError):
            call(region, name, b"")


def call(region: RegionRound, name: str, message: bytes) -> Any:
    """Make one call of a region."""
    if name == "mask":
        return region.mask(message, np.zeros(5), payload_sha256=bytes(32))
    return getattr(region, name)(message)


_SECRETS = (RoundKeys, Encapsulated, PairSecret, Dealt, DealtShares, RevealedShare)


def secrets_of(region: RegionRound) -> list[object]:
    """Return every secret of the round that is in reach of a region's attributes."""
    return [part for part in parts_of(vars(region)) if isinstance(part, _SECRETS)]


def parts_of(value: object) -> Iterator[object]:
    """Yield a value and everything in reach of it, through containers and our own objects."""
    yield value
    if isinstance(value, Mapping):
        inside: Iterable[object] = [*value.keys(), *value.values()]
    elif isinstance(value, (tuple, list, set, frozenset)):
        inside = value
    elif type(value).__module__.startswith("protocol."):
        slots = [name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ())]
        inside = [getattr(value, name) for name in [*slots, *getattr(value, "__dict__", ())]]
    else:
        inside = ()
    for part in inside:
        yield from parts_of(part)


def dealt_by(region: RegionRound, shares: Shares, holder: bytes) -> DealtShares:
    """Return what a region dealt to a holder; only the two of them can."""
    return sealing.open_shares(
        _box_key(region, holder),
        shares.dealing_to(holder).box,
        roster_hash=shares.roster_hash,
        dealer=region.uid,
        holder=holder,
    )


def secret_of(region: RegionRound, shares: Shares, cohort: tuple[bytes, ...], least: int) -> bytes:
    """Return the secret of a region's escrow, which it forgot, from the shares that it dealt."""
    values = {
        cohort.index(holder) + 1: shamir.from_bytes(dealt_by(region, shares, holder).escrow.share)
        for holder in shares.recipients[:least]
    }
    return shamir.to_bytes(shamir.combine(values, shamir.basis(tuple(values))))


def redealing(
    change: Callable[[DealtShares], DealtShares],
    *,
    to: Iterable[str] | None = None,
    commit: bool = False,
    **dealing: Any,
) -> Lie:
    """Return the lie of a dealer who seals other shares for some of its peers.

    Args:
        change: What it deals instead.
        to: Whom; everybody if None.
        commit: Whether it commits to what it deals, instead of what it should have dealt.
        dealing: Other fields of the message to each of them.
    """

    def lie(play: Contested, region: RegionRound, message: bytes) -> bytes:
        shares, name = Shares.from_bytes(message), play.name_of(region)
        chosen = shares.recipients if to is None else tuple(map(region_uid, to))
        dealings = []
        for old in shares.dealings:
            if old.recipient in chosen:
                holder = old.recipient
                dealt = change(dealt_by(region, shares, holder))
                box = sealing.seal_shares(
                    _box_key(region, holder), dealt, roster_hash=old.roster_hash, holder=holder
                )
                new = replace(old, box=box, **(_commitments(old, dealt) if commit else {}))
                old = resigned(new, name, **dealing)
            dealings.append(old)
        return resigned(shares, name, dealings=tuple(dealings)).to_bytes()

    return lie


def _commitments(old: Dealing, dealt: DealtShares) -> Mapping[str, bytes]:
    scope, holder = old.roster_hash, old.recipient
    own = sealing.commit_share(sealing.SELF, dealt.own, roster_hash=scope, holder=holder)
    escrow = sealing.commit_share(sealing.ESCROW, dealt.escrow, roster_hash=scope, holder=holder)
    return {"self_share": own, "escrow_share": escrow}


def _box_key(region: RegionRound, holder: bytes) -> bytes:
    pair = region._secrets.pairs[holder]
    return pair.key_up if region.uid < holder else pair.key_down


def one_more(share: RevealedShare) -> RevealedShare:
    """Return a share whose value is one larger."""
    value = (shamir.from_bytes(share.share) + 1) % shamir.PRIME
    return replace(share, share=shamir.to_bytes(value))
