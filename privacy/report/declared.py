"""What software cannot know: the fields that an accountable person declares, with a help for each.

An empty one is never left out: its value is ``NOT DECLARED``, in every form of the report. The
help is the one text about a field: the file for the person, the schema and the page all use it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields

from privacy.errors import MalformedDocumentError
from privacy.report.wording import overclaims

NOT_DECLARED = "NOT DECLARED"
NOT_RECORDED = "NOT RECORDED"
"""What stands where software found nothing, such as a container's digest."""

DECLARED = "x-declared"
MOST_CHARACTERS = 4000  # what canonical documents of this system take as one text, with a margin


def declared(help_text: str) -> str:
    """Return the default of a field that a person declares, with what it asks for."""
    # A field's default stands for the field until the dataclass is made.
    made: str = field(default=NOT_DECLARED, metadata={DECLARED: True, "help": help_text})
    return made


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredIdentity:
    """Who is responsible for what, and why it is done."""

    controllers: str = declared("Who decides why and how the records are used, with an address.")
    processors: str = declared("Who handles records for them, the operator of the run included.")
    protection_officer: str = declared("The data protection officer, with an address.")
    system_name: str = declared("The system or model that the student becomes part of.")
    system_version: str = declared("Its version.")
    purpose: str = declared("What the student is for, and what it must not be used for.")
    sector: str = declared("One of Technology, Healthcare, Education, Government, Energy, Finance.")
    jurisdiction: str = declared("The places whose people or laws this concerns.")
    legal_basis: str = declared("The legal basis of the processing, for each controller.")
    recipients: str = declared("Who receives the student and the report.")
    transfers: str = declared("Transfers to other countries, with their safeguards; or none.")
    references: str = declared("Numbers of the impact assessment, register entry and approvals.")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredData:
    """What the records are, in words that no program can find."""

    subjects: str = declared("Whom the records describe.")
    categories: str = declared("Which kinds of data the records hold, special categories named.")
    provenance: str = declared("How and from where the records were collected.")
    units: str = declared("By which rule records belong to a unit, and who checked it.")
    preprocessing: str = declared(
        "Every step before training, each: per record, fitted on public data, or charged."
    )
    other_copies: str = declared("Where the same records exist elsewhere, published ones named.")
    retention: str = declared("How long the records are kept.")
    erasure: str = declared("How a person's records are erased, and what then becomes of a model.")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredTraining:
    """What was decided outside the ledgers."""

    tuning: str = declared(
        "How the rate, clip norm and schedule were chosen: on public data, or in a charged sweep."
    )
    epsilon_rationale: str = declared("Why this ε and δ are acceptable here, and who decided it.")
    teacher_terms: str = declared("The teacher's licence and the terms of its use.")
    tokenizer: str = declared("What the tokenizer was fitted on.")
    people_in_several_regions: str = declared("Whether one person may be in several regions.")
    bias: str = declared("Whom the student may serve worse, and how that was looked at.")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredGovernance:
    """Who answers for the report, and what happens next."""

    declared_by: str = declared("Who answers for these declarations: name and role.")
    declared_on: str = declared("The day of these declarations, such as 2026-11-24.")
    roles: str = declared("Who is steward, operator, auditor and model owner.")
    security: str = declared("How records, keys and machines are protected and who has access.")
    incidents: str = declared("Where incidents are recorded, and those that concern this run.")
    report_retention: str = declared("How long the report is kept; ten years are common.")
    next_review: str = declared("When the run, its assumptions and this report are looked at next.")
    expert: str = declared("Who judged the evidence, by which method and with which result.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Declarations:
    """All that is declared, by part."""

    identity: DeclaredIdentity = field(default_factory=DeclaredIdentity)
    data: DeclaredData = field(default_factory=DeclaredData)
    training: DeclaredTraining = field(default_factory=DeclaredTraining)
    governance: DeclaredGovernance = field(default_factory=DeclaredGovernance)

    def __post_init__(self) -> None:
        for part, name, _, value in self.rows():
            _check(f"{part}.{name}", value)

    def rows(self) -> Iterator[tuple[str, str, str, str]]:
        """Yield part, field, help and value of everything that may be declared."""
        for part in fields(self):
            found = getattr(self, part.name)
            for one in fields(found):
                yield part.name, one.name, one.metadata["help"], getattr(found, one.name)

    @property
    def missing(self) -> tuple[str, ...]:
        """What nobody declared, as ``part.field``."""
        return tuple(
            f"{part}.{name}" for part, name, _, value in self.rows() if value == NOT_DECLARED
        )


def _check(where: str, value: str) -> None:
    if not value.strip() or len(value) > MOST_CHARACTERS:
        raise MalformedDocumentError(
            f"{where}: expected from 1 to {MOST_CHARACTERS} characters, got {len(value)}; "
            "leave out what is not declared"
        )
    found = overclaims(value)
    if found:
        raise MalformedDocumentError(
            f"{where}: expected a fact, got the claim {found[0]!r}, for which this report is no "
            "evidence; say what was done, and leave the judgement to whoever makes it"
        )
