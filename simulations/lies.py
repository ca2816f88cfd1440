"""Parties that break the protocol on purpose, to see in a whole run what the others do about it.

A lying region changes its answers on the way out; a lying coordinator is another class of round in
the place of `protocol.coordinator.CoordinatorRound`. What is lost on the way is a `grid.Fault`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from client.flower_adapter import Handler
from protocol.coordinator import CoordinatorRound
from protocol.envelope import Envelope, MessageKind

Lie = Callable[[MessageKind, Envelope], Envelope]
"""Told what a region was asked and what it would answer; returns what it answers."""


@dataclass(frozen=True, slots=True)
class LyingRegion:
    """A handler whose answers are changed.

    Attributes:
        honest: The region as it is.
        lie: What becomes of its answers.
    """

    honest: Handler
    lie: Lie

    @property
    def uid(self) -> bytes:
        """The region's 16 bytes."""
        return self.honest.uid

    def handle(self, kind: MessageKind, request: Envelope) -> Envelope:
        """Answer one message."""
        return self.lie(kind, self.honest.handle(kind, request))


@dataclass(frozen=True, slots=True)
class Lies:
    """Who lies in a simulation; nobody unless said.

    Attributes:
        regions: The lies of regions, by name.
        open_round: The coordinator's state machine.
    """

    regions: Mapping[str, Lie] = field(default_factory=dict)
    open_round: Callable[..., CoordinatorRound] = CoordinatorRound

    def handler(self, name: str, honest: Handler) -> Handler:
        """Return a region's handler, lying if it should."""
        lie = self.regions.get(name)
        return honest if lie is None else LyingRegion(honest, lie)
