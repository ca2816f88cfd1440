"""The parts of a report: data, teacher, student, and what each region promised and sent.

Figures are decimals, as exact as they are printed, so that a report has one spelling. Whether the
parts fit together is ``model``'s matter.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction

from privacy.errors import MalformedDocumentError
from privacy.guarantee import Bound
from privacy.lineage import Declaration
from privacy.report.part_checks import require_at_most_one, require_digest, require_text


class Mode(StrEnum):
    """How the study was run."""

    SIMULATION = "simulation"


class Support(StrEnum):
    """Why an assumption is believed."""

    PROVEN = "proven"
    TESTED = "tested"
    ATTESTED = "attested"
    ASSUMED = "assumed"


@dataclass(frozen=True, slots=True)
class Data:
    """What the regions' records are.

    Attributes:
        description: One sentence: what a record is and where the records come from.
        notes: Sentences on what the data are not, whom they describe, how they were split.
        public_records: Records that the student may see in the open.
        test_records: Held-out records on which every figure of quality is measured.
        labelled_share: Share of the private records that have a true label.
    """

    description: str
    notes: tuple[str, ...]
    public_records: int
    test_records: int
    labelled_share: Fraction

    def __post_init__(self) -> None:
        require_text("a description of the data", self.description)
        require_at_most_one("the labelled share", self.labelled_share)


@dataclass(frozen=True, slots=True)
class Teacher:
    """Who labelled the records.

    Attributes:
        name: The model and its revision.
        declaration: Its lineage, and whom its training data describe.
    """

    name: str
    declaration: Declaration

    def __post_init__(self) -> None:
        require_text("the teacher's name", self.name)


@dataclass(frozen=True, slots=True)
class Student:
    """What was trained.

    Attributes:
        name: The model.
        parameters: All of its parameters.
        trained_parameters: Those that private records may change.
        trained_part: Which they are, in words, such as ``the classification head``.
    """

    name: str
    parameters: int
    trained_parameters: int
    trained_part: str

    def __post_init__(self) -> None:
        require_text("the student's name", self.name)
        if not 0 < self.trained_parameters <= self.parameters:
            raise MalformedDocumentError(
                f"expected trained parameters among {self.parameters}, "
                f"got {self.trained_parameters}"
            )


@dataclass(frozen=True, slots=True)
class Sums:
    """What the coordinator could read of the regions' vectors.

    Attributes:
        min_survivors: Fewest regions in a sum.
        assumed_colluders: Regions that may have worked with the coordinator without reading more.
        any_survivors: Whether sums over changing sets of regions were allowed, even where several
            of them together would isolate a few regions.
    """

    min_survivors: int
    assumed_colluders: int
    any_survivors: bool

    def __post_init__(self) -> None:
        if self.min_survivors < 1 or self.assumed_colluders < 0:
            raise MalformedDocumentError(
                f"expected at least one survivor and no negative number of colluders, got "
                f"{self.min_survivors} and {self.assumed_colluders}"
            )


@dataclass(frozen=True, slots=True)
class Sent:
    """One masked vector that left a region.

    Attributes:
        round: The round of the plan, counted from 1 as people do; ledgers count from 0.
        wire_bytes: Its size on the wire.
        wire_sha256: SHA-256 of those bytes, in hexadecimal.
        destination: Who received it.
    """

    round: int
    wire_bytes: int
    wire_sha256: str
    destination: str

    def __post_init__(self) -> None:
        require_digest("a sent vector", self.wire_sha256)


@dataclass(frozen=True, slots=True)
class Region:
    """What one region promised its units, and what it sent.

    Attributes:
        name: The region.
        lineage: The account that paid: all versions of one collection of data.
        charged: All that was ever charged to the account: the guarantee.
        budget: The account's limit, in the same unit and relation.
        noise_multiplier: Standard deviation of the noise over the clip norm.
        clip_norm: Largest norm of one unit's gradient.
        sample_rate: Chance that one unit is in one step.
        max_steps: Steps that the plan allows, slack included; charged in full.
        reserved_steps: Steps that were begun.
        released_steps: Steps whose result was released.
        public_size: A public bound on the number of units, not a count.
        sent: Every masked vector, in order.
    """

    name: str
    lineage: str
    charged: Bound
    budget: Bound
    noise_multiplier: Decimal
    clip_norm: Decimal
    sample_rate: Fraction
    max_steps: int
    reserved_steps: int
    released_steps: int
    public_size: int
    sent: tuple[Sent, ...]

    def __post_init__(self) -> None:
        require_text("a region's name", self.name)
        if self.charged.relation != self.budget.relation:
            raise MalformedDocumentError(
                f"{self.name}: expected charge and budget in one unit and relation, "
                f"got {self.charged} and {self.budget}"
            )
        if not self.released_steps <= self.reserved_steps <= self.max_steps:
            raise MalformedDocumentError(
                f"{self.name}: expected released <= reserved <= allowed steps, got "
                f"{self.released_steps}, {self.reserved_steps}, {self.max_steps}"
            )

    @property
    def bytes_out(self) -> int:
        """All bytes of masked vectors that left."""
        return sum(one.wire_bytes for one in self.sent)

    def bytes_in_round(self, round_: int) -> int:
        """Return the bytes that left in one round, retries included."""
        return sum(one.wire_bytes for one in self.sent if one.round == round_)


@dataclass(frozen=True, slots=True)
class Stage:
    """How long one stage took, in seconds."""

    name: str
    seconds: Decimal


@dataclass(frozen=True, slots=True)
class Version:
    """One piece of software whose version matters."""

    name: str
    version: str


@dataclass(frozen=True, slots=True)
class Assumption:
    """What must be true for the guarantee to hold, and why it is believed."""

    text: str
    support: Support


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether it was worth it, as the numbers say.

    Attributes:
        headline: One short sentence.
        sentences: The comparisons behind it.
    """

    headline: str
    sentences: tuple[str, ...]
