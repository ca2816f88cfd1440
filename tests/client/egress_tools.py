"""Regions behind their gates, and handlers that are not to be trusted."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import cast

from client.egress import EgressGate, open_gate
from client.handler import RegionHandler
from client.manifest import Departure
from protocol.envelope import Envelope, MessageKind
from protocol.identity import Identity
from protocol.messages import Advertise, Masked
from protocol.transcript import PublishedSum
from protocol.unmask_messages import Unmask
from simulations.lies import Lie, LyingRegion
from tests.client.region_builder import STAGES, World, ask, clock, play, publish, take

QUESTION = Envelope(b"question")


def gate_of(
    world: World, name: str, region: RegionHandler, *, lie: Lie = lambda kind, answer: answer
) -> EgressGate:
    """Return a region behind its gate, which may lie to it."""
    folder, ledger = world.run.region(name), region._training.ledger
    return open_gate(folder, LyingRegion(region, lie), ledger=ledger, clock=clock)


def asked(gate: EgressGate) -> RegionHandler:
    """Return a gate as `ask` and `play` take a region; they use ``uid`` and ``handle`` only."""
    return cast(RegionHandler, gate)


def prepare_for(
    kind: MessageKind, world: World, regions: Mapping[str, RegionHandler]
) -> Callable[[EgressGate], Envelope]:
    """Play the first round up to a request, and return what makes it of a region."""
    one = world.round(0)
    play(one, regions, until=kind)
    if kind is not MessageKind.QUERY_SUM:
        return lambda gate: ask(one, asked(gate), kind)
    published: PublishedSum = one.close()
    return lambda gate: gate.handle(kind, publish(published))


def answers_of_a_round(
    world: World, gates: Mapping[str, EgressGate]
) -> dict[tuple[str, MessageKind], Envelope]:
    """Play a whole round through gates, and return every answer."""
    one = world.round(0)
    answers: dict[tuple[str, MessageKind], Envelope] = {}
    for kind in STAGES:
        for name, gate in gates.items():
            answers[name, kind] = ask(one, asked(gate), kind)
            take(one, kind, answers[name, kind])
    published = one.close()
    for name, gate in gates.items():
        answers[name, MessageKind.QUERY_SUM] = gate.handle(
            MessageKind.QUERY_SUM, publish(published)
        )
    return answers


@dataclass(frozen=True, slots=True)
class Says:
    """A handler that says one thing, whatever it is asked."""

    uid: bytes
    answer: Envelope

    def handle(self, kind: MessageKind, request: Envelope) -> Envelope:
        return self.answer


@dataclass(frozen=True, slots=True, repr=False)
class Played:
    """A round that was played through gates.

    Attributes:
        world: Whose.
        gates: By region.
        answers: What left.
    """

    world: World
    gates: dict[str, EgressGate]
    answers: dict[tuple[str, MessageKind], Envelope]

    def says(self, kind: MessageKind, answer: Envelope, *, region: str = "a") -> Envelope:
        """Have a region's handler answer this, and return what its gate lets out."""
        gate = self.gates[region]
        return replace(gate, handler=Says(gate.uid, answer)).handle(kind, QUESTION)

    def body(self, kind: MessageKind, *, region: str = "a") -> bytes:
        """Return what a region answered."""
        return self.answers[region, kind].body

    def signed(self, message: Advertise | Masked | Unmask, *, region: str = "a") -> bytes:
        """Return a message, signed by a region's own key."""
        return message.signed_by(self.identity(region)).to_bytes()

    def identity(self, region: str) -> Identity:
        """Return a region's key."""
        return self.world.run.region(region).identity()

    def sent(self, region: str = "a") -> tuple[Departure, ...]:
        """Return a region's list of what left."""
        return self.gates[region].manifest.read().sent
