"""What a region does in rounds, as entries of its ledger, in the order in which it does it.

Each kind reads and writes its own fields; whether it may stand where it stands is the matter of
``ledger_round_rules``.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import ClassVar, Self, TypeAlias

from privacy.canonical import Json
from privacy.fields import Fields


@dataclass(frozen=True, slots=True)
class Context:
    """A round's configuration that the region accepted; it accepts none twice."""

    KIND: ClassVar[str] = "context"
    plan: str
    round: int
    attempt: int
    context: str

    def to_json(self) -> dict[str, Json]:
        """Return the kind's own fields."""
        return asdict(self)

    @classmethod
    def from_fields(cls, fields: Fields) -> Self:
        """Read the kind's own fields."""
        return cls(
            plan=fields.hex_bytes("plan", size=32),
            round=fields.integer("round"),
            attempt=fields.integer("attempt"),
            context=fields.hex_bytes("context", size=32),
        )


@dataclass(frozen=True, slots=True)
class Reserve:
    """Steps that are spent from here on, whatever happens next."""

    KIND: ClassVar[str] = "reserve"
    plan: str
    round: int
    component: str
    draw: int
    steps: int

    def to_json(self) -> dict[str, Json]:
        """Return the kind's own fields."""
        return asdict(self)

    @classmethod
    def from_fields(cls, fields: Fields) -> Self:
        """Read the kind's own fields."""
        return cls(
            plan=fields.hex_bytes("plan", size=32),
            round=fields.integer("round"),
            component=fields.text("component"),
            draw=fields.integer("draw", least=1),
            steps=fields.integer("steps", least=1),
        )


@dataclass(frozen=True, slots=True)
class Release:
    """The noised, unmasked payload of a draw, fixed before it is masked and sent.

    Attributes:
        plan: SHA-256 of the plan.
        round: The round of the plan.
        component: Which component's steps paid for it.
        draw: Which draw of noise it is.
        payload_sha256: SHA-256 of the stored payload.
        payload_bytes: Its size.
    """

    KIND: ClassVar[str] = "release"
    plan: str
    round: int
    component: str
    draw: int
    payload_sha256: str
    payload_bytes: int

    def to_json(self) -> dict[str, Json]:
        """Return the kind's own fields."""
        return asdict(self)

    @classmethod
    def from_fields(cls, fields: Fields) -> Self:
        """Read the kind's own fields."""
        return cls(
            plan=fields.hex_bytes("plan", size=32),
            round=fields.integer("round"),
            component=fields.text("component"),
            draw=fields.integer("draw", least=1),
            payload_sha256=fields.hex_bytes("payload_sha256", size=32),
            payload_bytes=fields.integer("payload_bytes"),
        )


@dataclass(frozen=True, slots=True)
class Send:
    """Masked bytes that leave the region: which release they carry, and to whom.

    Attributes:
        plan: SHA-256 of the plan.
        round: The round of the plan.
        component: Which release it carries.
        context: The accepted round configuration under whose masks it leaves.
        wire_sha256: SHA-256 of the bytes on the wire.
        wire_bytes: Their number.
        destination: Who receives them.
    """

    KIND: ClassVar[str] = "send"
    plan: str
    round: int
    component: str
    context: str
    wire_sha256: str
    wire_bytes: int
    destination: str

    def to_json(self) -> dict[str, Json]:
        """Return the kind's own fields."""
        return asdict(self)

    @classmethod
    def from_fields(cls, fields: Fields) -> Self:
        """Read the kind's own fields."""
        return cls(
            plan=fields.hex_bytes("plan", size=32),
            round=fields.integer("round"),
            component=fields.text("component"),
            context=fields.hex_bytes("context", size=32),
            wire_sha256=fields.hex_bytes("wire_sha256", size=32),
            wire_bytes=fields.integer("wire_bytes"),
            destination=fields.text("destination"),
        )


@dataclass(frozen=True, slots=True)
class Reveal:
    """Shares that unmask one sum: for one list of survivors in a round, and never for another.

    Attributes:
        plan: SHA-256 of the plan.
        round: The round of the plan.
        context: The accepted round configuration in which the shares leave.
        survivors: The regions in the sum: their 16 bytes each, ascending, together in hexadecimal.
        payload_sha256: SHA-256 of this region's release that the sum holds.
    """

    KIND: ClassVar[str] = "reveal"
    plan: str
    round: int
    context: str
    survivors: str
    payload_sha256: str

    def to_json(self) -> dict[str, Json]:
        """Return the kind's own fields."""
        return asdict(self)

    @classmethod
    def from_fields(cls, fields: Fields) -> Self:
        """Read the kind's own fields."""
        return cls(
            plan=fields.hex_bytes("plan", size=32),
            round=fields.integer("round"),
            context=fields.hex_bytes("context", size=32),
            survivors=fields.hex_items("survivors", size=16),
            payload_sha256=fields.hex_bytes("payload_sha256", size=32),
        )


@dataclass(frozen=True, slots=True)
class Sum:
    """A published sum that the region checked and stepped its model by.

    Attributes:
        plan: SHA-256 of the plan.
        round: The round of the plan; sums come in order, from 0.
        transcript: Hash of the signed messages that prove the survivors' consent.
        survivors: The regions in the sum, as in `Reveal`.
    """

    KIND: ClassVar[str] = "sum"
    plan: str
    round: int
    transcript: str
    survivors: str

    def to_json(self) -> dict[str, Json]:
        """Return the kind's own fields."""
        return asdict(self)

    @classmethod
    def from_fields(cls, fields: Fields) -> Self:
        """Read the kind's own fields."""
        return cls(
            plan=fields.hex_bytes("plan", size=32),
            round=fields.integer("round"),
            transcript=fields.hex_bytes("transcript", size=32),
            survivors=fields.hex_items("survivors", size=16),
        )


Step: TypeAlias = Context | Reserve | Release | Send | Reveal | Sum
