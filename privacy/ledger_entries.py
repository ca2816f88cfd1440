"""What a ledger is made of: the kinds of entry, and the bytes of one.

A body is canonical JSON: the kind's own fields and, for all kinds, ``seq``, ``time``, the
SHA-256 of the body before it (``previous``) and 16 random bytes (``salt``), so that a published
hash tells nothing about a body that is guessed. Fields are never renamed or reused; an unknown
kind or field is refused. Whether an entry may stand where it stands is ``ledger_state``'s matter.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import ClassVar, Self, TypeAlias

from privacy import events
from privacy.canonical import Json, dumps, loads
from privacy.errors import LedgerCorruptError, LedgerVersionError, PrivacyError, UnknownEntryError
from privacy.events import Composed, Mechanism
from privacy.fields import Fields
from privacy.guarantee import Bound

FORMAT = "stillroom-ledger/1"
NO_HASH = "0" * 64
MAX_BODY_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Genesis:
    """The first entry: whose ledger this is."""

    KIND: ClassVar[str] = "genesis"
    region: str

    def to_json(self) -> dict[str, Json]:
        """Return the kind's own fields."""
        return {"format": FORMAT, "region": self.region}

    @classmethod
    def from_fields(cls, fields: Fields) -> Self:
        """Read the kind's own fields."""
        found = fields.text("format")
        if found != FORMAT:
            raise LedgerVersionError(f"expected the format {FORMAT}, got {found}; update stillroom")
        return cls(region=fields.text("region"))


@dataclass(frozen=True, slots=True)
class Account:
    """What a steward grants one lineage of data, once and for all its versions."""

    KIND: ClassVar[str] = "account"
    lineage: str
    limits: tuple[Bound, ...]

    def to_json(self) -> dict[str, Json]:
        """Return the kind's own fields."""
        return {"lineage": self.lineage, "limits": [limit.to_json() for limit in self.limits]}

    @classmethod
    def from_fields(cls, fields: Fields) -> Self:
        """Read the kind's own fields."""
        limits = tuple(Bound.from_fields(item) for item in fields.objects("limits"))
        return cls(lineage=fields.text("lineage"), limits=limits)


@dataclass(frozen=True, slots=True)
class Approval:
    """A plan that a steward approved, with what it may ever do and what that costs.

    Attributes:
        plan: SHA-256 of the plan's canonical bytes.
        lineage: The account that pays.
        components: What may be released, by name: all steps of the plan as one event each.
        charges: One bound for each limit of the account.
        approved_by: The person, or ``simulation``.
    """

    KIND: ClassVar[str] = "plan"
    plan: str
    lineage: str
    components: Mapping[str, Mechanism]
    charges: tuple[Bound, ...]
    approved_by: str

    def to_json(self) -> dict[str, Json]:
        """Return the kind's own fields."""
        return {
            "plan": self.plan,
            "lineage": self.lineage,
            "components": [
                {"name": name, "event": event.to_json()} for name, event in self.components.items()
            ],
            "charges": [charge.to_json() for charge in self.charges],
            "approved_by": self.approved_by,
        }

    @classmethod
    def from_fields(cls, fields: Fields) -> Self:
        """Read the kind's own fields."""
        components: dict[str, Mechanism] = {}
        for item in fields.objects("components"):
            name = item.text("name")
            if name in components:
                raise LedgerCorruptError(f"the plan entry lists the component {name} twice")
            event = events.from_fields(item.object("event"))
            item.close()
            if isinstance(event, Composed):
                raise LedgerCorruptError(f"{name}: expected one mechanism, got a composed event")
            components[name] = event
        return cls(
            plan=fields.hex_bytes("plan", size=32),
            lineage=fields.text("lineage"),
            components=components,
            charges=tuple(Bound.from_fields(item) for item in fields.objects("charges")),
            approved_by=fields.text("approved_by"),
        )


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


@dataclass(frozen=True, slots=True)
class Note:
    """Anything else worth keeping: a self-test, an incident, a new key. It changes no budget."""

    KIND: ClassVar[str] = "note"
    topic: str
    content: Mapping[str, Json]

    def to_json(self) -> dict[str, Json]:
        """Return the kind's own fields."""
        return {"topic": self.topic, "content": self.content}

    @classmethod
    def from_fields(cls, fields: Fields) -> Self:
        """Read the kind's own fields."""
        return cls(topic=fields.text("topic"), content=fields.mapping("content"))


Payload: TypeAlias = (
    Genesis | Account | Approval | Context | Reserve | Release | Send | Reveal | Sum | Note
)

_KINDS: dict[str, type[Payload]] = {
    kind.KIND: kind
    for kind in (Genesis, Account, Approval, Context, Reserve, Release, Send, Reveal, Sum, Note)
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a ledger.

    Attributes:
        seq: Its place, from 1.
        time: When, in Unix seconds; never less than the entry before.
        previous: SHA-256 of the body before, in hexadecimal.
        salt: 16 random bytes in hexadecimal.
        payload: What it says.
    """

    seq: int
    time: int
    previous: str
    salt: str
    payload: Payload

    def to_bytes(self) -> bytes:
        """Return the body, canonical.

        Raises:
            MalformedDocumentError: If the payload holds what canonical JSON cannot.
        """
        return dumps(
            {
                **self.payload.to_json(),
                "kind": self.payload.KIND,
                "seq": self.seq,
                "time": self.time,
                "previous": self.previous,
                "salt": self.salt,
            }
        )

    @classmethod
    def from_bytes(cls, body: bytes) -> Self:
        """Read a body.

        Raises:
            UnknownEntryError: If the kind is not in the table.
            LedgerVersionError: If a later release began this ledger.
            LedgerCorruptError: For any other bytes; nothing else is ever raised.
        """
        if len(body) > MAX_BODY_BYTES:
            raise LedgerCorruptError(f"expected at most {MAX_BODY_BYTES} bytes, got {len(body)}")
        try:
            return cls._read(Fields(loads(body), where="entry"))
        except (UnknownEntryError, LedgerVersionError, LedgerCorruptError):
            raise
        except PrivacyError as error:
            raise LedgerCorruptError(
                f"expected a ledger entry, got: {error}; restore the ledger from its last backup "
                "and compare it with the checkpoints that others hold"
            ) from error

    @classmethod
    def _read(cls, fields: Fields) -> Self:
        kind = fields.text("kind")
        if kind not in _KINDS:
            raise UnknownEntryError(
                f"expected an entry of {', '.join(_KINDS)}, got {kind[:40]!r}; "
                "a later release wrote it: update stillroom before using this ledger"
            )
        entry = cls(
            seq=fields.integer("seq", least=1),
            time=fields.integer("time"),
            previous=fields.hex_bytes("previous", size=32),
            salt=fields.hex_bytes("salt", size=16),
            payload=_KINDS[kind].from_fields(fields),
        )
        fields.close()
        return entry


def body_hash(body: bytes) -> str:
    """Return the SHA-256 of a body in hexadecimal: what the next entry names as ``previous``."""
    return hashlib.sha256(body).hexdigest()
