"""May this teacher label these records? What it was trained on decides.

DP-SGD bounds what one record changes only if the record's soft label depends on no other record
of the region. A teacher that was trained, prompted, indexed, calibrated or tokenised on the
region's data breaks that: removing one record then changes every label, in every step, and no
noise multiplier covers it. So a teacher is fixed with respect to the region's data, or its
training is accounted for, or it is refused.

Students may leak what a teacher was trained on (Jagielski et al. 2023, "Students parrot their
teachers", arXiv 2303.03446): the people behind a private teacher are named as not covered.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from privacy.canonical import Json
from privacy.errors import LineageRefusedError
from privacy.fields import Fields
from privacy.guarantee import Bound


class TeacherLineage(StrEnum):
    """What the teacher's weights, prompt, index and tokenizer depend on."""

    PUBLIC = "public"
    EXTERNAL_PRIVATE = "external-private"
    EXTERNAL_DP = "external-dp"
    FEDERATED_DP = "federated-dp"
    REGION_DP = "region-dp"
    REGION_PRIVATE = "region-private"
    UNDECLARED = "undeclared"


@dataclass(frozen=True, slots=True)
class Declaration:
    """What an accountable person says about the teacher.

    Attributes:
        lineage: Where it comes from.
        population: Whose data it was trained on; needed for external lineages.
        guarantees: For external-dp: what its training promised, per unit and relation.
        disjoint_attested_by: Who attests that nobody is both in its training data and in a
            region; empty if nobody does.
    """

    lineage: TeacherLineage
    population: str = ""
    guarantees: tuple[Bound, ...] = ()
    disjoint_attested_by: str = ""

    @property
    def surcharge(self) -> tuple[Bound, ...]:
        """What a plan with this teacher costs on top of its own steps."""
        if self.lineage is TeacherLineage.EXTERNAL_DP and not self.disjoint_attested_by:
            return self.guarantees
        return ()

    @property
    def not_covered(self) -> str:
        """One sentence on whom the guarantee of a plan with this teacher does not cover."""
        match self.lineage:
            case TeacherLineage.PUBLIC:
                return "Not covered: what the public training data of the teacher already tell."
            case TeacherLineage.EXTERNAL_DP:
                return (
                    f"{self.population}: covered by the guarantee of the teacher's own training "
                    "only, which this system has not checked."
                )
            case _:
                return f"Not covered: {self.population or 'whoever the teacher was trained on'}."

    def to_json(self) -> dict[str, Json]:
        """Return the form that plans hold."""
        return {
            "lineage": self.lineage,
            "population": self.population,
            "guarantees": [bound.to_json() for bound in self.guarantees],
            "disjoint_attested_by": self.disjoint_attested_by,
        }

    @classmethod
    def from_fields(cls, fields: Fields) -> Self:
        """Read what ``to_json`` wrote.

        Raises:
            MalformedDocumentError: If a field is missing, unknown or of another form.
            InvalidBudgetError: If a guarantee is none.
        """
        declaration = cls(
            lineage=fields.choice("lineage", TeacherLineage),
            population=fields.text("population"),
            guarantees=tuple(map(Bound.from_fields, fields.objects("guarantees"))),
            disjoint_attested_by=fields.text("disjoint_attested_by"),
        )
        fields.close()
        return declaration


_REFUSALS = {
    TeacherLineage.FEDERATED_DP: (
        "a teacher that an earlier federation trained is not yet accounted for in this version: "
        "use a public or an external one"
    ),
    TeacherLineage.REGION_DP: (
        "a teacher that was trained on the region's data, with differential privacy, is not yet "
        "accounted for in this version: use a public or an external one"
    ),
    TeacherLineage.REGION_PRIVATE: (
        "a teacher that was trained, prompted, indexed or calibrated on the region's data lets "
        "one record change every label, which no noise here covers: use one that never saw them"
    ),
    TeacherLineage.UNDECLARED: (
        "the teacher's lineage is not declared: find out what it was trained on and declare it "
        "(public, external-private or external-dp)"
    ),
}


def admit(declaration: Declaration) -> None:
    """Refuse a teacher with which the plan's guarantee would not hold.

    Raises:
        LineageRefusedError: With the reason, and what to use instead.
    """
    reason = _REFUSALS.get(declaration.lineage)
    if reason is not None:
        raise LineageRefusedError(reason)
    if declaration.lineage is TeacherLineage.PUBLIC:
        return
    if not declaration.population.strip():
        raise LineageRefusedError(
            f"an {declaration.lineage} teacher needs the population its training data describe, "
            "since the report must say whom the guarantee does not cover: name it"
        )
    is_dp = declaration.lineage is TeacherLineage.EXTERNAL_DP
    if is_dp and not (declaration.guarantees or declaration.disjoint_attested_by.strip()):
        raise LineageRefusedError(
            "an external-dp teacher needs the (ε, δ) of its training, or somebody who attests "
            "that its people and the regions' are disjoint: declare one of them"
        )
