"""What a steward puts into a ledger: whose it is, what may be spent, and on what.

Each kind reads and writes its own fields; whether it may stand where it stands is the matter of
``ledger_grant_rules``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Self, TypeAlias

from privacy import events
from privacy.canonical import Json
from privacy.errors import LedgerCorruptError, LedgerVersionError
from privacy.events import Composed, Event, Mechanism, for_persons
from privacy.fields import Fields
from privacy.guarantee import Bound, Unit
from privacy.ledger_incidents import Freeze, Lift

FORMAT = "stillroom-ledger/1"


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
class Merge:
    """Accounts that are one from here on, because one data set holds records of several lineages.

    Attributes:
        lineage: The account that stays; it owes what both owed.
        absorbed: The account that ends; its name stands for the other one afterwards.
        approved_by: The person who found the overlap.
    """

    KIND: ClassVar[str] = "merge"
    lineage: str
    absorbed: str
    approved_by: str

    def to_json(self) -> dict[str, Json]:
        """Return the kind's own fields."""
        return {
            "lineage": self.lineage,
            "absorbed": self.absorbed,
            "approved_by": self.approved_by,
        }

    @classmethod
    def from_fields(cls, fields: Fields) -> Self:
        """Read the kind's own fields."""
        return cls(
            lineage=fields.text("lineage"),
            absorbed=fields.text("absorbed"),
            approved_by=fields.text("approved_by"),
        )


@dataclass(frozen=True, slots=True)
class Approval:
    """A plan that a steward approved, with what it may ever do and what that costs.

    Attributes:
        plan: SHA-256 of the plan's canonical bytes.
        lineage: The account that pays.
        unit: The plan's unit, which one clip norm bounds.
        max_records_per_person: For a plan on records: the cap that it declares, if it does.
        components: What may be released, by name: all steps of the plan as one event each.
        charges: One bound for each limit of the account.
        approved_by: The person, or ``simulation``.
    """

    KIND: ClassVar[str] = "plan"
    plan: str
    lineage: str
    unit: Unit
    max_records_per_person: int | None
    components: Mapping[str, Mechanism]
    charges: tuple[Bound, ...]
    approved_by: str

    def event_for(self, unit: Unit) -> Event | None:
        """Return all that the plan may release, as one ``unit`` sees it; None if nobody can say."""
        event = Composed(tuple(self.components.values()))
        if unit is Unit.RECORD or self.unit is Unit.PERSON:
            return event
        if self.max_records_per_person is None:
            return None
        return for_persons(event, records=self.max_records_per_person)

    def to_json(self) -> dict[str, Json]:
        """Return the kind's own fields."""
        return {
            "plan": self.plan,
            "lineage": self.lineage,
            "unit": self.unit,
            "max_records_per_person": self.max_records_per_person or 0,
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
            unit=fields.choice("unit", Unit),
            max_records_per_person=fields.integer("max_records_per_person") or None,
            components=components,
            charges=tuple(Bound.from_fields(item) for item in fields.objects("charges")),
            approved_by=fields.text("approved_by"),
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


Grant: TypeAlias = Genesis | Account | Merge | Approval | Freeze | Lift | Note
